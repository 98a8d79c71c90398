"""Times of finding the nearest remembered cases: PyTorch and faiss in one run, on the same vectors."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ..engine.errors import EngineError
from ..engine.memory.retrieval import Backend, NearestCases, Neighbours
from .encoding import median_times

_GROUPS = 1000  # descriptors of scans lie in groups, by region and protocol; without groups no index could help
_BLOCK = 50_000


def measure_retrieval(
    sizes: Sequence[int],
    width: int,
    queries: int,
    k: int,
    repeats: int,
    device: str = "cpu",
    inverted: bool = False,
    progress: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Searches vectors with every backend there is, in turn: medians, ratios, and whether they find the same.

    Args:
        sizes: how many vectors, one run each.
        width: numbers of a vector.
        queries: of one call.
        k: neighbours wanted.
        repeats: timed calls of each backend, after one that is not timed.
        device: PyTorch's, and faiss's where it has it.
        inverted: whether faiss's inverted lists are built, too: a minute or more for a million vectors.
        progress: called after each of :func:`stages` pieces of work.

    Returns:
        A JSON-ready report.

    Raises:
        EngineError: the vectors do not fit into the memory.
    """
    return {
        "system": {
            "torch": torch.__version__,
            "processor": platform.processor() or platform.machine(),
            "threads": torch.get_num_threads(),
            "device": device,
            "repeats": repeats,
        },
        "k": k,
        "width": width,
        "queries": queries,
        "runs": [_measure(size, width, queries, k, repeats, device, inverted, progress) for size in sizes],
    }


def stages(sizes: Sequence[int], repeats: int) -> int:
    """How often :func:`measure_retrieval` reports progress."""
    return len(sizes) * (2 + repeats)


def some_vectors(count: int, width: int, seed: int = 0) -> Tensor:
    """(count, width) unit vectors in groups, as scans come, always the same."""
    generator = torch.Generator().manual_seed(seed)
    groups = torch.randn(_GROUPS, width, generator=generator)
    try:
        vectors = torch.empty(count, width)
        for begin in range(0, count, _BLOCK):
            part = vectors[begin : begin + _BLOCK]
            part.normal_(generator=generator)
            part += 1.5 * groups[torch.randint(_GROUPS, (len(part),), generator=generator)]
            part /= torch.linalg.vector_norm(part, dim=1, keepdim=True)
    except RuntimeError as error:
        problem = f"{count} vectors of {width} numbers do not fit into the memory."
        raise EngineError(problem, "Measure with fewer: --vectors.") from error
    return vectors


def _measure(
    size: int,
    width: int,
    queries: int,
    k: int,
    repeats: int,
    device: str,
    inverted: bool,
    progress: Callable[[], None],
) -> dict[str, Any]:
    vectors = some_vectors(size, width)
    asked = vectors[torch.arange(queries) % size] + 0.02 * some_vectors(queries, width, seed=1)
    backends: list[Backend] = ["torch", "faiss", *(["faiss-ivf"] if inverted else [])]  # type: ignore[list-item]
    searches, built = {}, {}
    for backend in backends:
        start = time.perf_counter()
        search = NearestCases(vectors, device=device, backend=backend)
        if search.runtime.backend == backend:  # else faiss is not installed
            searches[backend] = search
            built[backend] = round(time.perf_counter() - start, 2)
    progress()

    def job(search: NearestCases) -> Callable[[], Neighbours]:
        return lambda: search.search(asked, k)

    times = median_times({name: job(search) for name, search in searches.items()}, repeats, progress)
    found = {name: search.search(asked, k).indices for name, search in searches.items()}
    return {
        "vectors": size,
        "milliseconds": {name: round(1000 * seconds, 3) for name, seconds in times.items()},
        "ratio": {name: round(times[name] / times["torch"], 3) for name in times},
        "same_neighbours": {name: round(float((found[name] == found["torch"]).mean()), 4) for name in found},
        "recall": {name: round(search.runtime.recall, 4) for name, search in searches.items()},
        "built_seconds": built,
        "device": {name: search.runtime.device for name, search in searches.items()},
    }
