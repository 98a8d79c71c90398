"""Regular grids: boxes of scan voxels, and the isotropic RAS-aligned crop that the networks see.

Homogeneous 4x4 matrices applied to points, in float64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import SimpleITK as sitk
from numpy.typing import ArrayLike


def transformed(matrix: np.ndarray, points: ArrayLike) -> np.ndarray:
    """Apply a (4, 4) matrix to points of shape (..., 3); float64, same shape."""
    points = np.asarray(points, dtype=np.float64)
    if points.shape[-1:] != (3,):
        raise ValueError(f"Points have three coordinates each: shape (..., 3), not {points.shape}.")
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def with_axes_reversed(matrix: np.ndarray) -> np.ndarray:
    """The (4, 4) matrix whose result is in reversed order: (i, j, k) out becomes (k, j, i) out, as numpy indexes."""
    return matrix[[2, 1, 0, 3]]


class Box(NamedTuple):
    """Half-open box of scan voxels in array order: rows k0 <= k < k1, j0 <= j < j1, i0 <= i < i1."""

    k0: int
    k1: int
    j0: int
    j1: int
    i0: int
    i1: int

    @classmethod
    def whole(cls, shape: tuple[int, ...]) -> Box:
        """The box of a whole (K, J, I) array."""
        return cls(0, shape[0], 0, shape[1], 0, shape[2])

    @classmethod
    def between(cls, low: ArrayLike, high: ArrayLike) -> Box:
        """The box from corner `low` (included) to corner `high` (excluded), both as (k, j, i)."""
        (k0, j0, i0), (k1, j1, i1) = np.asarray(low, dtype=int).tolist(), np.asarray(high, dtype=int).tolist()
        return cls(k0, k1, j0, j1, i0, i1)

    @classmethod
    def of_mask(cls, mask: np.ndarray) -> Box:
        """The smallest box that holds every non-zero voxel of a (K, J, I) array; empty when there is none."""
        mask = mask.view(np.bool_) if mask.dtype.itemsize == 1 else mask != 0
        occupied = np.any(mask, axis=2)
        rows, columns = np.flatnonzero(np.any(occupied, axis=1)), np.flatnonzero(np.any(occupied, axis=0))
        if rows.size == 0:
            return cls(0, 0, 0, 0, 0, 0)
        k0, k1, j0, j1 = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
        along_i = np.flatnonzero(np.any(mask[k0:k1, j0:j1], axis=(0, 1)))
        return cls(k0, k1, j0, j1, int(along_i[0]), int(along_i[-1]) + 1)

    @property
    def low(self) -> tuple[int, int, int]:
        """First voxel, (k, j, i)."""
        return self.k0, self.j0, self.i0

    @property
    def high(self) -> tuple[int, int, int]:
        """One past the last voxel, (k, j, i)."""
        return self.k1, self.j1, self.i1

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels along k, j, i; zero, never negative, along an empty axis."""
        return max(self.k1 - self.k0, 0), max(self.j1 - self.j0, 0), max(self.i1 - self.i0, 0)

    @property
    def is_empty(self) -> bool:
        """Whether the box holds no voxel."""
        return 0 in self.shape

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """Index of this box in a (K, J, I) array. The box must lie within the array: see `clipped`."""
        k, j, i = self.shape
        return slice(self.k0, self.k0 + k), slice(self.j0, self.j0 + j), slice(self.i0, self.i0 + i)

    def union(self, other: Box) -> Box:
        """The smallest box that holds both; an empty box adds nothing."""
        if self.is_empty or other.is_empty:
            return other if self.is_empty else self
        return Box.between(np.minimum(self.low, other.low), np.maximum(self.high, other.high))

    def intersection(self, other: Box) -> Box:
        """The voxels that both hold; may be empty."""
        low = np.maximum(self.low, other.low)
        return Box.between(low, np.maximum(low, np.minimum(self.high, other.high)))

    def clipped(self, shape: tuple[int, ...]) -> Box:
        """The part that lies within an array of this (K, J, I) shape; `slices` is then always valid."""
        low = np.clip(self.low, 0, shape)
        return Box.between(low, np.maximum(low, np.clip(self.high, 0, shape)))

    def dilated(self, voxels: ArrayLike) -> Box:
        """Grown by `voxels` on all sides: one number, or one per axis (k, j, i). An empty box stays empty."""
        if self.is_empty:
            return self
        return Box.between(np.subtract(self.low, voxels), np.add(self.high, voxels))


