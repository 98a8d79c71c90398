"""What a device does about its memory: recognises that it ran out, and frees what nobody uses."""

from __future__ import annotations

import gc
from typing import Literal, Protocol

import torch
from torch import nn

from .runtime import Runtime, choose_runtime

Shortage = Literal["device", "host"]

#: How libraries beneath Python say that no memory is left. ITK and PyTorch's CPU allocator raise plain RuntimeErrors.
_HOST_WORDS = ("not enough memory", "can't allocate memory", "failed to allocate memory", "bad_alloc")
#: CUDA's, outside of PyTorch's allocator: a context, a graph or a library's workspace did not fit.
_DEVICE_WORDS = ("cuda error: out of memory", "cublas_status_alloc_failed", "cudnn_status_alloc_failed")


class DeviceMemory(Protocol):
    """All that the out-of-memory ladder asks of a device; tests put another one in its place."""

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
