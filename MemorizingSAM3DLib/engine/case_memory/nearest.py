"""The nearest remembered cases, through PyTorch or faiss behind one interface.

Chosen from measurements (``memorizing-sam3d benchmark knn``; 2 CPU cores that others used as well, one query, k = 10,
ms a call; compare within a row):

    rows     width  torch   faiss, exact  faiss, inverted lists (recall)
    1e3      256    0.17    0.12          0.19
    1e5      256    82      121           0.45 (1.00), built in 9 s
    1e6      256    442     430           26 (1.00), built in 255 s
    1e3      768    0.18    0.18          -
    1e5      768    121     190           -
    1e6      768    257     458           -

So exact search goes through PyTorch everywhere (faiss's exact search on a GPU is slower than matmul and topk as well:
1.5 against 9.8 ms, faiss issue 3045). Inverted lists would pay from a million rows on; a memory of the default budget
holds 176,600, so there are none. faiss is imported only when it is asked for.

The nearest rows, exactly: with PyTorch on any device, or with faiss.
"""

from __future__ import annotations

import importlib
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
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


Metric = Literal["cosine", "l2"]
Backend = Literal["auto", "torch", "faiss"]
_MOST_GATHERED = 2**24  # numbers of candidates at a time: 64 MB


class Neighbours(NamedTuple):
    """(q, k') row numbers (int64) and distances (float32), nearest first; k' = min(k, rows that may be found)."""

    indices: np.ndarray
    distances: np.ndarray


class SearchFacts(NamedTuple):
    """How the search is done, for a status line.

    Args:
        backend: "torch" or "faiss".
        device: where.
        note: why it is not as it was asked for; empty if it is.
    """

    backend: str
    device: str
    note: str = ""

    def __str__(self) -> str:
        return f"{self.backend} on {self.device}, exact" + (f" ({self.note})" if self.note else "")


class NearestCases:
    """Unit vectors, searched for the nearest to a query. Made anew whenever the vectors change.

    Args:
        vectors: (n, D), any float type; scaled to unit length. n may be 0. Float32 vectors of unit length are not
            copied: leave them as they are.
        metric: "cosine": 1 - cos, 0 to 2. "l2": the length of the difference, 0 to 2. The order is the same.
        device: PyTorch's, where the vectors are held.
        backend: "auto": see the module. Each is exact.

    Attributes:
        runtime: how the search is done.

    Raises:
        ValueError: vectors of another shape, not finite, or of length zero.
    """

    runtime: SearchFacts

    def __init__(
        self,
        vectors: np.ndarray | Tensor,
        metric: Metric = "cosine",
        device: str | torch.device = "cpu",
        backend: Backend = "auto",
    ) -> None:
        if metric not in get_args(Metric) or backend not in get_args(Backend):
            raise ValueError(f"There is no metric {metric} or no backend {backend}.")
        self._metric = metric
        self._faiss: Any = None
        self._gpu: Any = None
        self._rows, note = _on_device(unit_rows(_tensor(vectors)), torch.device(device))
        where = self._rows.device
        if backend == "auto":
            backend = "torch"
        if backend != "torch" and len(self._rows):
            self._faiss = _faiss()
            if self._faiss is None:
                backend, note = "torch", "faiss is not installed"
        if self._faiss is not None:
            self._rows = self._rows.cpu()  # faiss takes arrays, and brings them to its GPU itself
            if where.type == "cuda" and hasattr(self._faiss, "StandardGpuResources"):
                self._gpu = self._faiss.StandardGpuResources()
            elif where.type == "cuda":
                note = "this faiss has no GPU"
        device_name = "cuda" if self._gpu is not None else str(self._rows.device)
        self.runtime = SearchFacts(backend, device_name, note)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def width(self) -> int:
        """D, the numbers of a vector."""
        return self._rows.shape[1]

    def search(self, queries: np.ndarray | Tensor, k: int, among: np.ndarray | None = None) -> Neighbours:
        """The k nearest rows to each query.

        Args:
            queries: (q, D), any float type; scaled to unit length.
            k: at least 1; fewer are found where there are fewer.
            among: (n,) bool, the rows that may be found (:meth:`.memory.CaseMemory.matching`).

        Returns:
            row numbers and distances, (q, k') each, nearest first; of equally near ones the first row first.

        Raises:
            ValueError: queries or `among` of another shape, queries not finite or zero, or k below 1.
        """
        asked = unit_rows(_tensor(queries)).to(self._rows.device)
        if asked.shape[1] != self.width:
            raise ValueError(f"Queries have {asked.shape[1]} numbers, the vectors {self.width}.")
        if k < 1:
            raise ValueError("k is at least 1.")
        if among is None:
            allowed, rows = None, self._rows
        else:
            mask = np.asarray(among)
            if mask.shape != (len(self),) or mask.dtype != bool:
                raise ValueError(f"among is ({len(self)},) of bool, not {mask.shape} of {mask.dtype}.")
            allowed = torch.from_numpy(np.flatnonzero(mask)).to(self._rows.device)
            rows = self._rows[allowed]
        k = min(k, len(rows))
        if k == 0 or len(asked) == 0:
            return Neighbours(np.zeros((len(asked), k), np.int64), np.zeros((len(asked), k), np.float32))
        found = self._candidates(rows, asked, k) if allowed is None else allowed[torch_candidates(rows, asked, k)]
        return self._ordered(asked, found, k)

    def _candidates(self, rows: Tensor, asked: Tensor, k: int) -> Tensor:
        if self._faiss is not None:
            return faiss_candidates(self._faiss, rows, asked, k, self._gpu)
        return torch_candidates(rows, asked, k)

    def _ordered(self, asked: Tensor, found: Tensor, k: int) -> Neighbours:
        """The k nearest of the candidates, by distances that do not suffer from 1 - cos for nearly equal vectors."""
        found = found.sort(dim=1).values  # equal distances then stay in the order of the rows
        few = max(1, _MOST_GATHERED // (found.shape[1] * self.width))
        squared = torch.cat(
            [
                (self._gathered(near) - query[:, None]).square().sum(2)
                for query, near in zip(asked.split(few), found.split(few), strict=True)
            ]
        )
        squared, order = squared.sort(dim=1, stable=True)
        indices = found.gather(1, order)[:, :k]
        distances = squared[:, :k].sqrt() if self._metric == "l2" else squared[:, :k] / 2
        return Neighbours(indices.cpu().numpy(), distances.cpu().numpy())

    def _gathered(self, rows: Tensor) -> Tensor:
        if self._rows.device.type != "cpu":
            return self._rows[rows]
        # PyTorch would wake its threads for these few numbers, and wait for them: tens of milliseconds on a busy CPU.
        return torch.from_numpy(self._rows.numpy()[rows.numpy()])


def _tensor(values: np.ndarray | Tensor) -> Tensor:
    if isinstance(values, Tensor):
        return values.detach()
    # Arrays that may not be written to are copied: PyTorch does not know such a thing, and warns.
    return torch.from_numpy(np.asarray(values, np.float32) if values.flags.writeable else np.array(values, np.float32))


def _on_device(rows: Tensor, device: torch.device) -> tuple[Tensor, str]:
    try:
        return rows.to(device), ""
    except torch.OutOfMemoryError:
        return rows.cpu(), f"the memory of {device} is full"


def _faiss() -> Any:
    try:
        return importlib.import_module("faiss")
    except ImportError:
        return None
