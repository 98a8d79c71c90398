"""Batches made on the training device: scans lie in its memory, crops are cut and volumes synthesised there.

A step's batch follows from (seed, step, process) alone. Nothing waits for the device, so a GPU prepares the next
batch while the present one is still being computed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..engine.networks.config import NetworkConfig, spacing_range_of
from .cases import FOREGROUND, Case
from .distributed import Processes
from .intensities import changed, normalised, random_change
from .objective import Batch
from .sampling import TargetChoice, occupancy, standardised
from .synthesis import synthesise
from .views import box_of_view, random_view, sample_view

VIEWS = 4  # crops from each synthetic label map
_OF_DATA = 3  # stream of random numbers


@dataclass(frozen=True, eq=False)
class DeviceCase:
    """A case whose voxels lie on a device: image, labels and body are (R, A, S) tensors."""

    case: Case
    image: Tensor
    labels: Tensor
    body: Tensor

    @classmethod
    def of(cls, case: Case, device: torch.device) -> DeviceCase:
        """The case's voxels, copied to the device: 4 bytes a voxel for int16 images."""
        arrays = (np.array(part) for part in (case.image, case.labels, case.mask(FOREGROUND)))
        return cls(case, *(torch.from_numpy(array).to(device) for array in arrays))


class DeviceBatches:
    """Batches made on the device of this process.

    Args:
        cases: their voxels are copied to the device; without any, all samples are synthetic.
        config: of the network. batch: samples a step, over all processes.
    """

    def __init__(self, cases: Sequence[Case], config: NetworkConfig, batch: int, processes: Processes, seed: int = 0,
                 synthetic_share: float = 0.3) -> None:  # fmt: skip
        self.config, self.batch, self.processes, self.seed = config, batch, processes, seed
        self.synthetic_share = synthetic_share if cases else 1.0
        self.share = processes.share(batch)
        self.choice = TargetChoice(cases)
        self.cases = [DeviceCase.of(case, processes.device) for case in cases]

    @property
    def sizes(self) -> tuple[int, int]:
        return self.config.image_size, self.config.output_size

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        """The next batch is prepared by a thread (on a CUDA stream of its own) while one is used."""
        device = self.processes.device
        stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        with ThreadPoolExecutor(1) as thread:
            ahead = thread.submit(self._on_stream, start, stream) if start < stop else None
            for step in range(start, stop):
                assert ahead is not None
                batch, ready = ahead.result()
                if ready is not None:
                    torch.cuda.current_stream(device).wait_event(ready)
                    # The allocator must not reuse this memory for the stream it came from while it is read here.
                    for part in (batch.images, batch.targets):
                        part.record_stream(torch.cuda.current_stream(device))
                ahead = thread.submit(self._on_stream, step + 1, stream) if step + 1 < stop else None
                yield batch

    def batch_of(self, step: int) -> Batch:
        """This process's share of a step's batch."""
        rng = np.random.default_rng([self.seed, _OF_DATA, step, self.processes.rank])
        synthetic = int(rng.binomial(len(self.share), self.synthetic_share))
        parts = [self._synthetic(min(VIEWS, synthetic - done), rng) for done in range(0, synthetic, VIEWS)]
        if len(self.share) > synthetic:
            parts.append(self._real(len(self.share) - synthetic, rng))
        images, targets = (torch.cat(tensors)[:, None] for tensors in zip(*parts, strict=True))
        return Batch(images, targets, tuple(step * self.batch + i for i in self.share))

    def _on_stream(self, step: int, stream: torch.cuda.Stream | None) -> tuple[Batch, torch.cuda.Event | None]:
        if stream is None:
            return self.batch_of(step), None
        with torch.cuda.stream(stream):
            batch = self.batch_of(step)
            return batch, stream.record_event()

    def _synthetic(self, count: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        images, targets = synthesise(rng, self.config.image_size, self.processes.device, count)
        return standardised(images, self.config.family), occupancy(targets, self.config.output_size)

    def _real(self, count: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        size, family = self.config.image_size, self.config.family
        crops, targets, insides, is_ct = [], [], [], []
        for _ in range(count):
            number, label = self.choice.draw(rng)
            held = self.cases[number]
            view = random_view(number, held.case, label, rng, size, spacing_range_of(family, size))
            box = box_of_view(view, held.case.image.shape, size)
            mask = held.body[box] if label == FOREGROUND else held.labels[box] == label
            crop, target, inside = sample_view(view, held.image[box], mask, box, size)
            crops.append(crop)
            targets.append(target)
            insides.append(inside)
            is_ct.append(held.case.modality == "CT" and bool(rng.random() < 0.9))
        generator = torch.Generator(self.processes.device).manual_seed(int(rng.integers(2**31)))
        images = normalised(torch.stack(crops), torch.stack(insides), is_ct, family)
        images = changed(images, [random_change(rng) for _ in crops], generator)
        return images, occupancy(torch.stack(targets), self.config.output_size)
