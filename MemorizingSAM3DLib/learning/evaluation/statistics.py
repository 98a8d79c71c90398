"""Means of an evaluation with their intervals: the content of results.json.

Intervals of means by resampling cases: structures of one patient are alike, so a case is what is drawn.

How an evaluation measures, in words: they go into results.json beside what was measured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .baselines import Baseline
from .challenge import CVPR25, PUBLISHED, summarise_challenge
from .effort import monotony, prompts_to_targets
from .first_prompts import BOX, POINT
from .metrics import area_under_clicks
from .results import MODEL, OWN_CLICKS, SAME_CLICKS, Run, StructureResult

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


RULES = {
    "prompts": "Scores count prompts; options.start says what the first one is, all later ones are points. point: by "
    "the rule of all later ones, from an empty mask. box: the truth's, on the scan's grid, with half a voxel of "
    "margin around the voxels' centres. flat-box: the box of the largest axial slice's truth, on that slice. "
    "scribble: along the middle of the truth in the slice of any axis where it is largest. lasso: the outline of the "
    "truth there. Where a slice shows several parts, both take the largest.",
    "clicks": "Each point at the voxel farthest inside the larger of the two error regions, missed or false, of the "
    "model's last mask (distance transform in mm, the scan's border counts as outside): the published evaluation's "
    "rule. Where nothing is wrong any more, the scores stay. With options.protocol cvpr25: see challenge.",
    "baselines": "Each baseline gets exactly the prompts that the model's run made, one after another. It uses "
    "points alone: a scribble counts as its points, a box or a lasso as its centre.",
    "baselines_own_clicks": "Each baseline gets prompts by the same rule on its own errors; the first is the same.",
    "dice": "Of the mask after n prompts. dice_max, nsd_max: the best of the first n, which published figures are.",
    "nsd": "Share of both surfaces within the tolerance of the other one (surface elements weighted by area); null "
    "where voxel sizes are nominal. mean.nsd covers the datasets that have it.",
    "auc": "Area under the score against prompts 1 to n (trapezoids), divided by n - 1.",
    "monotony": "Of the prompts after the first that were made and did not fail, the share that lost more than 0.01, "
    "and more than 0.05, of Dice against the prompt before. Over datasets: the mean of their shares.",
    "prompts_to": "Prompts until Dice is first at least so high. mean: over the structures that reach it within the "
    "budget. median: over all, those that do not counted as beyond the budget (null: half of them or more). never: "
    "the share that does not. Over datasets: the mean of their means and of their shares, the median over all "
    "structures.",
    "challenge": "With options.protocol cvpr25, the rule of the CVPR 2025 challenge on interactive 3D segmentation. "
    "Each point in the largest 26-connected part of all that is wrong, missed and false together, at the voxel "
    "farthest from its outside, counted in voxels, ties by seed 42; its sign is the truth's there. The box, if the "
    "first prompt is one, is that of the middle slice, up to 5/256 of the slice wider on each side, through all "
    "axial slices of the structure. dsc_auc, nsd_auc: area under the scores after each point (trapezoids), 4.0 at "
    "most for five; a box before them does not count. NSD at 2 mm, 0 where Dice is 0.2 or less. A case is the mean "
    "over its structures, what is told the mean over cases. No limit of time is applied.",
    "mean": "Over datasets, each the mean over its structures. all_labels: over all structures. never_trained: as "
    "mean, over the datasets of options.never_trained alone, which the model was never trained on.",
    "interval": f"{LEVEL:.0%} percentile interval of {REPLICATES} bootstrap replicates that resample the cases of "
    "each dataset; a dataset of one case has an interval without width.",
    "ahead": "The model's mean minus the baseline's on the same structures, with the paired interval.",
    "failures": "A contender that fails at a prompt keeps its last mask, and is scored by it, from there on; cases "
    "and structures that could not be evaluated at all are in no mean.",
}
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
    model = _RunningCase(results, MODEL, SAME_CLICKS, how, bootstrap)
    summary: dict[str, Any] = {"rules": RULES, **model.means(), "labels": model.means_of_labels()}
    for key, clicks_from in (("baselines", SAME_CLICKS), ("baselines_own_clicks", OWN_CLICKS)):
        tools = [tool for tool in baselines if _took_part(results, tool.name, clicks_from)]
        if tools:
            contenders = {tool.name: _RunningCase(results, tool.name, clicks_from, how, bootstrap) for tool in tools}
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


class _RunningCase:
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

    def ahead_of(self, other: _RunningCase) -> dict[str, Any]:
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
