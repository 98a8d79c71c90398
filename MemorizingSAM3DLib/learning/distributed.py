"""Training in several processes, as torchrun starts them: who this one is, and what it agrees on with the others."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from dataclasses import dataclass
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
