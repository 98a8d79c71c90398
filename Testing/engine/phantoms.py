"""Scans whose truth is known: one bright object, given by a formula in RAS, on a dark ground."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, DTypeLike
from scipy.spatial.transform import Rotation

from MemorizingSAM3DLib.engine.geometry import Volume

DARK_HU, BRIGHT_HU = (
    -195,
    275,
)  # as far below the normalisation's zero, 40 HU, as above it; no air, so that it may be a CT
OBLIQUE = Rotation.from_euler("xyz", (25, -40, 10), degrees=True).as_matrix()
LEFT_HANDED = OBLIQUE @ np.diag([-1.0, 1.0, 1.0])

Shape = Callable[[np.ndarray], np.ndarray]


def ball(radius: float, centre: Sequence[float] = (0.0, 0.0, 0.0)) -> Shape:
    return lambda ras: ((ras - np.asarray(centre)) ** 2).sum(-1) <= radius**2


def tube(radius: float, direction: Sequence[float], half_length: float) -> Shape:
    axis = np.asarray(direction) / np.linalg.norm(direction)

    def inside(ras: np.ndarray) -> np.ndarray:
        along = ras @ axis
        return ((ras**2).sum(-1) - along**2 <= radius**2) & (np.abs(along) <= half_length)

    return inside


def either(*shapes: Shape) -> Shape:
    return lambda ras: np.any([shape(ras) for shape in shapes], axis=0)


def ras_of_voxels(volume: Volume) -> np.ndarray:
    """(K, J, I, 3) RAS mm."""
    k, j, i = np.indices(volume.shape, sparse=True)
    columns = volume.ijk_to_ras[:3, :3].T
    return i[..., None] * columns[0] + j[..., None] * columns[1] + k[..., None] * columns[2] + volume.ijk_to_ras[:3, 3]


def ct_of(shape: Shape, counts: Sequence[int], spacing: ArrayLike, directions: ArrayLike | None = None,
          dtype: DTypeLike = np.int16, levels: tuple[float, float] = (DARK_HU, BRIGHT_HU),
          modality: str | None = "CT") -> tuple[Volume, np.ndarray]:  # fmt: skip
    """A scan of (i, j, k) counts and spacings centred at RAS 0, and the voxels (K, J, I) whose centre is inside."""
    matrix = np.eye(4)
    matrix[:3, :3] = (np.eye(3) if directions is None else np.asarray(directions)) * np.broadcast_to(spacing, 3)
    matrix[:3, 3] = -matrix[:3, :3] @ ((np.asarray(counts) - 1) / 2)
    voxels = np.zeros(tuple(counts)[::-1], dtype)
    voxels[0, 0, 0] = 1  # a constant scan is refused
    truth = shape(ras_of_voxels(Volume(voxels, matrix)))
    dark, bright = levels
    array = np.where(truth, bright, dark).astype(dtype)
    if truth.all() or not truth.any():
        array[0, 0, 0] += 1
    return Volume(array, matrix, modality), truth


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b)))
