"""The nearest rows of very many, approximately: faiss's inverted lists, with the recall that they reach."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .nearest_exact import torch_candidates

_PER_LIST = 40  # rows a list that the lists' centres are learned from
_ROUNDS = 8  # of k-means
_SAMPLE = 64  # stored rows that the recall is measured with
_RECALL_AT = 10
_WANTED = 0.98
_SPARE = 3  # candidates for each neighbour wanted: the lists hold half precision, the exact distances decide


class InvertedLists:
    """An index of unit rows: half-precision copies in about 2 sqrt(n) lists, as many of them searched as are needed.

    It is built anew each time, and never read from a file: faiss's reader corrupts memory on a damaged one.

    Args:
        faiss: the module.
        rows: (n, D), unit length, float32, on the CPU.

    Attributes:
        recall: the part of a stored row's 10 nearest that is found, measured on 64 of them.
        probes: lists searched for a query.
    """

    def __init__(self, faiss: Any, rows: Tensor) -> None:
        count, width = rows.shape
        lists = 2 ** min(round(math.log2(2 * math.sqrt(count))), int(math.log2(count)))
        rng = np.random.default_rng(0)
        product = faiss.METRIC_INNER_PRODUCT
        half = faiss.ScalarQuantizer.QT_fp16
        self._centres = faiss.IndexFlatIP(width)  # held: the index does not own it
        self._index = faiss.IndexIVFScalarQuantizer(self._centres, width, lists, half, product)
        self._index.cp.niter = _ROUNDS
        self._index.cp.max_points_per_centroid = _PER_LIST
        self._index.cp.min_points_per_centroid = 1  # else faiss warns on the terminal
        values = rows.numpy()
        self._index.train(values[rng.choice(count, min(count, _PER_LIST * lists), replace=False)])
        self._index.add(values)
        self.probes = 1
        self.recall = self._measure(rows, rng)
        while self.recall < _WANTED and self.probes < lists:
            self.probes = min(2 * self.probes, lists)
            self.recall = self._measure(rows, rng)

    def candidates(self, queries: Tensor, k: int) -> Tensor:
        """Row numbers (q, more than k where there are) of likely neighbours; -1 where the lists held too few."""
        self._index.nprobe = self.probes
        return torch.from_numpy(self._index.search(queries.numpy(), min(_SPARE * k, self._index.ntotal))[1])

    def _measure(self, rows: Tensor, rng: np.random.Generator) -> float:
        chosen = torch.from_numpy(rng.choice(len(rows), min(_SAMPLE, len(rows)), replace=False))
        k = min(_RECALL_AT + 1, len(rows))  # each finds itself, which proves nothing
        if k == 1:
            return 1.0
        truth = torch_candidates(rows, rows[chosen], k)
        found = self.candidates(rows[chosen], k)
        hits = 0.0
        for row, wanted, got in zip(chosen.tolist(), truth.tolist(), found.tolist(), strict=True):
            others = set(wanted) - {row}
            hits += len(others & set(got)) / len(others) if others else 1
        return hits / len(chosen)
