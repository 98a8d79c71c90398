"""The nearest rows, exactly: with PyTorch on any device, or with faiss."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_UNIT = 1e-6  # what float32 makes of a length of 1
_MOST_SCORES = 2**25  # 128 MB of float32 at a time


def unit_rows(vectors: Tensor) -> Tensor:
    """Vectors (n, D) scaled to unit length, float32; not copied where they are so already.

    Raises:
        ValueError: not (n, D), not finite, or a vector of zeros, which has no direction.
    """
    if vectors.ndim != 2:
        raise ValueError(f"Vectors are (n, D), not {tuple(vectors.shape)}.")
    vectors = vectors.to(torch.float32)
    lengths = torch.linalg.vector_norm(vectors, dim=1)
    if not torch.isfinite(lengths).all() or (lengths == 0).any():
        raise ValueError("Vectors have to be finite, and none may be zero.")
    if not len(vectors) or (lengths - 1).abs().max() < _UNIT:
        return vectors
    return vectors / lengths[:, None]


def torch_candidates(rows: Tensor, queries: Tensor, k: int) -> Tensor:
    """The k rows of the largest products with each query, in no particular order.

    Args:
        rows: (n, D), unit length; n at least k.
        queries: (q, D), unit length, on the same device.
        k: at least 1.

    Returns:
        (q, k) row numbers.
    """
    block = max(k, _MOST_SCORES // max(1, len(queries)))
    best: Tensor | None = None
    indices: Tensor | None = None
    for begin in range(0, len(rows), block):
        part = rows[begin : begin + block]
        # A single query as matrix times vector reads the rows once, at the memory's full speed.
        scores = (part @ queries[0])[None] if len(queries) == 1 else queries @ part.T
        found, where = scores.topk(min(k, len(part)), dim=1, sorted=False)
        where = where + begin
        if best is not None and indices is not None:
            found, where = torch.cat([best, found], 1), torch.cat([indices, where], 1)
            found, kept = found.topk(min(k, found.shape[1]), dim=1, sorted=False)
            where = where.gather(1, kept)
        best, indices = found, where
    assert indices is not None
    return indices


def faiss_candidates(faiss: Any, rows: Tensor, queries: Tensor, k: int, gpu: Any = None) -> Tensor:
    """As :func:`torch_candidates`, by faiss's brute force, which needs no index: nothing is copied.

    Args:
        faiss: the module.
        rows: see there; on the CPU.
        queries: see there; on the CPU.
        k: see there.
        gpu: faiss's resources of a GPU, or None.
    """
    kind = faiss.METRIC_INNER_PRODUCT
    if gpu is not None:
        return torch.from_numpy(faiss.knn_gpu(gpu, queries.numpy(), rows.numpy(), k, metric=kind)[1])
    return torch.from_numpy(faiss.knn(queries.numpy(), rows.numpy(), k, metric=kind)[1])