@dataclass(frozen=True)
class CropGrid:
    """Isotropic cube of voxels aligned with the RAS axes.

    Arrays on this grid have axes (R, A, S): index (r, a, s) grows with the RAS coordinate, and voxel (0, 0, 0) is
    centred at center_ras - (size - 1) / 2 * spacing. The field of view is the cube that the voxels fill, of side
    size * spacing, not only the span of their centres.

    Args:
        center_ras: centre of the cube, RAS mm.
        spacing: side of a voxel, mm.
        size: voxels along each axis.

    Raises:
        ValueError: centre not finite, spacing not positive, size below 1.
    """

    center_ras: tuple[float, float, float]
    spacing: float
    size: int = 128

    def __post_init__(self) -> None:
        r, a, s = (float(coordinate) for coordinate in self.center_ras)
        spacing, size = float(self.spacing), int(self.size)
        if not all(map(math.isfinite, (r, a, s))):
            raise ValueError(f"A crop needs a finite centre, not {self.center_ras}.")
        if not (math.isfinite(spacing) and spacing > 0 and size == self.size and size >= 1):
            raise ValueError(f"A crop needs a positive spacing and a whole size, not {self.spacing} and {self.size}.")
        object.__setattr__(self, "center_ras", (r, a, s))
        object.__setattr__(self, "spacing", spacing)
        object.__setattr__(self, "size", size)

    @classmethod
    def around(cls, ras: ArrayLike, spacing: float, size: int = 128) -> CropGrid:
        """The grid centred at a point (any sequence of three RAS mm)."""
        r, a, s = np.asarray(ras, dtype=np.float64).tolist()
        return cls((r, a, s), spacing, size)

    @property
    def extent_mm(self) -> float:
        """Side of the field of view, mm."""
        return self.size * self.spacing

    @property
    def first_voxel_ras(self) -> tuple[float, float, float]:
        """Centre of voxel (0, 0, 0), RAS mm."""
        r, a, s = (coordinate - (self.size - 1) / 2 * self.spacing for coordinate in self.center_ras)
        return r, a, s

    @property
    def index_to_ras_matrix(self) -> np.ndarray:
        """(4, 4) matrix: (r, a, s, 1) index -> RAS mm."""
        matrix = np.diag([self.spacing, self.spacing, self.spacing, 1.0])
        matrix[:3, 3] = self.first_voxel_ras
        return matrix

    @property
    def ras_to_index_matrix(self) -> np.ndarray:
        """(4, 4) matrix: RAS mm -> (r, a, s, 1) index."""
        matrix = np.diag([1 / self.spacing, 1 / self.spacing, 1 / self.spacing, 1.0])
        matrix[:3, 3] = -np.asarray(self.first_voxel_ras) / self.spacing
        return matrix

    def ras_to_index(self, points: ArrayLike) -> np.ndarray:
        """Continuous indices (r, a, s) of RAS points of shape (..., 3); whole numbers are voxel centres."""
        return (np.asarray(points, dtype=np.float64) - self.first_voxel_ras) / self.spacing

    def index_to_ras(self, points: ArrayLike) -> np.ndarray:
        """RAS points, mm, of continuous indices of shape (..., 3)."""
        return transformed(self.index_to_ras_matrix, points)

    def contains(self, ras: ArrayLike, margin_voxels: float = 0.0) -> bool:
        """Whether a RAS point lies in the field of view, at least `margin_voxels` from its faces."""
        distance = np.abs(np.asarray(ras, dtype=np.float64) - self.center_ras)
        return bool((distance <= (self.size / 2 - margin_voxels) * self.spacing).all())

    def contains_each(self, points: ArrayLike) -> np.ndarray:
        """Whether each of these RAS points, (N, 3) mm, lies in the field of view: (N,) bool."""
        distance = np.abs(np.asarray(points, dtype=np.float64).reshape(-1, 3) - self.center_ras)
        return np.asarray((distance <= self.size / 2 * self.spacing).all(axis=1))

    def coarser(self, size: int) -> CropGrid:
        """The same field of view divided into `size` voxels an axis.

        Voxel centres move as in torch.nn.functional.interpolate(align_corners=False): faces stay, corners' centres
        do not. A `size` above this grid's gives a finer grid.
        """
        return CropGrid(self.center_ras, self.extent_mm / size, size)

    def reference_image(self) -> sitk.Image:
        """A SimpleITK image with this grid's geometry in LPS, for sitk.Resample; its voxels are 0.

        ITK's axes are (s, a, r), so that sitk.GetArrayFromImage of what is resampled to it has axes (R, A, S).
        """
        image = sitk.Image([self.size] * 3, sitk.sitkUInt8)
        r, a, s = self.first_voxel_ras
        image.SetOrigin((-r, -a, s))
        image.SetSpacing([self.spacing] * 3)
        image.SetDirection((0.0, 0.0, -1.0, 0.0, -1.0, 0.0, 1.0, 0.0, 0.0))
        return image
