"""How well two masks agree, and how well a whole series of clicks did.

The normalised surface Dice (NSD): how much of two surfaces lies within a tolerance of the other one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from MemorizingSAM3DLib.engine.errors import EngineError
from MemorizingSAM3DLib.engine.geometry import Box


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Dice's coefficient of two bool masks of one shape; 1 when both are empty."""
    total = int(np.count_nonzero(a)) + int(np.count_nonzero(b))
    return 2 * int(np.count_nonzero(a & b)) / total if total else 1.0


def area_under_clicks(scores: Sequence[float]) -> float:
    """Area under a score drawn against clicks 1 to n (trapezoids), divided by n - 1: 1 when all scores are 1.

    Args:
        scores: after each click; of one click alone it is that score.
    """
    if len(scores) < 2:
        return float(scores[0])
    return float(np.trapezoid(scores)) / (len(scores) - 1)


TOLERANCE_MM = 2.0
_ROUNDING_MM = 1e-6


class MetricError(EngineError):
    """A measure cannot be taken here."""


class SurfaceDice:
    """NSD of any number of predictions against one truth.

    The definition of Nikolov et al. (arXiv 1809.04430) with the surface elements of their surface-distance package:
    one between every 2 x 2 x 2 voxels that differ, with the area of its marching-cubes polygon, so that thick slices
    weigh as much as their surface. The table of areas is MONAI's; equal to its ``compute_surface_dice(...,
    use_subvoxels=True)``, but what belongs to the truth is computed once, and far false surfaces only add their area.

    Args:
        truth: (K, J, I) bool. spacing: mm along K, J, I. tolerance_mm: farther apart, a surface element is wrong.

    Raises:
        MetricError: MONAI is not installed.
    """

    def __init__(self, truth: np.ndarray, spacing: tuple[float, float, float],
                 tolerance_mm: float = TOLERANCE_MM) -> None:  # fmt: skip
        self._spacing = np.asarray(spacing, dtype=np.float64)
        self._tolerance = tolerance_mm + _ROUNDING_MM
        self._areas, self._kernel = _area_table(spacing)
        self._truth = self._surface(truth)

    def of(self, prediction: np.ndarray) -> float:
        """NSD of a prediction, (K, J, I) bool: 0 to 1; 1 when both masks are empty, 0 when one is."""
        found = self._surface(prediction)
        total = self._truth.area + found.area
        if total == 0:
            return 1.0
        if self._truth.area == 0 or found.area == 0:
            return 0.0
        near = ((found.places >= self._truth.low - self._tolerance) &
                (found.places <= self._truth.high + self._tolerance)).all(axis=1)  # fmt: skip
        close = _Surface(found.places[near], found.areas[near])
        return (self._right(self._truth, close) + self._right(close, self._truth)) / total

    def _right(self, surface: _Surface, reference: _Surface) -> float:
        """The area of a surface that lies within the tolerance of a reference."""
        if not len(surface.places) or not len(reference.places):
            return 0.0
        distance, _ = reference.tree.query(surface.places, distance_upper_bound=self._tolerance)
        return float(surface.areas[np.isfinite(distance)].sum())

    def _surface(self, mask: np.ndarray) -> _Surface:
        box = Box.of_mask(mask)
        padded = np.pad(mask[box.slices], 1).view(np.uint8)
        k, j, i = (n - 1 for n in padded.shape)
        codes = np.zeros((k, j, i), dtype=np.uint8)
        for (dk, dj, di), bit in np.ndenumerate(self._kernel):
            codes += bit * padded[dk : dk + k, dj : dj + j, di : di + i]
        where = np.nonzero((codes != 0) & (codes != 255))
        return _Surface((np.stack(where, axis=1) + box.low) * self._spacing, self._areas[codes[where]])


class _Surface:
    """Surface elements: where they are, (n, 3) mm, and their areas, (n,) mm^2."""

    def __init__(self, places: np.ndarray, areas: np.ndarray) -> None:
        self.places, self.areas = places, areas
        self.area = float(areas.sum())

    @cached_property
    def tree(self) -> cKDTree:
        return cKDTree(self.places)

    @cached_property
    def low(self) -> np.ndarray:
        return np.asarray(self.places.min(axis=0))

    @cached_property
    def high(self) -> np.ndarray:
        return np.asarray(self.places.max(axis=0))


class _AreaTable(NamedTuple):
    """areas: mm^2 of a surface element, by its code. kernel: (2, 2, 2), the bit of each of its voxels in the code."""

    areas: np.ndarray
    kernel: np.ndarray


def _area_table(spacing: tuple[float, float, float]) -> _AreaTable:
    try:
        from monai.metrics.utils import get_code_to_measure_table
    except ImportError as error:
        raise MetricError("Surface distances need MONAI, which is not installed here.", "pip install monai") from error
    areas, kernel = get_code_to_measure_table(tuple(float(s) for s in spacing))
    return _AreaTable(areas.numpy().astype(np.float64), kernel.numpy().reshape(2, 2, 2).astype(np.uint8))
