"""How much a user has to do: how many prompts a Dice takes, and how many prompts made the mask worse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .results import Run

LOSSES = ("0.01", "0.05")
TARGETS = ("0.80", "0.85", "0.90")
_DIGITS = 4
_ROUNDING = 1e-9


def monotony(groups: Sequence[Sequence[Run]]) -> dict[str, Any]:
    """Of the prompts after each run's first, those that lose Dice against the prompt before.

    Prompts that were not made, as nothing was wrong any more, and those that failed are not counted.

    Args:
        groups: of runs; the share of each group counts alike.

    Returns:
        ``prompts``: how many there were; ``lost_0.01``, ``lost_0.05``: the share that lost more, None without prompts.
    """
    steps = [_steps(runs) for runs in groups]
    counted = [group for group in steps if len(group)]
    found: dict[str, Any] = {"prompts": sum(len(group) for group in counted)}
    for loss in LOSSES:
        shares = [float(np.mean(group < -float(loss) - _ROUNDING)) for group in counted]
        found[f"lost_{loss}"] = round(float(np.mean(shares)), _DIGITS) if shares else None
    return found


def _steps(runs: Sequence[Run]) -> np.ndarray:
    """What each prompt after the first one changed of the Dice."""
    return np.array(
        [
            after.dice - before.dice
            for run in runs
            for before, after in zip(run.scores, run.scores[1:], strict=False)
            if after.milliseconds is not None
        ]
    )


def prompts_to(target: float, run: Run) -> int | None:
    """After how many prompts a run's Dice first was at least so high; None: never."""
    return next((number for number, dice in enumerate(run.dice, 1) if dice >= target), None)


def prompts_to_targets(groups: Sequence[Sequence[Run]]) -> dict[str, Any]:
    """For each target: the mean over the structures that reach it, the median over all, the share that never does.

    Args:
        groups: of runs, none empty; mean and share of each group count alike, the median is over all runs.

    Returns:
        ``mean`` is None when no structure reaches it, ``median`` when half of them or more do not.
    """
    found: dict[str, Any] = {}
    for target in TARGETS:
        needed = [[prompts_to(float(target), run) for run in runs] for runs in groups]
        reached = [[number for number in group if number is not None] for group in needed]
        means = [float(np.mean(group)) for group in reached if group]
        median = float(np.median([np.inf if n is None else n for group in needed for n in group]))
        never = [1 - len(some) / len(group) for some, group in zip(reached, needed, strict=True)]
        found[target] = {
            "mean": round(float(np.mean(means)), _DIGITS) if means else None,
            "median": median if np.isfinite(median) else None,
            "never": round(float(np.mean(never)), _DIGITS),
        }
    return found


def effort_table(document: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Header and rows: of each dataset and over datasets the model's, then each baseline's over datasets."""
    header = ["", *(f"lost > {loss}" for loss in LOSSES), *(f"prompts to {target} (never)" for target in TARGETS)]
    blocks = [*document["datasets"].items(), ("mean over datasets", document["mean"])]
    if document.get("never_trained") is not None:
        blocks.append(("never trained on", document["never_trained"]))
    for key, remark in (("baselines", ""), ("baselines_own_clicks", ", its own clicks")):
        blocks += [(tool["title"] + remark, tool["mean"]) for tool in document.get(key, {}).values()]
    rows = []
    for name, block in blocks:
        lost = [block["monotony"][f"lost_{loss}"] for loss in LOSSES]
        row = [name, *("-" if share is None else f"{share:.1%}" for share in lost)]
        for target in TARGETS:
            about = block["prompts_to"][target]
            mean = "-" if about["mean"] is None else f"{about['mean']:.1f}"
            row.append(f"{mean} ({about['never']:.0%})")
        rows.append(row)
    return header, rows
