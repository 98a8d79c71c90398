"""What is given up, step by step, when memory runs out, so that a session goes on; and the words that say so.

What a device does about its memory: recognises that it ran out, and frees what nobody uses.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from enum import Enum
from typing import Literal, Protocol, TypeVar

import torch
from torch import nn

from ..errors import EngineError
from .device import Runtime, choose_runtime

Shortage = Literal["device", "host"]
#: How libraries beneath Python say that no memory is left. ITK and PyTorch's CPU allocator raise plain RuntimeErrors.
_HOST_WORDS = ("not enough memory", "can't allocate memory", "failed to allocate memory", "bad_alloc")
#: CUDA's, outside of PyTorch's allocator: a context, a graph or a library's workspace did not fit.
_DEVICE_WORDS = ("cuda error: out of memory", "cublas_status_alloc_failed", "cudnn_status_alloc_failed")


class DeviceMemory(Protocol):
    """All that the out-of-memory fallback asks of a device; tests put another one in its place."""

    def shortage(self, error: BaseException) -> Shortage | None:
        """Whose memory ran out: the GPU's, the computer's, or nobody's (the error is another)."""
        ...

    def free_cache(self) -> None:
        """Gives back what is allocated and not in use."""
        ...

    def move_to(self, module: nn.Module, device: torch.device) -> None:
        """Moves a module's weights, in place."""
        ...

    def fallback(self, runtime: Runtime) -> Runtime | None:
        """Where to compute when a device's memory is too small; None: there is nothing else."""
        ...


class TorchMemory:
    """:class:`DeviceMemory` of PyTorch's devices."""

    def shortage(self, error: BaseException) -> Shortage | None:
        """See :class:`DeviceMemory`. ``torch.OutOfMemoryError`` is raised for GPUs only."""
        if isinstance(error, torch.OutOfMemoryError):
            return "device"
        if isinstance(error, MemoryError):
            return "host"
        if not isinstance(error, RuntimeError):
            return None
        text = str(error).lower()
        if any(words in text for words in _DEVICE_WORDS):
            return "device"
        return "host" if any(words in text for words in _HOST_WORDS) else None

    def free_cache(self) -> None:
        """Garbage first: tensors in reference cycles, such as an exception's frames, would stay in use."""
        gc.collect()
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            torch.cuda.empty_cache()

    def move_to(self, module: nn.Module, device: torch.device) -> None:
        """See :class:`DeviceMemory`."""
        module.to(device)

    def fallback(self, runtime: Runtime) -> Runtime | None:
        """The CPU, unless it is computing already."""
        return None if runtime.device.type == "cpu" else choose_runtime("cpu")


SMALL_BANK = 16  # interactions: the bank's first allocation
T = TypeVar("T")


class MemoryExhaustedError(EngineError):
    """Nothing is left to give up. The edit failed and changed nothing."""


class Rung(Enum):
    """A step of the fallback, and what the user is told of it. In the order in which they are taken."""

    CACHE = "encoded parts of the scan were dropped, so that some clicks take longer"
    BANK = f"only the last {SMALL_BANK} clicks of a segment are remembered"
    HALF = "remembered clicks are kept in half precision"
    CPU = "everything is computed on the CPU now, which is slower"


class Yielding(Protocol):
    """What can give up memory: a predictor."""

    runtime: Runtime

    def drop_crops(self) -> None:
        """Lets go of all that can be computed again."""
        ...

    def shrink_bank(self, size: int) -> bool:
        """Hears no more than so many past interactions; False when that is so already."""
        ...

    def halve_memories(self) -> bool:
        """Keeps past interactions in half precision; False when they are, or there are none to come."""
        ...

    def move_to(self, runtime: Runtime) -> None:
        """Computes there from now on."""
        ...


class OutOfMemoryFallback:
    """Computes again, with less, what failed for want of memory.

    What is computed must be free of side effects when it fails: it is done anew, once after each rung. Prompts, history
    and masks are on the host, as values, and no rung touches them.

    Args:
        predictor: gives up memory. device: says what ran out, and frees.

    Attributes:
        taken: the rungs that were taken so far, each once, in the order of the first time.
        moved_from: the device that was left, as the user knows it; None: none was.
    """

    def __init__(self, predictor: Yielding, device: DeviceMemory) -> None:
        self._predictor, self._device = predictor, device
        self.taken: tuple[Rung, ...] = ()
        self.moved_from: str | None = None

    @property
    def warning(self) -> str | None:
        """What was given up, in plain words that stay; None: nothing was."""
        taken = self.taken
        if not taken:
            return None
        name = self.moved_from or self._predictor.runtime.name
        done = "; ".join(rung.value for rung in taken)
        return f"The memory of {name} ran out, and the work goes on with less: {done}. {self._remedy}"

    @property
    def _remedy(self) -> str:
        if self.moved_from:
            return "To go back, close other programs that use the GPU, and start again."
        return "Close other programs to have more."

    def run(self, compute: Callable[[], T]) -> T:
        """What ``compute`` gives, if need be on a lower rung.

        Raises:
            MemoryExhaustedError: it fails on the last one, too.
        """
        rungs = iter(Rung)
        while True:
            try:
                return compute()
            except Exception as error:
                shortage = self._device.shortage(error)
                if shortage is None:
                    raise
            # Out here, where the error is gone: its frames hold the very tensors that are to be freed.
            while not self._take(next(rungs, None), shortage):
                pass

    def _take(self, rung: Rung | None, shortage: Shortage) -> bool:
        """Takes a rung; False where there is nothing to gain on it."""
        predictor = self._predictor
        # What a GPU holds is no burden to the host, and a full host has no room for it.
        elsewhere = shortage == "host" and predictor.runtime.device.type != "cpu"
        if rung is None:
            whose = "The computer's memory" if shortage == "host" else f"The memory of {predictor.runtime.name}"
            raise MemoryExhaustedError(
                f"{whose} is full. The last edit was not made.",
                "Close other programs and try again, or crop the scan (Slicer's 'Crop Volume' module).",
            )
        if rung is Rung.CACHE:
            predictor.drop_crops()
        elif rung is Rung.BANK and (elsewhere or not predictor.shrink_bank(SMALL_BANK)):
            return False
        elif rung is Rung.HALF and (elsewhere or not predictor.halve_memories()):
            return False
        elif rung is Rung.CPU:
            other = self._device.fallback(predictor.runtime) if shortage == "device" else None
            if other is None:
                return False
            self.moved_from = predictor.runtime.name
            predictor.move_to(other)
        self._device.free_cache()
        if rung not in self.taken:
            self.taken = (*self.taken, rung)
        return True
