"""Scenes without a scan: label maps, made or of real anatomy, rendered with any contrast (SynthSeg: Billot 2023)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from MemorizingSAM3DLib.engine.errors import VolumeError
from MemorizingSAM3DLib.engine.geometry import CropGrid, Volume

from ..data.manifest import DataError
from ..data.random_crops import random_placement
from .synthesis import appearance, label_map, random_target
from .thin_shapes import thin_shape

_THIN = 7  # at most so many thin shapes a scene
_FIRST_THIN = 100  # label of the first; no other shape has one of these
_EXTENT_MM = (40.0, 260.0)  # edges of crops of real label maps


@dataclass(frozen=True, eq=False)
class LabelScene:
    """A label map of real anatomy without an image.

    Attributes:
        volume: whose voxels are the labels, 0 to 127; its axes run along the patient's, so that it can be stretched.
    """

    volume: Volume


def read_label_scenes(folder: Path) -> list[LabelScene]:
    """All label maps (``*/label.nii.gz`` or ``*.nii.gz``) below a folder.

    Raises:
        DataError: there is none; one cannot be read, holds a single label, or other values than 0 to 127.
    """
    paths = sorted(folder.rglob("*.nii.gz"))
    if not paths:
        raise DataError(f"There is no label map (.nii.gz) below {folder}.", "Check the folder.")
    return [_scene(path) for path in paths]


def _scene(path: Path) -> LabelScene:
    try:
        volume = Volume.from_file(path)
    except VolumeError as error:
        raise DataError(f"{path} is no label map: {error.problem}", "Mend it, or leave the file out.") from error
    labels = volume.array
    if labels.min() < 0 or labels.max() > 127 or (labels.dtype.kind == "f" and (labels % 1).any()):
        raise DataError(f"{path} holds labels outside 0 to 127.", "Number them anew, or leave the file out.")
    return LabelScene(volume.placed(_along_the_axes(volume.ijk_to_ras)))


def _along_the_axes(matrix: np.ndarray) -> np.ndarray:
    """The nearest (4, 4) whose axes run along the patient's: a scan that is turned would be sheared when stretched."""
    directions = matrix[:3, :3] / np.linalg.norm(matrix[:3, :3], axis=0)
    if np.isin(np.abs(directions), (0, 1)).all():
        return matrix
    found = matrix.copy()
    found[:3, :3] = 0
    for row, axis in zip(*linear_sum_assignment(-np.abs(directions)), strict=True):
        found[row, axis] = np.copysign(np.linalg.norm(matrix[:3, axis]), directions[row, axis])
    return found


def made_scene(rng: np.random.Generator, size: int, targets: int) -> tuple[Tensor, Tensor]:
    """A scene of warped shapes, a part of them thin.

    Returns:
        image (1, size, size, size), roughly in -1..1; targets (targets, size, size, size), 0 or 1 (all 0 where the
        scene holds no structure that can be clicked).
    """
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    labels = label_map(rng, generator, size)
    if rng.random() < 0.6:
        for number in range(int(rng.integers(1, _THIN + 1))):
            labels[torch.from_numpy(thin_shape(rng, size))] = _FIRST_THIN + number
    return _rendered(labels, rng, generator, targets)


def anatomical_scene(scenes: Sequence[LabelScene], rng: np.random.Generator, size: int,
                     targets: int) -> tuple[Tensor, Tensor]:  # fmt: skip
    """A crop of a real label map, rendered; returns as :func:`made_scene`."""
    volume = scenes[int(rng.integers(len(scenes)))].volume
    volume = volume.placed(random_placement(rng) @ volume.ijk_to_ras)
    occupied = np.argwhere(volume.array[::4, ::4, ::4]) * 4
    if len(occupied) == 0:  # nothing but small structures
        occupied = np.argwhere(volume.array)
    focus = volume.ijk_to_ras_points(occupied[rng.integers(len(occupied))][::-1])
    edge = float(np.exp(rng.uniform(*np.log(_EXTENT_MM))))
    labels = torch.from_numpy(labels_on(CropGrid.around(focus, edge / size, size), volume))
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    return _rendered(labels, rng, generator, targets)


def labels_on(grid: CropGrid, volume: Volume) -> np.ndarray:
    """The nearest voxel's value at each voxel of a crop, (S, S, S) uint8; 0 outside of the volume."""
    matrix = volume.ras_to_ijk_matrix @ grid.index_to_ras_matrix
    steps = np.arange(grid.size, dtype=np.float32)
    found = np.zeros((grid.size,) * 3, dtype=np.int64)
    inside = np.ones((grid.size,) * 3, dtype=bool)
    strides = (1, volume.shape[2], volume.shape[1] * volume.shape[2])
    for row, count, stride in zip(matrix[:3].astype(np.float32), volume.shape[::-1], strides, strict=True):
        place = row[0] * steps[:, None, None] + row[1] * steps[:, None] + row[2] * steps + (row[3] + 0.5)
        inside &= (place >= 0) & (place < count)
        found += np.clip(place, 0, count - 1).astype(np.int64) * stride
    return np.asarray(np.where(inside, volume.array.ravel()[found], 0)).astype(np.uint8)


def _rendered(labels: Tensor, rng: np.random.Generator, generator: torch.Generator,
              targets: int) -> tuple[Tensor, Tensor]:  # fmt: skip
    image = appearance(labels[None], rng, generator)
    return image, torch.stack([random_target(labels, rng, generator) for _ in range(targets)])
