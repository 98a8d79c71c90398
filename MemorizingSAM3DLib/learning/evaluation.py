"""Evaluation by simulated clicks, through the same session that the user has."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..engine.geometry import Volume
from ..engine.predictor import Predictor
from ..engine.prompts import Click
from ..engine.session import InteractiveSession
from .cases import Case, load_case
from .clicks import central_click
from .metrics import dice

REPORTED_CLICKS = (1, 3, 5, 10)
SMALLEST_ML = 1.0


@dataclass(frozen=True)
class LabelResult:
    """One structure of one case.

    Attributes:
        dice: after each click. milliseconds: of each click, the mask on the scan's grid included.
    """

    case: str
    dataset: str
    label: str
    millilitres: float
    dice: tuple[float, ...]
    milliseconds: tuple[float, ...]


def evaluate_label(session: InteractiveSession, case: Case, label: int, clicks: int) -> LabelResult:
    """Clicks a structure as the published evaluation does: the voxel farthest inside the larger error region.

    Args:
        session: with the case's scan set; it is reset first.
    """
    # Scans are stored (R, A, S) and shown to the session as (K, J, I).
    truth = np.ascontiguousarray((case.labels == label).transpose(2, 1, 0))
    volume = session.volume
    session.reset()
    scores, times = [], []
    for _ in range(clicks):
        found = central_click(session.mask, truth, volume.spacing[::-1])
        if found is not None:
            r, a, s = volume.ijk_to_ras_points(found.voxel[::-1]).tolist()
            start = time.perf_counter()
            session.add_click(Click((r, a, s), found.positive))
            times.append((time.perf_counter() - start) * 1000)
        scores.append(dice(session.mask, truth))
    ml = float(truth.sum()) * volume.voxel_mm3 / 1000
    return LabelResult(case.name, case.dataset, case.structures[label], ml, tuple(scores), tuple(times))


def case_volume(case: Case) -> Volume:
    """A case's scan as the engine sees it; the origin, which no metric needs, is the scan's corner."""
    return Volume(
        np.ascontiguousarray(case.image.transpose(2, 1, 0)), np.diag([*case.spacing, 1.0]), modality=case.modality
    )


def evaluate(predictor: Predictor, folder: Path, entries: Sequence[dict[str, Any]], clicks: int,
             labels_per_case: int | None, seed: int,
             progress: Callable[[int, int], None] | None = None) -> Iterable[LabelResult]:  # fmt: skip
    """Evaluates every label of at least 1 ml (or some at random) of every case, one result at a time.

    Args:
        folder: of the manifest. entries: of the manifest. labels_per_case: at most so many, drawn with ``seed``.
    """
    session = InteractiveSession(predictor)
    for number, entry in enumerate(entries, 1):
        case = load_case(folder, entry)
        volume = case_volume(case)
        voxels = SMALLEST_ML * 1000 / volume.voxel_mm3
        labels = [label for label in case.structures if np.count_nonzero(case.labels == label) >= voxels]
        if labels_per_case is not None and len(labels) > labels_per_case:
            rng = np.random.default_rng([seed, number])
            labels = sorted(rng.choice(labels, labels_per_case, replace=False).tolist())
        session.set_image(volume)
        for label in labels:
            yield evaluate_label(session, case, label, clicks)
        if progress:
            progress(number, len(entries))


def summarise(results: Sequence[LabelResult], clicks: int) -> dict[str, Any]:
    """Means over labels, then datasets; ``mean`` weighs datasets alike. Published Dice is the maximum: ``dice_max``."""
    shown = [n for n in REPORTED_CLICKS if n <= clicks]

    def means(some: Sequence[LabelResult]) -> dict[str, Any]:
        return {
            "labels": len(some),
            "dice": {str(n): round(float(np.mean([r.dice[n - 1] for r in some])), 4) for n in shown},
            "dice_max": {str(n): round(float(np.mean([max(r.dice[:n]) for r in some])), 4) for n in shown},
            "first_click_ms": round(float(np.median([r.milliseconds[0] for r in some])), 1),
            "later_click_ms": round(float(np.median([t for r in some for t in r.milliseconds[1:]] or [0])), 1),
        }

    datasets = {name: means([r for r in results if r.dataset == name]) for name in sorted({r.dataset for r in results})}
    mean: dict[str, Any] = {
        key: {str(n): round(float(np.mean([d[key][str(n)] for d in datasets.values()])), 4) for n in shown}
        for key in ("dice", "dice_max")
    }
    return {"mean": mean, "datasets": datasets, "all_labels": means(results) if results else {}}


def write_results(folder: Path, summary: dict[str, Any], results: Sequence[LabelResult], facts: dict[str, Any]) -> None:
    """``results.json`` (summary and facts) and ``cases.csv`` (a line a structure)."""
    import csv

    (folder / "results.json").write_text(json.dumps({**facts, **summary}, indent=1), encoding="utf-8")
    with (folder / "cases.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        count = max((len(r.dice) for r in results), default=0)
        writer.writerow(["case", "dataset", "label", "ml", *(f"dice_{n}" for n in range(1, count + 1))])
        for r in results:
            writer.writerow([r.case, r.dataset, r.label, f"{r.millilitres:.2f}", *(f"{d:.4f}" for d in r.dice)])
