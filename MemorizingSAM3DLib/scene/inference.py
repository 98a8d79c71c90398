"""The engine on its worker thread, as the main thread sees it: prompts go in, masks come back later."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from MemorizingSAM3DLib.engine.cancellation import CancelledError
from MemorizingSAM3DLib.engine.geometry import Box, Volume
from MemorizingSAM3DLib.engine.packed_mask import PackedMask
from MemorizingSAM3DLib.engine.prompts import Prompts
from MemorizingSAM3DLib.engine.worker import Job, Outcome, Worker
from MemorizingSAM3DLib.scene.model_choice import LoadedModel, ModelChoice
from MemorizingSAM3DLib.scene.scan_input import ScanInput

if TYPE_CHECKING:
    from MemorizingSAM3DLib.engine.replay import Replay


@dataclass(frozen=True)
class ComputedMask:
    """A mask, and what has to be written to turn the segment into it.

    Attributes:
        mask: of the prompts. shown: what the segment held when this was asked for. box: where the two differ.
        voxels: the mask in that box.
    """

    mask: PackedMask
    shown: PackedMask
    box: Box
    voxels: np.ndarray


class SupersededError(Exception):
    """Nobody waits for this result any more."""


class Inference:
    """One scan, one model. Everything that torch does happens on the worker's thread, in the order it was asked for.

    Args:
        choice: the model to load when it is needed first.

    Attributes:
        starts: masks that prompts may start from, by number; 0 is empty.
        loaded: the model that is ready, or None.
    """

    def __init__(self, choice: ModelChoice) -> None:
        self.choice = choice
        self.worker = Worker()
        self.loaded: LoadedModel | None = None
        self._loadedFor: ModelChoice | None = None
        self._scan: ScanInput | None = None
        self._replay: Replay | None = None
        self.starts = [PackedMask()]

    @property
    def hasScan(self) -> bool:
        """Whether there is a scan to segment."""
        return self._scan is not None

    def setScan(self, scan: ScanInput | None) -> None:
        """Another scan, or none. What is being computed for the last one is given up."""
        self.worker.cancel()
        self._scan = scan
        self.starts = [PackedMask()]
        if scan is None and self._replay is not None:
            self.worker.submit(lambda job: self._letGo(), lambda outcome: None, "Letting go of the scan")

    def setModel(self, choice: ModelChoice) -> None:
        """Another model, loaded when it is needed next."""
        self.worker.cancel()
        self.choice = choice

    def addStart(self, mask: PackedMask) -> int:
        """Keeps a mask to start from and returns its number."""
        if mask.is_empty:
            return 0
        self.starts.append(mask)
        return len(self.starts) - 1

    def prepare(self, deliver: Callable[[Outcome], None]) -> Job:
        """Loads the model, judges the scan and encodes a crop in its middle, so that the first click finds all warm."""
        scan, starts, choice = self._scan, self.starts, self.choice

        def run(job: Job) -> None:
            replay = self._ready(job, scan, starts, choice)
            from MemorizingSAM3DLib.engine.zoom import first_grid

            job.report("Encoding the scan")
            volume, predictor = replay.volume, replay.predictor
            middle = volume.ijk_to_ras_points((np.array(volume.shape[::-1]) - 1) / 2)
            with predictor.interruptible(job.token):
                predictor.set_volume(volume)
                r, a, s = middle.tolist()
                predictor.features(first_grid(volume, (r, a, s), predictor.spacing_range, predictor.crop_size))

        return self.worker.submit(run, deliver, "Preparing the scan")

    def compute(self, prompts: Prompts, shown: PackedMask, wanted: Callable[[], bool],
                deliver: Callable[[Outcome], None], first: tuple[Prompts, Callable[[PackedMask], None]] | None = None,
                ) -> Job:  # fmt: skip
        """Computes the mask of prompts.

        Args:
            shown: what the segment holds now.
            wanted: asked when the job's turn comes; False skips it (SupersededError).
            deliver: gets a `ComputedMask`.
            first: prompts whose mask is to be judged before, by a function that raises what ends the job.
        """
        scan, starts, choice = self._scan, self.starts, self.choice

        def run(job: Job) -> ComputedMask:
            if not wanted():
                raise SupersededError
            replay = self._ready(job, scan, starts, choice)
            job.report("Segmenting")
            with replay.predictor.interruptible(job.token):
                if first is not None:
                    first[1](replay.mask_of(first[0]))
                mask = replay.mask_of(prompts)
            box = mask.difference_box(shown)
            return ComputedMask(mask, shown, box, mask.within(box))

        return self.worker.submit(run, deliver, "Segmenting")

    def close(self) -> None:
        """Ends the thread; nothing is delivered any more."""
        self.worker.close()

    def _letGo(self) -> None:
        """The memory of a scan that was closed is free again. On the worker's thread."""
        self._replay = None
        if self.loaded is not None:
            self.loaded.predictor.forget_volume()

    def _ready(self, job: Job, scan: ScanInput | None, starts: list[PackedMask], choice: ModelChoice) -> Replay:
        """The model and the scan that the job was made for, loaded and judged. On the worker's thread."""
        if scan is None or scan is not self._scan or choice != self.choice:
            raise CancelledError
        replay = self._replay
        if self.loaded is None or self._loadedFor != choice:
            job.report("Loading the model")
            self.loaded, self._replay = None, None
            self.loaded, self._loadedFor = choice.load(), choice
            replay = None
            job.token.check()
        if replay is None or replay.starts is not starts:
            from MemorizingSAM3DLib.engine.replay import Replay

            job.report("Reading the scan")
            self._replay = replay = Replay(
                self.loaded.predictor, Volume(scan.array, scan.ijkToRas, scan.modality), starts
            )
            job.token.check()
        return replay
