"""Where a training's batches come from: samples that worker processes prepare, or a device that makes its own.

Batches made on the training device: scans lie in its memory, crops are cut and volumes synthesised there.

A step's batch follows from (seed, step, process) alone. Nothing waits for the device, so a GPU prepares the next
batch while the present one is still being computed.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from MemorizingSAM3DLib.engine.networks.config import NetworkConfig, spacing_range_of

from ..processes import Processes
from ..synthetic.synthesis import synthesise
from ..training.objective import Batch
from .augmentation import augmented, normalised, random_change
from .cases import FOREGROUND, Case
from .manifest import DataError
from .samples import Sample, TargetChoice, occupancy, standardised
from .views import box_of_random_crop, random_crop, sample_random_crop


class BatchSource(Protocol):
    """Batches by the number of the step.

    Attributes:
        sizes: edges of crops and of targets, voxels.
    """

    @property
    def sizes(self) -> tuple[int, int]: ...

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        """This process's share of the batches of the steps start, ..., stop - 1.

        Raises:
            DataError: the scans have nothing that can be clicked.
        """


class Samples(Protocol):
    """Samples by number; ``size`` and ``output_size`` are the edges of crops and targets, voxels."""

    size: int
    output_size: int

    def __getitem__(self, index: int) -> Sample: ...


class LoadedBatches:
    """Batches of a stream's samples, prepared by worker processes; sample i of step n is number n * batch + i.

    Args:
        batch: samples a step, over all processes. workers: 0 prepares them in this process.
    """

    def __init__(self, stream: Samples, batch: int, processes: Processes, workers: int = 0) -> None:
        self.stream, self.batch, self.processes, self.workers = stream, batch, processes, workers
        self.share = processes.share(batch)

    @property
    def sizes(self) -> tuple[int, int]:
        return self.stream.size, self.stream.output_size

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        numbers = [[step * self.batch + i for i in self.share] for step in range(start, stop)]
        device = self.processes.device
        loader = DataLoader(
            _Samples(self.stream),
            batch_sampler=numbers,
            num_workers=self.workers,
            prefetch_factor=3 if self.workers else None,
            collate_fn=_collate,
            pin_memory=device.type == "cuda",
            worker_init_fn=_let_the_trainer_stop,
        )
        for of_step, made in zip(numbers, loader, strict=True):
            if isinstance(made, _Fault):
                raise DataError(*made)
            images, targets = (part.to(device, non_blocking=True) for part in made)
            yield Batch(images, targets, tuple(of_step))


class RepeatedBatches:
    """Each batch of a source for several steps in a row, the very same object.

    Args:
        times: steps that a batch serves for.
    """

    def __init__(self, source: BatchSource, times: int) -> None:
        self.source, self.times = source, times

    @property
    def sizes(self) -> tuple[int, int]:
        return self.source.sizes

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        first = start // self.times
        for group, batch in enumerate(self.source.batches(first, -(-stop // self.times)), first):
            for _ in range(max(start, group * self.times), min(stop, (group + 1) * self.times)):
                yield batch


class _Fault(NamedTuple):
    """A user's error on its way out of a worker process, where an exception would become a traceback."""

    problem: str
    remedy: str


class _Samples(Dataset["Sample | _Fault"]):
    def __init__(self, stream: Samples) -> None:
        self.stream = stream

    def __getitem__(self, index: int) -> Sample | _Fault:
        try:
            return self.stream[index]
        except DataError as error:
            return _Fault(error.problem, error.remedy)


def _let_the_trainer_stop(_worker: int) -> None:
    # Ctrl-C reaches every process of the terminal; the training ends its workers itself, after the step.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _collate(made: list[Sample | _Fault]) -> tuple[Tensor, Tensor] | _Fault:
    for fault in made:
        if isinstance(fault, _Fault):
            return fault
    samples = [sample for sample in made if isinstance(sample, Sample)]
    return torch.stack([s.image for s in samples]), torch.stack([s.target for s in samples])


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
            view = random_crop(number, held.case, label, rng, size, spacing_range_of(family, size))
            box = box_of_random_crop(view, held.case.image.shape, size)
            mask = held.body[box] if label == FOREGROUND else held.labels[box] == label
            crop, target, inside = sample_random_crop(view, held.image[box], mask, box, size)
            crops.append(crop)
            targets.append(target)
            insides.append(inside)
            is_ct.append(held.case.modality == "CT" and bool(rng.random() < 0.9))
        generator = torch.Generator(self.processes.device).manual_seed(int(rng.integers(2**31)))
        images = normalised(torch.stack(crops), torch.stack(insides), is_ct, family)
        images = augmented(images, [random_change(rng) for _ in crops], generator)
        return images, occupancy(torch.stack(targets), self.config.output_size)
