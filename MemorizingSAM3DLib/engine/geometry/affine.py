"""Homogeneous 4x4 matrices applied to points, in float64."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

#: Scaling that takes LPS (ITK, DICOM) to RAS (Slicer, NIfTI) and back.
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def transformed(matrix: np.ndarray, points: ArrayLike) -> np.ndarray:
    """Apply a (4, 4) matrix to points of shape (..., 3); float64, same shape."""
    points = np.asarray(points, dtype=np.float64)
    if points.shape[-1:] != (3,):
        raise ValueError(f"Points have three coordinates each: shape (..., 3), not {points.shape}.")
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def with_axes_reversed(matrix: np.ndarray) -> np.ndarray:
    """The (4, 4) matrix whose result is in reversed order: (i, j, k) out becomes (k, j, i) out, as numpy indexes."""
    return matrix[[2, 1, 0, 3]]
