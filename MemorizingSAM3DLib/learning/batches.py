"""Where a training's batches come from: samples that worker processes prepare, or a device that makes its own."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from .distributed import Processes
from .manifest import DataError
from .objective import Batch
from .sampling import Sample


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
