"""Stands in for CUDA graphs: replaying does the recorded work again, on the tensors that it was recorded with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor


class ReplayingBackend:
    """As CUDA graphs are to their user, on the CPU.

    Attributes:
        records, replays: how often each was asked for. error: raised instead of recording.
    """

    def __init__(self, error: Exception | None = None) -> None:
        self.records = self.replays = 0
        self.error = error

    def record(self, work: Callable[[], Any]) -> tuple[Callable[[], None], Any]:
        self.records += 1
        if self.error is not None:
            raise self.error
        output = work()
        for tensor in tensors_of(output):
            tensor.fill_(float("nan"))  # recording computes nothing: only a replay does

        def replay() -> None:
            self.replays += 1
            for place, tensor in zip(tensors_of(output), tensors_of(work()), strict=True):
                place.copy_(tensor)

        return replay, output


def tensors_of(output: Any) -> Iterator[Tensor]:
    """Every tensor of a nested tuple."""
    if isinstance(output, Tensor):
        yield output
    elif output is not None:
        for part in output:
            yield from tensors_of(part)
