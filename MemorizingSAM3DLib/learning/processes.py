"""Training in several processes, as torchrun starts them: who this one is, and what it agrees on with the others.

Stopping a long job at a good moment: on Ctrl-C, on SIGTERM, or when its time is up.
"""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

from ..engine.errors import EngineError

T = TypeVar("T")


class TrainingError(EngineError):
    """A training cannot be begun or gone on with as it was asked for."""


@dataclass(frozen=True)
class Processes:
    """This process among those that train together.

    Attributes:
        rank: 0 for the first, which alone writes files. count: of all. device: that this one computes on.
    """

    rank: int
    count: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this process writes the files and talks to the user."""
        return self.rank == 0

    def share(self, batch: int) -> range:
        """Which samples of a batch are this process's.

        Raises:
            TrainingError: the batch cannot be shared equally.
        """
        if batch % self.count:
            raise TrainingError(
                f"A batch of {batch} cannot be shared by {self.count} processes.",
                f"Give a --batch that is a multiple of {self.count}; it is that of all processes together.",
            )
        size = batch // self.count
        return range(self.rank * size, (self.rank + 1) * size)

    def parallel(self, module: nn.Module, uses_all: bool) -> nn.Module:
        """The module as all processes run it: gradients are averaged over them in the backward pass."""
        if self.count == 1:
            return module
        return DistributedDataParallel(module, find_unused_parameters=not uses_all)

    def mean(self, values: Tensor) -> Tensor:
        """The mean over all processes."""
        if self.count > 1:
            dist.all_reduce(values)
            values = values / self.count
        return values

    def told_by_first(self, work: Callable[[], T]) -> T:
        """What the first process finds (in its folder, say), told to all."""
        found = [work() if self.first else None]
        if self.count > 1:
            dist.broadcast_object_list(found)
        return found[0]  # type: ignore[return-value]

    def first_before_others(self, work: Callable[[], T]) -> T:
        """What the first process does before the others do it too (expanding a file once, say)."""
        result = work() if self.first else None
        if self.count > 1:
            dist.barrier()
        return result if self.first else work()  # type: ignore[return-value]

    def close(self) -> None:
        """Leaves the group.

        What still holds the group (a parallel module's cycles) is collected at once: gloo's threads that outlive it
        until Python ends abort the process (https://github.com/pytorch/pytorch/pull/179291).
        """
        if self.count > 1:
            gc.collect()
            dist.destroy_process_group()
            gc.collect()


def join_processes(device: torch.device) -> Processes:
    """The processes that torchrun started (from its environment variables), or this one alone.

    Args:
        device: the kind that was chosen; on CUDA every process of a machine takes the GPU of its local rank.

    Raises:
        TrainingError: more processes than GPUs on this machine.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        return Processes(0, 1, device)
    rank, local = int(os.environ["RANK"]), int(os.environ.get("LOCAL_RANK", "0"))
    if device.type == "cuda":
        if local >= torch.cuda.device_count():
            raise TrainingError(
                f"This machine has {torch.cuda.device_count()} GPUs, fewer than processes.",
                "Start torchrun with --nproc-per-node no larger than that.",
            )
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return Processes(rank, count, device)


class StopRequest:
    """Whether the job should stop after its present step.

    Args:
        minutes: after which it should; None: never.
    """

    def __init__(self, minutes: float | None = None) -> None:
        self._end = None if minutes is None else time.monotonic() + 60 * minutes
        self._asked = False

    def __call__(self) -> bool:
        return self._asked or (self._end is not None and time.monotonic() >= self._end)

    def ask(self) -> None:
        """Asks to stop; asking twice raises KeyboardInterrupt at once."""
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True


@contextmanager
def stopping_gracefully(minutes: float | None = None) -> Iterator[StopRequest]:
    """A request that Ctrl-C and SIGTERM make as well; a second Ctrl-C interrupts as usual.

    Args:
        minutes: after which it is made anyway.
    """
    request = StopRequest(minutes)
    if threading.current_thread() is not threading.main_thread():
        yield request  # signals belong to the main thread
        return

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        request.ask()

    previous = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
