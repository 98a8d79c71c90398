"""Which crop to look through: voxels as fine as the object asks for, further crops where a border cuts the mask."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..geometry import CropGrid, Volume

# Chosen for crops of 64^3 voxels on training cases, before that for 128^3; between on a line.
FIRST_SPACING_MM = ((64, 3.5), (128, 2.5))
CROPS_PER_OBJECT = ((64, 2.6), (128, 3.6))  # edge of the crop over the object's longest side
# Once some clicks have said what the object is, small crops look closer: boundaries are as fine as cells.
LATER_CROPS_PER_OBJECT = ((64, 1.7), (128, 3.6))
LATER_FROM = 2  # clicks before
_VOXELS_A_CELL = 2
_FINER_RATIO, _LATER_FINER_RATIO = 2.2, 1.35
# Then around the click alone, where a crop of the whole object shows it too coarsely: it is thin for its length, or
# what is left to correct is small. After so many clicks, cells across its thickness, and the crop's edge at least, mm.
FINER_CROP_RATIO = 1.35  # how many times too coarse a crop may be before
FINER_CROPS = ((3, 4.5, 110.0), (8, 6.0, 110.0), (15, 9.0, 60.0), (30, 12.0, 40.0))
NEW_CROP_RATIO = 1.6  # a spacing off by less is good enough
MARGIN_VOXELS = 8.0
_WIDE_CUT = 0.06  # of a face: what is cut there is large, not long
_BORDER_CELLS = 4  # cells of a face that must be filled before the object counts as cut there


def first_grid(volume: Volume, ras: tuple[float, float, float], spacing_range: tuple[float, float],
               size: int) -> CropGrid:  # fmt: skip
    """The crop of the first click, when nothing is known of the object: finer when the whole scan is small."""
    spacing = min(_at_size(FIRST_SPACING_MM, size), max(volume.extent_mm) / size)
    return CropGrid(ras, float(np.clip(spacing, *spacing_range)), size)


def spacing_for(extent_mm: float, spacing_range: tuple[float, float], size: int, clicks: int = 0) -> float:
    """The voxel size, mm, at which an object of this longest side fills a good part of the crop.

    Args:
        clicks: that were made before.
    """
    ratio = _at_size(LATER_CROPS_PER_OBJECT if clicks >= LATER_FROM else CROPS_PER_OBJECT, size)
    return float(np.clip(extent_mm * ratio / size, *spacing_range))


def finer_ratio(size: int, clicks: int) -> float:
    """How many times too coarse a crop of an object may be before a finer one is taken.

    Args:
        clicks: that were made before.
    """
    closer = _at_size(LATER_CROPS_PER_OBJECT, size) < _at_size(CROPS_PER_OBJECT, size)
    return _LATER_FINER_RATIO if closer and clicks >= LATER_FROM else _FINER_RATIO


def finer_spacing(thickness_mm: float, spacing_range: tuple[float, float], size: int, clicks: int) -> float:
    """The voxel size, mm, at which what is so thick is as many cells across as it should be by now.

    Args:
        clicks: that were made before, enough for the first of :data:`FINER_CROPS`.
    """
    across, least_mm = [crop[1:] for crop in FINER_CROPS if crop[0] <= clicks][-1]
    return float(np.clip(max(thickness_mm / (across * _VOXELS_A_CELL), least_mm / size), *spacing_range))


def thickness(mask: np.ndarray, spacing: tuple[float, float, float]) -> float:
    """How thick a mask is, mm: four times its volume over its voxels' outer faces, which is the side of a long rod.

    Args:
        mask: bool, not empty. spacing: mm along its axes.
    """
    padded = np.pad(mask, 1)
    surface = 0.0
    for axis in range(3):
        faces = np.count_nonzero(np.diff(padded.view(np.int8), axis=axis))
        surface += faces * float(np.prod(spacing)) / spacing[axis]
    return 4 * np.count_nonzero(mask) * float(np.prod(spacing)) / surface


def better_grid(logits: np.ndarray, grid: CropGrid, ras: tuple[float, float, float],
                spacing_range: tuple[float, float]) -> CropGrid | None:  # fmt: skip
    """A crop that suits the object better than the one just looked through, or None when that one will do.

    Args:
        logits: (m, m, m) after the first click. ras: that click, which stays well inside the new crop.
    """
    cell_mm = grid.extent_mm / logits.shape[0]
    part = _part_at(logits > 0, np.floor((grid.coarser(logits.shape[0]).ras_to_index(np.array(ras))) + 0.5).astype(int))
    if not part.any():
        return None
    box = ndimage.find_objects(part.astype(np.uint8))[0]
    low = np.array([axis.start for axis in box])
    high = np.array([axis.stop for axis in box])
    touching = int((low == 0).sum() + (high == logits.shape[0]).sum())
    cut_wide = sum(np.take(part, side, axis).mean() > _WIDE_CUT for axis in range(3) for side in (0, -1))
    spacing = spacing_for(float((high - low).max()) * cell_mm, spacing_range, grid.size)
    if cut_wide >= 3:  # larger than the crop in most directions: step back
        spacing = float(np.clip(grid.spacing * NEW_CROP_RATIO, *spacing_range))
    elif touching:  # long rather than large: further crops follow it at the resolution it has
        return None
    ratio = spacing / grid.spacing
    if 1 / NEW_CROP_RATIO < ratio < NEW_CROP_RATIO * 0.999:
        return None
    centre = grid.coarser(logits.shape[0]).index_to_ras((low + high - 1) / 2)
    reach = (grid.size / 2 - 2 * MARGIN_VOXELS) * spacing
    centre = np.clip(centre, np.array(ras) - reach, np.array(ras) + reach)
    return CropGrid.around(centre, spacing, grid.size)


def grid_around(points: np.ndarray, spacing_range: tuple[float, float], size: int, clicks: int = 0) -> CropGrid:
    """A crop that holds all of these points, (N, 3) RAS mm, as far as the coarsest spacing allows.

    Args:
        clicks: that were made before.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    spacing = spacing_for(float((high - low).max()), spacing_range, size, clicks)
    return CropGrid.around((low + high) / 2, spacing, size)


