"""Finding the nearest remembered cases: PyTorch and faiss in turn, on the same vectors."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
from torch import Tensor

from ..engine.errors import EngineError
from ..engine.memory.retrieval import Backend, NearestCases, Neighbours
from .contender import Contender, Group, Job, Part, Setting, UnavailableError, Wanted
from .machine import available_bytes

_GROUPS = 1000  # descriptors of scans lie in groups, by region and protocol; without groups no index could help
_BLOCK = 50_000
# performance.md: one query of 768 numbers.
_MOST_MS = {False: {1_000: 0.1, 100_000: 85, 1_000_000: 250}, True: {1_000: 0.05, 100_000: 0.2, 1_000_000: 1.5}}
_USUAL_WIDTH = 768


def knn_part(setting: Setting, sizes: Sequence[int], width: int, queries: int, k: int) -> Part:
    """One group for each number of vectors.

    Args:
        sizes: how many vectors. width: numbers of a vector. queries: of one call. k: neighbours wanted.
    """
    backends: list[Backend] = ["torch", "faiss"]
    groups = []
    for size in sizes:
        common = {"size": size, "width": width, "queries": queries, "k": k}
        contenders = [Contender(backend, search, {**common, "backend": backend}) for backend in backends]
        most = _MOST_MS[setting.on_gpu].get(size)
        wanted = {"torch": Wanted(most_ms=most)} if most and width == _USUAL_WIDTH and queries == 1 else {}
        remark = f"{k} neighbours of {queries} vectors of {width} numbers a call."
        groups.append(Group(f"{size:,} vectors", contenders, "torch", wanted, remark=remark))
    return Part("knn", "The nearest remembered cases", groups)


def search(setting: Setting, size: int, width: int, queries: int, k: int, backend: Backend) -> Job:
    """One call of a search.

    Raises:
        UnavailableError: the backend is not installed, or the vectors do not fit into the memory.
    """
    needed = 4 * size * width * 2
    available = available_bytes()
    if available is not None and needed > available:
        problem = f"It needs {needed / 1e9:.1f} GB of memory; {available / 1e9:.1f} GB are free."
        raise UnavailableError(problem, "Measure with fewer vectors: --vectors.")
    vectors = some_vectors(size, width)
    asked = vectors[torch.arange(queries) % size] + 0.02 * some_vectors(queries, width, seed=1)
    start = time.perf_counter()
    index = NearestCases(vectors, device=setting.device, backend=backend)
    built = time.perf_counter() - start
    if index.runtime.backend != backend:
        raise UnavailableError("faiss is not installed.", "pip install faiss-cpu")

    def run() -> Neighbours:
        return index.search(asked, k)

    facts = {"note": f"on {index.runtime.device}, built in {built:.1f} s", "built_seconds": built}
    return Job(run, facts={**facts, "found": run().indices.tolist()})


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
