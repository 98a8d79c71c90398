"""The calibration of a case memory's recall, measured on labelled cases."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

from ..engine.predictor import Predictor
from ..engine.recall.calibration import Calibration, CropFacts
from ..engine.recall.structure_shape import StructureShape
from ..engine.zoom import first_grid
from .case_task import CaseSource
from .evaluation import EvaluationOptions, case_volume, evaluated_labels
from .manifest import DataError, Entry

_PLACES = 2  # a structure: the deepest, and one far from it
# Of places whose structure is not remembered about one in eight may be taken for another one. Where that happened, a
# first click lost some hundredths of Dice; where the right structure was heard it gained a tenth and more.
_MISLED = 0.12
_SLOPES = 1.0, 1e5
_PRIOR = 1e-3


class _Place(NamedTuple):
    facts: CropFacts
    dataset: str
    case: str
    structure: str


class CalibrationFigures(NamedTuple):
    """What was found.

    Attributes:
        calibration: to be saved. places: how many were looked at. heard, misled: the share of places whose own
            structure is remembered and heard, and of places whose structure is not remembered and another one is heard.
    """

    calibration: Calibration
    places: int
    heard: float
    misled: float


def calibrate(predictor: Predictor, encoder: str, source: CaseSource, entries: Sequence[Entry],
              minimum_ml: float = 1.0, progress: Callable[[int, int], None] | None = None,
              ) -> CalibrationFigures:  # fmt: skip
    """Looks at places of every structure and compares them with those of other cases.

    Args:
        encoder: fingerprint of the predictor's.
        entries: at least two cases, some of which share structures.
        progress: (done, total) after each case.

    Raises:
        DataError: no structure occurs in two cases.
    """
    places: list[_Place] = []
    for number, entry in enumerate(entries, 1):
        (case,) = source.collection.load([entry], source.cache)
        volume = case_volume(case)
        predictor.set_volume(volume)
        for label in evaluated_labels(case, 0, EvaluationOptions(minimum_ml=minimum_ml)):
            shape, centre = StructureShape.of(volume, (case.labels == label).transpose(2, 1, 0))
            for anchor in shape.anchors[:_PLACES]:
                r, a, s = (centre + anchor).tolist()
                grid = first_grid(volume, (r, a, s), predictor.spacing_range, predictor.crop_size)
                facts = CropFacts.of(predictor.features(grid))
                places.append(_Place(facts, case.dataset, case.name, case.structures[label]))
        if progress:
            progress(number, len(entries))
    return _measured(places, encoder)


def _measured(places: Sequence[_Place], encoder: str) -> CalibrationFigures:
    datasets = sorted({place.dataset for place in places})
    means = [np.mean([p.facts.layout for p in places if p.dataset == name], axis=0) for name in datasets]
    local = np.array([place.facts.local for place in places])
    # As they are stored, so that the figures hold for the file.
    mean = np.mean(means, axis=0).astype(np.float16).astype(np.float32)
    raw = Calibration(mean, local.mean(0), local.std(0) + 1e-6, 1.0, 0.0, encoder)
    vectors = np.array([raw.describe_facts(place.facts) for place in places])
    cosines = vectors @ vectors.T
    own, foreign = [], []
    for number, place in enumerate(places):
        others = np.array([other.case != place.case for other in places])
        same = np.array([(o.dataset, o.structure) == (place.dataset, place.structure) for o in places])
        if (others & same).any() and (others & ~same).any():
            own.append(cosines[number][others & same].max())
            foreign.append(cosines[number][others & ~same].max())
    if not own:
        raise DataError("No structure occurs in two cases.", "Give more cases.")
    middle = float(np.quantile(foreign, 1 - _MISLED))
    slope = _slope(np.array(own), np.array(foreign), middle)
    calibration = Calibration(raw.mean, raw.local_mean, raw.local_scale, slope, middle, encoder)
    return CalibrationFigures(calibration, len(places), float(np.mean(np.array(own) >= middle)),
                              float(np.mean(np.array(foreign) >= middle)))  # fmt: skip


def _slope(own: np.ndarray, foreign: np.ndarray, middle: float) -> float:
    """How fast the probability that a cosine is one of `own` rises around the middle (logistic, with a weak prior)."""
    x = np.concatenate([own, foreign]) - middle
    y = np.concatenate([np.ones(len(own)), np.zeros(len(foreign))])

    def gradient(slope: float) -> float:
        return float(x @ (y - expit(slope * x))) - _PRIOR * slope

    # It falls as the slope rises. Newton's method, without a bracket, oscillates where nothing overlaps.
    return float(brentq(gradient, *_SLOPES)) if gradient(_SLOPES[0]) > 0 else _SLOPES[0]
