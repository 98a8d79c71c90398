"""CUDA graphs, captured by hand: no compiler is needed, on any platform."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import torch

_WARM_UPS = 3  # as PyTorch's own make_graphed_callables: cuBLAS and cuDNN choose and allocate during these

T = TypeVar("T")


class GraphBackend(Protocol):
    """What records work to be replayed; tests put another one in place of :class:`CudaGraphs`."""

    def record(self, work: Callable[[], T]) -> tuple[Callable[[], None], T]:
        """Records what ``work`` does.

        Args:
            work: reads and writes tensors that stay where they are, waits for nothing and asks nothing of the host.

        Returns:
            what does it again, on the same tensors, and the output that this writes each time.

        Raises:
            RuntimeError: it cannot be recorded.
        """
        ...


class CudaGraphs:
    """Records on one GPU; its graphs share one memory pool.

    Graphs of a pool may be replayed in any order as long as none of them runs beside another and an output is copied
    before the next one runs (PyTorch, CUDA semantics, "Graph memory management"): whoever uses this keeps to both.

    Args:
        device: a CUDA device.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream: torch.cuda.Stream | None = None
        self._pool: Any = None  # a handle of PyTorch's own, without a public type

    def record(self, work: Callable[[], T]) -> tuple[Callable[[], None], T]:
        """See :class:`GraphBackend`. Other threads may go on using the GPU meanwhile."""
        with torch.cuda.device(self._device):
            # One stream for all, since what a pool has freed is lent again on the stream it was freed on only.
            stream = self._stream = self._stream or torch.cuda.Stream()
            self._pool = self._pool or torch.cuda.graph_pool_handle()
            current = torch.cuda.current_stream()
            # The outer context is left in any case; torch.cuda.graph does not restore the stream after a failure.
            with torch.cuda.stream(current):
                stream.wait_stream(current)
                with torch.cuda.stream(stream):
                    for _ in range(_WARM_UPS):
                        work()
                current.wait_stream(stream)
                graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(graph, self._pool, stream, capture_error_mode="thread_local"):
                    output = work()
        return graph.replay, output