def cut_faces(mask: np.ndarray, grid: CropGrid, volume: Volume) -> list[CropGrid]:
    """Crops that continue the mask beyond the faces at which this crop cuts it.

    Args:
        mask: (m, m, m) bool on ``grid.coarser(m)``.

    Returns:
        One crop a face that the mask fills in at least four cells and beyond which the scan goes on, centred on the
        cut along the face and 0.3 of its edge further out.
    """
    size = mask.shape[0]
    cells = grid.coarser(size)
    found = []
    for axis in range(3):
        for side in (0, size - 1):
            face = np.take(mask, side, axis=axis)
            if np.count_nonzero(face) < _BORDER_CELLS:
                continue
            # The middle of all that is cut, not its mean: a thin branch beside a thick one stays in view.
            filled = np.argwhere(face)
            centre = np.insert((filled.min(axis=0) + filled.max(axis=0)) / 2, axis, float(side))
            # The click's neighbourhood stays in view, so the network sees what it has to continue.
            shift = np.zeros(3)
            shift[axis] = (1 if side else -1) * 0.3 * size
            if volume.contains(cells.index_to_ras(centre + np.sign(shift) * 1.0)):
                found.append(CropGrid.around(cells.index_to_ras(centre + shift), grid.spacing, grid.size))
    return found


def _at_size(known: tuple[tuple[int, float], tuple[int, float]], size: int) -> float:
    (small, at_small), (large, at_large) = known
    return float(np.interp(size, (small, large), (at_small, at_large)))


def _part_at(mask: np.ndarray, cell: np.ndarray) -> np.ndarray:
    parts, _ = ndimage.label(mask)
    cell = np.clip(cell, 0, np.array(mask.shape) - 1)
    number = int(parts[tuple(cell)])
    return parts == number if number else mask
