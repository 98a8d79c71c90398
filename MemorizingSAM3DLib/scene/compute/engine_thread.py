"""The engine on its worker thread, as the main thread sees it: prompts go in, masks come back later."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from MemorizingSAM3DLib.engine.geometry import Box, Volume
from MemorizingSAM3DLib.engine.geometry.packed_mask import PackedMask
from MemorizingSAM3DLib.engine.prompts import MemorySettings, Prompts
from MemorizingSAM3DLib.engine.runtime.worker import CancelledError, Job, Outcome, Worker
from MemorizingSAM3DLib.scene.compute.case_memory import CaseMemoryAccess, CaseMemoryChoice
from MemorizingSAM3DLib.scene.compute.model_choice import LoadedModel, ModelChoice
from MemorizingSAM3DLib.scene.scan import ScanInput

if TYPE_CHECKING:
    from MemorizingSAM3DLib.engine.session.predictor import Predictor
    from MemorizingSAM3DLib.engine.session.replay import Replay

INTERACTIONS_KEPT = 60  # as in the paper, and in the engine


@dataclass(frozen=True)
class ComputedMask:
    """A mask, and what has to be written to turn the segment into it.

    Attributes:
        mask: of the prompts. shown: what the segment held when this was asked for. box: where the two differ.
        voxels: the mask in that box.
        interactions: how many past clicks are kept for the next one.
        recalled: the name of the remembered structure that the mask began from, "" if it has none; None: from none.
    """

    mask: PackedMask
    shown: PackedMask
    box: Box
    voxels: np.ndarray
    interactions: int = 0
    recalled: str | None = None


class SupersededError(Exception):
    """Nobody waits for this result any more."""


class Inference:
    """One scan, one model. Everything that torch does happens on the worker's thread, in the order it was asked for.

    Args:
        choice: the model to load when it is needed first.

    Attributes:
        starts: masks that prompts may start from, by number; 0 is empty.
        loaded: the model that is ready, or None.
        caseMemory: the memory that first clicks ask. cases: it, on the worker's thread.
        interactions: how many past clicks are used; None: the interaction memory is off.
        prefetchCrops: whether crops are encoded before a click needs them; None: where that pays.
        scanNotes: what the user should know of the scan, such as padding; known once the worker has judged it.
    """

    def __init__(self, choice: ModelChoice) -> None:
        self.choice = choice
        self.worker = Worker()
        self.loaded: LoadedModel | None = None
        self._loadedFor: ModelChoice | None = None
        self._scan: ScanInput | None = None
        self._replay: Replay | None = None
        self.starts = [PackedMask()]
        self.caseMemory = CaseMemoryChoice(use=False)
        self.cases = CaseMemoryAccess()
        self.interactions: int | None = INTERACTIONS_KEPT
        self._caseMemoryState = 0
        self.prefetchCrops: bool | None = None
        self.scanNotes: tuple[str, ...] = ()

    @property
    def hasInteractionMemory(self) -> bool | None:
        """Whether the model has one; None before a model was loaded."""
        return None if self.loaded is None else self.loaded.predictor.has_interaction_memory

    @property
    def interactionMemoryScans(self) -> tuple[str, ...]:
        """The kinds of scans that the interaction memory is used in, where the scan at hand is none of them."""
        if self.loaded is None or not self.loaded.predictor.has_volume:
            return ()
        predictor = self.loaded.predictor
        if predictor.modality in predictor.memory_modalities:
            return ()
        return tuple(sorted({"PET" if kind == "PT" else kind for kind in predictor.memory_modalities}))

    @property
    def memory_settings(self) -> MemorySettings:
        """What a click that is made now listens to."""
        return MemorySettings(self.interactions, self._caseMemoryState if self.caseMemory.use else None)

    def setCaseMemory(self, choice: CaseMemoryChoice) -> None:
        """Another memory, or the same with other cases: first clicks that are made from now on ask it anew."""
        self.caseMemory = choice
        self._caseMemoryState += 1

    @property
    def hasScan(self) -> bool:
        """Whether there is a scan to segment."""
        return self._scan is not None

    def setScan(self, scan: ScanInput | None) -> None:
        """Another scan, or none. What is being computed for the last one is given up."""
        self.worker.cancel()
        self._scan, self.scanNotes = scan, ()
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
            from MemorizingSAM3DLib.engine.session.crop_policy import first_grid

            job.report("Encoding the scan")
            volume, predictor = replay.volume, replay.predictor
            middle = volume.ijk_to_ras_points((np.array(volume.shape[::-1]) - 1) / 2)
            with predictor.interruptible(job.token):
                predictor.set_volume(volume)
                r, a, s = middle.tolist()
                predictor.features(first_grid(volume, (r, a, s), predictor.spacing_range, predictor.crop_size))

        return self.worker.submit(run, deliver, "Preparing the scan")

    def withScan(self, run: Callable[[Job, Predictor], Any], deliver: Callable[[Outcome], None], text: str) -> Job:
        """Does something on the worker's thread with the model, which knows the scan then."""
        scan, starts, choice = self._scan, self.starts, self.choice

        def withPredictor(job: Job) -> Any:
            replay = self._ready(job, scan, starts, choice)
            replay.predictor.set_volume(replay.volume)
            return run(job, replay.predictor)

        return self.worker.submit(withPredictor, deliver, text)

    def withModelAsItIs(self, run: Callable[[Job, Predictor | None], Any], deliver: Callable[[Outcome], None],
                        text: str) -> Job:  # fmt: skip
        """Does something on the worker's thread with the model if it is loaded, or without one."""
        return self.worker.submit(
            lambda job: run(job, None if self.loaded is None else self.loaded.predictor), deliver, text
        )

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
                state = replay.state_of(prompts)
            mask, shape_prior = state.mask, state.shape_prior
            box = mask.difference_box(shown)
            recalled = None if shape_prior is None else shape_prior.structure
            return ComputedMask(mask, shown, box, mask.within(box), len(state.interactions), recalled)

        def delivered(outcome: Outcome) -> None:
            deliver(outcome)
            if outcome.error is None:
                self._prefetchCrops(prompts, scan)

        return self.worker.submit(run, delivered, "Segmenting")

    def _prefetchCrops(self, prompts: Prompts, scan: ScanInput | None) -> None:
        """Computes what the next click will need, if nothing else is asked for meanwhile."""
        from MemorizingSAM3DLib.engine.session.prefetch import pays, prefetch_crops

        def run(job: Job) -> None:
            replay = self._replay
            if replay is not None and scan is self._scan:
                encode = self.prefetchCrops or pays(replay.predictor.runtime)
                prefetch_crops(replay.predictor, replay.state_of(prompts), job.token, encode)

        if self.prefetchCrops or (self.prefetchCrops is None and self.loaded is not None):
            self.worker.run_ahead(run)

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
            self.cases.letGo()
            self.loaded, self._loadedFor = choice.load(), choice
            replay = None
            job.token.check()
        if replay is None or replay.starts is not starts:
            from MemorizingSAM3DLib.engine.session.replay import Replay

            job.report("Reading the scan")
            self._replay = replay = Replay(
                self.loaded.predictor, Volume(scan.array, scan.ijkToRas, scan.modality), starts
            )
            self.scanNotes = replay.volume.notes if scan is self._scan else ()
            job.token.check()
        self.cases.attach(self.caseMemory, self.loaded.predictor)
        return replay
