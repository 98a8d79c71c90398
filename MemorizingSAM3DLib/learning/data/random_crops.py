"""Training crops as the session makes them: one resampling and one normalisation for training and inference.

What is random is where the scan lies (turned, flipped, stretched, by its matrix) and from where and how finely it is
looked at; the voxels then come through :func:`~..engine.geometry.resample_to_crop`, as a click's do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from MemorizingSAM3DLib.engine.geometry import CropGrid, Volume, mask_to_crop, resample_to_crop
from MemorizingSAM3DLib.engine.networks.normalisation import normalise

from .augmentation import augmented, random_change
from .cases import Case

# Shares of crops by how their edge is chosen: times the object's longest side, or as a first crop, of any object.
OBJECT_SHARE, CLOSE_SHARE = 0.60, 0.12
OBJECT_RATIO, CLOSE_RATIO = (1.3, 4.5), (0.4, 1.3)
FIRST_EXTENT_MM = (96.0, 345.0)
_FLIPS = (0.5, 0.15, 0.15)  # chances along R, A, S
_PERMUTED, _UPRIGHT = 0.08, 0.45  # shares of crops: axes exchanged; not turned
_TURN_DEGREES = 14.0
_KNOWN_CT = 0.9  # of CT crops are normalised as CT; the others as a scan of which nothing is known


@dataclass(frozen=True, eq=False)
class RandomCrop:
    """A crop of a case under a random view.

    Attributes:
        image: (1, S, S, S) normalised, changed as other scanners would.
        unchanged: (S, S, S), before that. inside: bool, where the crop lies within the scan.
        volume: the scan as it lies for this crop. grid: the crop.
        case: whose masks :meth:`occupancy` reads.
    """

    image: Tensor
    unchanged: np.ndarray
    inside: np.ndarray
    volume: Volume
    grid: CropGrid
    case: Case

    def occupancy(self, mask: np.ndarray) -> np.ndarray:
        """How much of each voxel of the crop a mask of the case, (R, A, S) bool, fills: (S, S, S) in 0..1."""
        return mask_to_crop(mask.transpose(2, 1, 0), self.volume, self.grid, self.grid.size)

    def labels_inside(self) -> np.ndarray:
        """Labels of the case with voxels near the crop, in ascending order; not the background."""
        corners = np.array(np.meshgrid(*[[-0.5, self.grid.size - 0.5]] * 3)).reshape(3, -1).T
        voxels = self.volume.ras_to_ijk(self.grid.index_to_ras(corners))
        low = np.clip(np.floor(voxels.min(0)), 0, np.array(self.case.labels.shape) - 1).astype(int)
        high = np.clip(np.ceil(voxels.max(0)) + 1, low + 1, self.case.labels.shape).astype(int)
        part = self.case.labels[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
        found = np.flatnonzero(np.bincount(part.ravel(), minlength=1))
        return np.asarray(found[found > 0])


def random_crop(case: Case, volume: Volume, label: int, rng: np.random.Generator, size: int,
                spacing_range: tuple[float, float]) -> RandomCrop:  # fmt: skip
    """A crop in which a structure of a case lies.

    Args:
        volume: of the case, see :func:`.cases.case_volume`. label: of its label map, or FOREGROUND.
        size: edge of the crop, voxels. spacing_range: voxel sizes of the crop, mm.
    """
    turn = random_placement(rng)
    placed = volume.placed(turn @ volume.ijk_to_ras)
    target = case.target(label)
    extent = float(((target.high - target.low) * placed.spacing).max())
    kind = rng.random()
    if kind < OBJECT_SHARE + CLOSE_SHARE:
        edge = extent * rng.uniform(*(OBJECT_RATIO if kind < OBJECT_SHARE else CLOSE_RATIO))
    else:
        edge = min(rng.uniform(*FIRST_EXTENT_MM), max(placed.extent_mm) * rng.uniform(0.85, 1.15))
    spacing = float(np.clip(edge / size, *spacing_range))
    inside = target.voxels[rng.integers(len(target.voxels))]
    focus = inside if rng.random() < 0.6 else (target.low + target.high - 1) / 2
    centre = placed.ijk_to_ras_points(focus) + rng.normal(0, 0.06 * size * spacing, 3)
    # However far it was shifted, a voxel of the structure stays in view.
    reach = 0.45 * size * spacing
    centre = np.clip(centre, placed.ijk_to_ras_points(inside) - reach, placed.ijk_to_ras_points(inside) + reach)
    return crop_at(case, placed, CropGrid.around(centre, spacing, size), rng)


def crop_at(case: Case, volume: Volume, grid: CropGrid, rng: np.random.Generator) -> RandomCrop:
    """The crop of a grid, its intensities normalised as the session does and changed at random."""
    voxels, inside = resample_to_crop(volume, grid)
    modality = case.modality if rng.random() < _KNOWN_CT else None
    unchanged = normalise(voxels, inside, modality)
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    image = augmented(torch.from_numpy(unchanged)[None], [random_change(rng)], generator)
    return RandomCrop(image, unchanged, inside, volume, grid, case)


def random_placement(rng: np.random.Generator) -> np.ndarray:
    """(4, 4): how a scan is stretched along its axes, flipped, and then turned."""
    stretch = np.diag(np.exp(rng.normal(0, 0.08, 3)) * np.where(rng.random(3) < _FLIPS, -1.0, 1.0))
    matrix = np.eye(4)
    matrix[:3, :3] = _random_rotation(rng) @ stretch
    if rng.random() < _PERMUTED:
        matrix[:3] = matrix[rng.permutation(3)]
    return matrix


def _random_rotation(rng: np.random.Generator) -> np.ndarray:
    if rng.random() < _UPRIGHT:
        return np.eye(3)
    a, b, c = rng.normal(0, np.deg2rad(_TURN_DEGREES), 3)
    about_r = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_a = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    about_s = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return about_r @ about_a @ about_s
