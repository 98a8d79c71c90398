"""Means of an evaluation with their intervals: the content of results.json."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .baselines import Baseline
from .bootstrap import CaseBootstrap, Estimate
from .challenge import CVPR25, PUBLISHED, summarise_challenge
from .effort import monotony, prompts_to_targets
from .evaluation_rules import RULES
from .first_prompts import BOX, POINT
from .metrics import area_under_clicks
from .scores import MODEL, OWN_CLICKS, SAME_CLICKS, Run, StructureResult

REPORTED_CLICKS = (1, 3, 5, 10, 20, 50, 100, 150)
_FIVE_MORE = 6  # what was drawn and five points, where the first prompt is no point
_DIGITS = 4

_Mean = Callable[[np.ndarray, np.ndarray], Estimate]


@dataclass(frozen=True)
class Summing:
    """What is to be summed up.

    Attributes:
        clicks: prompts of every run. seed: of the bootstrap. start, protocol: as in the evaluation's options.
        never_trained: datasets that the model was never trained on; those that are not in the results do not matter.
    """

    clicks: int
    seed: int = 0
    start: str = POINT
    protocol: str = PUBLISHED
    never_trained: Sequence[str] = ()

    @property
    def shown(self) -> list[int]:
        """Numbers of prompts after which scores are told."""
        also = () if self.start == POINT else (_FIVE_MORE,)
        return [n for n in sorted({*REPORTED_CLICKS, *also}) if n <= self.clicks]

    @property
    def challenge_points(self) -> int | None:
        """How many points the challenge's figures are about; None: another protocol."""
        return None if self.protocol != CVPR25 else self.clicks - (self.start == BOX)


def summarise(results: Sequence[StructureResult], baselines: Sequence[Baseline], how: Summing) -> dict[str, Any]:
    """Means over labels, datasets and all of the model and of each baseline.

    Args:
        results: at least one.
    """
    bootstrap = CaseBootstrap([r.dataset for r in results], [r.case for r in results], seed=how.seed)
    model = _Contender(results, MODEL, SAME_CLICKS, how, bootstrap)
    summary: dict[str, Any] = {"rules": RULES, **model.means(), "labels": model.means_of_labels()}
    for key, clicks_from in (("baselines", SAME_CLICKS), ("baselines_own_clicks", OWN_CLICKS)):
        tools = [tool for tool in baselines if _took_part(results, tool.name, clicks_from)]
        if tools:
            contenders = {tool.name: _Contender(results, tool.name, clicks_from, how, bootstrap) for tool in tools}
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
    """One contender's figures: a row a structure, a column a prompt."""

    def __init__(self, results: Sequence[StructureResult], contender: str, clicks_from: str, how: Summing,
                 bootstrap: CaseBootstrap) -> None:  # fmt: skip
        self._results, self._bootstrap, self._how = results, bootstrap, how
        self._shown = how.shown
        self._runs = [result.run(contender, clicks_from) for result in results]
        blank = [np.nan] * how.clicks
        self.figures = {
            "dice": np.array([run.dice for run in self._runs]),
            "nsd": np.array([run.nsd or blank for run in self._runs]),
        }
        self._datasets = np.array([result.dataset for result in results])

    def means(self) -> dict[str, Any]:
        """Over datasets, over those never trained on, of each dataset, over all structures; the challenge's figures."""
        everything = np.ones(len(self._results), dtype=bool)
        never_trained = np.isin(self._datasets, self._how.never_trained)
        points = self._how.challenge_points
        return {
            "mean": self._block(everything, over_datasets=True),
            "never_trained": self._block(never_trained, over_datasets=True) if never_trained.any() else None,
            "datasets": {name: self._block(self._datasets == name) for name in self._bootstrap.names},
            "all_labels": self._block(everything),
            **({} if points is None else {"challenge": summarise_challenge(self._results, self._runs, points)}),
        }

    def means_of_labels(self) -> dict[str, dict[str, Any]]:
        """Of each structure's name in each dataset."""
        names = np.array([result.name for result in self._results])
        return {
            dataset: {
                name: self._block((self._datasets == dataset) & (names == name))
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

    def _block(self, rows: np.ndarray, over_datasets: bool = False) -> dict[str, Any]:
        mean = self._bootstrap.over_datasets if over_datasets else self._bootstrap.over_structures
        results = [result for result, chosen in zip(self._results, rows, strict=True) if chosen]
        runs = self._runs_of(rows)
        groups = [runs]
        if over_datasets:
            groups = [self._runs_of(rows & (self._datasets == name)) for name in sorted(set(self._datasets[rows]))]
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
        return block | {"monotony": monotony(groups), "prompts_to": prompts_to_targets(groups)} | _times(runs)

    def _runs_of(self, rows: np.ndarray) -> list[Run]:
        return [run for run, chosen in zip(self._runs, rows, strict=True) if chosen]

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
