"""Intervals of means by resampling cases: structures of one patient are alike, so a case is what is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

REPLICATES = 2000
LEVEL = 0.95


class Estimate(NamedTuple):
    """A mean, (m,) for m figures, and the same mean of every replicate, (replicates, m)."""

    mean: np.ndarray
    replicates: np.ndarray

    def interval(self, level: float = LEVEL) -> tuple[np.ndarray, np.ndarray]:
        """Percentile interval, low and high, each (m,). With one case in every dataset it has no width."""
        tail = 100 * (1 - level) / 2
        low, high = np.nanpercentile(self.replicates, (tail, 100 - tail), axis=0)
        return low, high

    def minus(self, other: Estimate) -> Estimate:
        """The difference; paired, since both come from the same resampled cases."""
        return Estimate(self.mean - other.mean, self.replicates - other.replicates)


class CaseBootstrap:
    """Means over structures, within datasets and over datasets, with replicates from resampled cases.

    Every replicate draws, in each dataset, as many cases as it has, with replacement (Efron 1979, stratified); all
    structures of a drawn case come along. All means of one bootstrap use the same draws, so differences are paired.

    Args:
        datasets, cases: of each structure; one row each.
        replicates: how many. seed: of the draws.
    """

    def __init__(self, datasets: Sequence[str], cases: Sequence[str], replicates: int = REPLICATES,
                 seed: int = 0) -> None:  # fmt: skip
        self._replicates = replicates
        self._datasets = np.array(datasets, dtype=object)
        weights = np.zeros((replicates, len(datasets)))
        for number, name in enumerate(self.names):
            rows = np.flatnonzero(self._datasets == name)
            drawn, of_row = np.unique(np.array(cases, dtype=object)[rows].astype(str), return_inverse=True)
            rng = np.random.default_rng([seed, number])
            counts = rng.multinomial(len(drawn), np.full(len(drawn), 1 / len(drawn)), size=replicates)
            weights[:, rows] = counts[:, of_row]
        self._weights = weights

    @property
    def names(self) -> list[str]:
        """The datasets, sorted."""
        return sorted(set(self._datasets.tolist()))

    def over_structures(self, values: np.ndarray, rows: np.ndarray | None = None) -> Estimate:
        """Mean over structures.

        Args:
            values: (structures, m). rows: bool, the structures that count; None: all. At least one.

        Returns:
            replicates that drew none of the rows are NaN.
        """
        chosen = np.ones(len(self._datasets), dtype=bool) if rows is None else rows
        weights = self._weights[:, chosen]
        drawn = weights.sum(axis=1, keepdims=True)
        means = np.full((self._replicates, values.shape[1]), np.nan)
        np.divide(weights @ values[chosen], drawn, out=means, where=drawn > 0)
        return Estimate(values[chosen].mean(axis=0), means)

    def of_dataset(self, name: str, values: np.ndarray) -> Estimate:
        """Mean over the structures of a dataset."""
        return self.over_structures(values, self._datasets == name)

    def over_datasets(self, values: np.ndarray, rows: np.ndarray | None = None) -> Estimate:
        """Mean over datasets of their means over structures: every dataset weighs alike.

        Args:
            values: (structures, m). rows: bool, the structures that count; None: all. At least one.
        """
        chosen = np.ones(len(self._datasets), dtype=bool) if rows is None else rows
        names = [name for name in self.names if (chosen & (self._datasets == name)).any()]
        found = [self.over_structures(values, chosen & (self._datasets == name)) for name in names]
        return Estimate(
            np.mean([estimate.mean for estimate in found], axis=0),
            np.mean([estimate.replicates for estimate in found], axis=0),
        )
