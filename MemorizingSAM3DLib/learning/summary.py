"""Means of an evaluation with their intervals: the content of results.json."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .baselines import Baseline
from .bootstrap import LEVEL, REPLICATES, CaseBootstrap, Estimate
from .metrics import area_under_clicks
from .scores import MODEL, OWN_CLICKS, SAME_CLICKS, Run, StructureResult

REPORTED_CLICKS = (1, 3, 5, 10, 20, 50, 100, 150)
_DIGITS = 4

RULES = {
    "clicks": "Each click at the voxel farthest inside the larger of the two error regions, missed or false, of the "
    "model's last mask (distance transform in mm, the scan's border counts as outside): the published evaluation's "
    "rule. Where nothing is wrong any more, the scores stay.",
    "baselines": "Each baseline gets exactly the clicks that the model's run made, one after another.",
    "baselines_own_clicks": "Each baseline gets clicks by the same rule on its own errors; the first one is the same.",
    "dice": "Of the mask after n clicks. dice_max, nsd_max: the best of the first n, which published figures are.",
    "nsd": "Share of both surfaces within the tolerance of the other one (surface elements weighted by area); null "
    "where voxel sizes are nominal. mean.nsd covers the datasets that have it.",
    "auc": "Area under the score against clicks 1 to n (trapezoids), divided by n - 1.",
    "mean": "Over datasets, each the mean over its structures. all_labels: over all structures.",
    "interval": f"{LEVEL:.0%} percentile interval of {REPLICATES} bootstrap replicates that resample the cases of each "
    "dataset; a dataset of one case has an interval without width.",
    "ahead": "The model's mean minus the baseline's on the same structures, with the paired interval.",
    "failures": "A contender that fails at a click keeps its last mask, and is scored by it, from there on; cases and "
    "structures that could not be evaluated at all are in no mean.",
}

# Which structures count, and how their figures become one mean.
_Mean = Callable[[np.ndarray, np.ndarray], Estimate]


def summarise(results: Sequence[StructureResult], clicks: int, baselines: Sequence[Baseline],
              seed: int) -> dict[str, Any]:  # fmt: skip
    """Means over labels, datasets and all of the model and of each baseline.

    Args:
        results: at least one. clicks: of every run. seed: of the bootstrap.
    """
    bootstrap = CaseBootstrap([r.dataset for r in results], [r.case for r in results], seed=seed)
    model = _Contender(results, MODEL, SAME_CLICKS, clicks, bootstrap)
    summary: dict[str, Any] = {"rules": RULES, **model.means(), "labels": model.means_of_labels()}
    for key, clicks_from in (("baselines", SAME_CLICKS), ("baselines_own_clicks", OWN_CLICKS)):
        tools = [tool for tool in baselines if _took_part(results, tool.name, clicks_from)]
        if tools:
            contenders = {tool.name: _Contender(results, tool.name, clicks_from, clicks, bootstrap) for tool in tools}
            summary[key] = {
                tool.name: {
                    "title": tool.title,
                    "parameters": dict(tool.parameters),
                    "ahead": model.ahead_of(contenders[tool.name]),
                    **contenders[tool.name].means(),
                }
                for tool in tools
            }
    return summary


def _took_part(results: Sequence[StructureResult], contender: str, clicks_from: str) -> bool:
    return any(r.contender == contender and r.clicks_from == clicks_from for r in results[0].runs)


class _Contender:
    """One contender's figures: a row a structure, a column a click."""

    def __init__(self, results: Sequence[StructureResult], contender: str, clicks_from: str, clicks: int,
                 bootstrap: CaseBootstrap) -> None:  # fmt: skip
        self._results, self._bootstrap = results, bootstrap
        self._shown = [n for n in REPORTED_CLICKS if n <= clicks]
        self._runs = [result.run(contender, clicks_from) for result in results]
        blank = [np.nan] * clicks
        self.figures = {
            "dice": np.array([run.dice for run in self._runs]),
            "nsd": np.array([run.nsd or blank for run in self._runs]),
        }
        self._datasets = np.array([result.dataset for result in results])

    def means(self) -> dict[str, Any]:
        """Over datasets, of each dataset, over all structures."""
        everything = np.ones(len(self._results), dtype=bool)
        return {
            "mean": self._block(everything, self._bootstrap.over_datasets),
            "datasets": {
                name: self._block(self._datasets == name, self._bootstrap.over_structures)
                for name in self._bootstrap.names
            },
            "all_labels": self._block(everything, self._bootstrap.over_structures),
        }

    def means_of_labels(self) -> dict[str, dict[str, Any]]:
        """Of each structure's name in each dataset."""
        names = np.array([result.name for result in self._results])
        return {
            dataset: {
                name: self._block((self._datasets == dataset) & (names == name), self._bootstrap.over_structures)
                for name in sorted(set(names[self._datasets == dataset].tolist()))
            }
            for dataset in self._bootstrap.names
        }

    def ahead_of(self, other: _Contender) -> dict[str, Any]:
        """By how much this one's means over datasets are above another's, after n clicks, with intervals."""
        ahead: dict[str, Any] = {}
        for key in ("dice", "nsd"):
            rows = ~np.isnan(self.figures[key]).any(axis=1)
            if not rows.any():
                ahead[key] = None
                continue
            own, others = (self._bootstrap.over_datasets(one.figures[key], rows) for one in (self, other))
            difference = own.minus(others)
            low, high = difference.interval()
            ahead[key] = {
                str(n): {
                    "difference": _rounded(difference.mean[n - 1]),
                    "interval": [_rounded(low[n - 1]), _rounded(high[n - 1])],
                }
                for n in self._shown
            }
        return ahead

    def _block(self, rows: np.ndarray, mean: _Mean) -> dict[str, Any]:
        results = [result for result, chosen in zip(self._results, rows, strict=True) if chosen]
        runs = [run for run, chosen in zip(self._runs, rows, strict=True) if chosen]
        block: dict[str, Any] = {
            "labels": len(results),
            "cases": len({result.case for result in results}),
            "interval": {},
            "auc": {},
            "curve": {},
        }
        for key, values in self.figures.items():
            measured = rows & ~np.isnan(values).any(axis=1)
            if not measured.any():
                block |= {key: None, f"{key}_max": None}
                block["auc"][key] = block["curve"][key] = None
                continue
            self._add_scores(block, key, values, measured, mean)
        return block | _times(runs)

    def _add_scores(self, block: dict[str, Any], key: str, values: np.ndarray, rows: np.ndarray, mean: _Mean) -> None:
        last = mean(values, rows)
        low, high = last.interval()
        interval = block["interval"]
        block["curve"][key] = {"mean": _list(last.mean), "low": _list(low), "high": _list(high)}
        block[key] = self._at_clicks(last.mean)
        interval[key] = {str(n): [_rounded(low[n - 1]), _rounded(high[n - 1])] for n in self._shown}
        best = mean(np.maximum.accumulate(values, axis=1), rows)
        low, high = best.interval()
        block[f"{key}_max"] = self._at_clicks(best.mean)
        interval[f"{key}_max"] = {str(n): [_rounded(low[n - 1]), _rounded(high[n - 1])] for n in self._shown}
        area = mean(np.array([[area_under_clicks(row)] for row in values.tolist()]), rows)
        (low_area,), (high_area,) = area.interval()
        block["auc"][key] = _rounded(area.mean[0])
        interval[f"auc_{key}"] = [_rounded(low_area), _rounded(high_area)]

    def _at_clicks(self, values: np.ndarray) -> dict[str, float]:
        return {str(n): _rounded(values[n - 1]) for n in self._shown}


def _times(runs: Sequence[Run]) -> dict[str, Any]:
    first = [run.scores[0].milliseconds for run in runs if run.scores[0].milliseconds is not None]
    later = [s.milliseconds for run in runs for s in run.scores[1:] if s.milliseconds is not None]
    return {
        "first_click_ms": round(float(np.median(first)), 1) if first else None,
        "later_click_ms": round(float(np.median(later)), 1) if later else None,
        "later_click_ms_p95": round(float(np.percentile(later, 95)), 1) if later else None,
        "failed_runs": sum(run.failure is not None for run in runs),
    }


def _rounded(value: float) -> float:
    return round(float(value), _DIGITS)


def _list(values: np.ndarray) -> list[float]:
    return [_rounded(value) for value in values]
