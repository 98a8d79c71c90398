"""A device whose memory runs out when a test says so, and notes what is done about it."""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Any

import torch
from torch import nn

from MemorizingSAM3DLib.engine.runtime.device import Runtime
from MemorizingSAM3DLib.engine.runtime.out_of_memory import Shortage

CPU = Runtime(torch.device("cpu"), "float32", "CPU (test)")


class TooLittleError(RuntimeError):
    """As torch.OutOfMemoryError, which only a GPU raises."""


class ScarceMemory:
    """Stands in for a GPU's memory; all is computed on the CPU.

    Attributes:
        done: what the ladder asked for, in order.
    """

    def __init__(self) -> None:
        self.done: list[str] = []

    def shortage(self, error: BaseException) -> Shortage | None:
        if isinstance(error, MemoryError):
            return "host"
        return "device" if isinstance(error, TooLittleError) else None

    def free_cache(self) -> None:
        self.done.append("free")

    def move_to(self, module: nn.Module, device: torch.device) -> None:
        self.done.append(f"move {type(module).__name__} to {device}")

    def fallback(self, runtime: Runtime) -> Runtime | None:
        return None if runtime is CPU else CPU


def fail_at(owner: Any, method: str, numbers: Container[int], error: type[Exception] = TooLittleError) -> list[int]:
    """Lets calls of a method fail by their numbers, from 1; a list grows by the number of every call."""
    original: Callable[..., Any] = getattr(owner, method)
    calls: list[int] = []

    def sometimes(*arguments: Any, **named: Any) -> Any:
        calls.append(len(calls) + 1)
        if calls[-1] in numbers:
            raise error("CUDA out of memory")
        return original(*arguments, **named)

    setattr(owner, method, sometimes)
    return calls
