"""The rule and the figures of the CVPR 2025 challenge on interactive 3D biomedical image segmentation.

Its box is that of the middle slice, drawn through all slices of the structure; five points follow, each in the middle
of the largest error. What counts is the area under the scores of the points alone, at most 4.0 for five.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import ndimage

from MemorizingSAM3DLib.engine.geometry import Box, Volume
from MemorizingSAM3DLib.engine.prompts import BoxPrompt

from ..simulated_user import SimulatedClick
from .first_prompts import BOX, POINT, axial_axis, box_of_voxels
from .results import Run, StructureResult

PUBLISHED, CVPR25 = "published", "cvpr25"
PROTOCOLS = (PUBLISHED, CVPR25)
CHALLENGE_STARTS = (POINT, BOX)
CHALLENGE_CLICKS = 5
TIE_SEED = 42
LEAST_DICE = 0.2  # up to it the NSD counts as 0
FIGURES = ("dsc_auc", "nsd_auc", "dsc_final", "nsd_final")
_MOST_SHIFT, _SHIFT_OF = 6, 256  # the box is up to 5 of 256 parts of the slice wider on each side
_DIGITS = 4


def challenge_click(prediction: np.ndarray, target: np.ndarray) -> SimulatedClick | None:
    """The challenge's click: in the middle of the largest error, missed and false voxels that touch taken together.

    The largest 26-connected part of all that is wrong, in it the voxel farthest from its outside, counted in voxels
    (the array's border counts as outside); of several equal ones one at random, always with the same seed.

    Args:
        prediction, target: (K, J, I) bool.

    Returns:
        The click, positive where the target is; None when prediction and target agree.
    """
    wrong = prediction ^ target
    if not wrong.any():
        return None
    around = Box.of_mask(wrong)
    parts, _ = ndimage.label(wrong[around.slices], structure=np.ones((3, 3, 3)))
    number = int(np.bincount(parts.ravel())[1:].argmax()) + 1
    box = ndimage.find_objects(parts)[number - 1]
    depth = ndimage.distance_transform_edt(np.pad(parts[box] == number, 1))[1:-1, 1:-1, 1:-1]
    deepest = np.argwhere(depth == depth.max())
    chosen = deepest[np.random.RandomState(TIE_SEED).choice(len(deepest))]
    k, j, i = (chosen + [side.start for side in box] + around.low).tolist()
    return SimulatedClick((k, j, i), bool(target[k, j, i]))


def challenge_box(volume: Volume, truth: np.ndarray) -> BoxPrompt:
    """The challenge's box: of the slice of the middle voxel, a little wider, through all axial slices of the structure.

    How much wider is drawn at random, with a seed that follows from the box.

    Args:
        truth: (K, J, I) bool, not empty.
    """
    axis = axial_axis(volume)
    counts = np.count_nonzero(truth, axis=tuple(other for other in range(3) if other != axis))
    levels = np.flatnonzero(counts)
    middle = int(np.searchsorted(np.cumsum(counts), int(counts.sum()) // 2, side="right"))
    places = np.argwhere(truth.take(middle, axis))
    low, high = places.min(axis=0), places.max(axis=0)
    size = np.delete(np.array(truth.shape), axis)
    shift = int(np.random.default_rng([TIE_SEED, *low, *high]).integers(_MOST_SHIFT)) * size // _SHIFT_OF
    low, high = np.maximum(low - shift, 0), np.minimum(high + shift, size - 1)
    return box_of_voxels(volume, np.insert(low, axis, levels[0]), np.insert(high, axis, levels[-1]))


def challenge_area(scores: Sequence[float]) -> float:
    """Area under the scores after each point (trapezoids): at most one less than there are points."""
    return float(np.trapezoid(scores)) if len(scores) > 1 else 0.0


def challenge_scores(run: Run, clicks: int) -> dict[str, float | None]:
    """The challenge's figures of a run: its last ``clicks`` prompts are the points, a box before them does not count.

    An NSD counts as 0 where Dice is 0.2 or less; None where millimetres are not real.
    """
    dice, surface = run.dice[-clicks:], run.nsd
    figures: dict[str, float | None] = {"dsc_auc": challenge_area(dice), "nsd_auc": None,
                                        "dsc_final": dice[-1], "nsd_final": None}  # fmt: skip
    if surface is not None:
        nsd = [near if whole > LEAST_DICE else 0.0 for near, whole in zip(surface[-clicks:], dice, strict=True)]
        figures |= {"nsd_auc": challenge_area(nsd), "nsd_final": nsd[-1]}
    return figures


def summarise_challenge(results: Sequence[StructureResult], runs: Sequence[Run], clicks: int) -> dict[str, Any]:
    """The challenge's figures overall, of each modality and of each dataset.

    As there, a case's figure is the mean over its structures, and what is reported the mean over cases.

    Args:
        results, runs: of one contender, one a structure; at least one. clicks: points of each run.
    """
    scores = [challenge_scores(run, clicks) for run in runs]
    by = {
        "modalities": [result.modality for result in results],
        "datasets": [result.dataset for result in results],
    }
    return {
        "clicks": clicks,
        "overall": _over_cases(results, scores),
        **{
            key: {
                name: _over_cases(
                    *zip(*((r, s) for r, s, n in zip(results, scores, names, strict=True) if n == name), strict=True)
                )
                for name in sorted(set(names))
            }
            for key, names in by.items()
        },
    }


def _over_cases(results: Sequence[StructureResult], scores: Sequence[Mapping[str, float | None]]) -> dict[str, Any]:
    cases = sorted({result.case for result in results})
    figures: dict[str, Any] = {"cases": len(cases), "labels": len(results)}
    for key in FIGURES:
        of_cases = []
        for case in cases:
            pairs = zip(results, scores, strict=True)
            values = [score[key] for result, score in pairs if result.case == case and score[key] is not None]
            if values:
                of_cases.append(float(np.mean(np.array(values, dtype=np.float64))))
        figures[key] = round(float(np.mean(of_cases)), _DIGITS) if of_cases else None
    return figures


def challenge_table(document: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Header and rows: the model overall, by modality and by dataset, then each baseline overall."""
    about = document["challenge"]
    header = ["", "cases", "DSC_AUC", "NSD_AUC", "final DSC", "final NSD"]
    blocks = [("overall", about["overall"])]
    blocks += [*about["modalities"].items(), *about["datasets"].items()]
    for key, remark in (("baselines", ""), ("baselines_own_clicks", ", its own clicks")):
        blocks += [(tool["title"] + remark, tool["challenge"]["overall"]) for tool in document.get(key, {}).values()]
    rows = [
        [name, str(block["cases"]), *("-" if block[key] is None else f"{block[key]:.3f}" for key in FIGURES)]
        for name, block in blocks
    ]
    return header, rows
