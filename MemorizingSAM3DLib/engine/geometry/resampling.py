"""Resampling between the scan's grid and a crop's grid.

Everything is done in index space: one affine takes the output's voxel indices to the input's, ITK is given that affine
and no other geometry. Arrays keep numpy's order: (k, j, i) for scans, (r, a, s) for crops.

A scan on a crop's grid where both have parallel axes, as nearly all scans have: one axis after the other.

Smoothing, averaging and linear interpolation then are one small matrix an axis. Most of its columns are zero, and the
scan is taken a few slices at a time, so that a coarse crop of a large scan takes neither long nor much memory.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import SimpleITK as sitk

from ..errors import VolumeError
from .grids import Box, CropGrid, transformed, with_axes_reversed
from .products import product
from .volume import Volume

#: Grids count as parallel when no voxel of the crop is off by more, in scan voxels: headers keep directions rounded.
PARALLEL_TOLERANCE = 1e-3
_ROWS_AT_ONCE = 32  # of a banded matrix: the band is some four times as long
_VOXELS_AT_ONCE = 2_000_000


def parallel_axes(matrix: np.ndarray, size: int) -> list[int] | None:
    """For each scan axis (k, j, i) the crop axis (r, a, s) that runs along it; None when the grids are oblique.

    Args:
        matrix: (4, 4), crop index (r, a, s) -> index on the scan's axes (k, j, i). size: edge of the crop, voxels.
    """
    along = np.abs(matrix[:3, :3])
    axes = along.argmax(axis=1).tolist()
    if sorted(axes) != [0, 1, 2]:
        return None
    drift = along * size / 2
    drift[range(3), axes] = 0
    return axes if drift.sum(axis=1).max() <= PARALLEL_TOLERANCE else None


def positions_along(matrix: np.ndarray, axes: list[int], size: int) -> list[np.ndarray]:
    """Where the crop's voxels lie along each scan axis: three times (size,), on the scale of the matrix's result."""
    middle = np.full(3, (size - 1) / 2)
    # What little the other two axes contribute is taken at the middle of the crop.
    return [
        row[3] + row[:3] @ middle + row[axis] * (np.arange(size) - middle[0])
        for row, axis in zip(matrix[:3], axes, strict=True)
    ]


def axis_weights(positions: np.ndarray, length: int, bin_size: int, sigma: float, truncate: float) -> np.ndarray:
    """What each voxel of an axis contributes to smoothed, interpolated samples.

    Args:
        positions: (n,), in bins. length: voxels along the axis. bin_size: voxels that are averaged into a bin; the
            last bin is filled with the last voxel. sigma: of the Gaussian, bins; 0 smooths nothing. truncate: where
            the Gaussian ends, in sigmas; beyond the axis the outermost bin continues.

    Returns:
        (n, length) float32, rows of sum 1.
    """
    bins = -(-length // bin_size)
    reach = int(truncate * sigma + 0.5)
    steps = np.arange(-reach, reach + 1)
    taps = np.exp(-0.5 * (steps / sigma) ** 2) if sigma > 0 else np.ones(1)
    taps /= taps.sum()
    positions = np.clip(positions, 0, bins - 1)
    lower = np.minimum(np.floor(positions).astype(int), max(bins - 2, 0))
    fraction = positions - lower
    weights, rows = np.zeros((len(positions), bins)), np.arange(len(positions))[:, None]
    for nearest, share in ((lower, 1 - fraction), (np.minimum(lower + 1, bins - 1), fraction)):
        np.add.at(weights, (rows, np.clip(nearest[:, None] + steps, 0, bins - 1)), share[:, None] * taps)
    spread = np.repeat(weights / bin_size, bin_size, axis=1)
    spread[:, length - 1] += spread[:, length:].sum(axis=1)
    return spread[:, :length].astype(np.float32)


def weighted(region: np.ndarray, weights: list[np.ndarray]) -> np.ndarray:
    """The sums that three matrices ask for, (n, K), (n', J) and (n'', I), of a (K, J, I) array of any real type.

    Returns:
        (n, n', n'') float32.
    """
    along_k, along_j, along_i = weights
    slices, rows, columns = region.shape
    planes = np.empty((slices, len(along_j), len(along_i)), dtype=np.float32)
    step = max(1, _VOXELS_AT_ONCE // (rows * columns))
    for start in range(0, slices, step):
        part = region[start : start + step].astype(np.float32)
        lines = np.empty((len(part) * rows, len(along_i)), dtype=np.float32)
        for some, used in _bands(along_i):
            lines[:, some] = product(part.reshape(-1, columns)[:, used], along_i[some, used].T)
        part_lines = lines.reshape(len(part), rows, -1)
        for some, used in _bands(along_j):
            planes[start : start + step, some] = product(along_j[some, used], part_lines[:, used])
    result = np.empty((len(along_k), *planes.shape[1:]), dtype=np.float32)
    for some, used in _bands(along_k):
        sums = product(along_k[some, used], planes[used].reshape(used.stop - used.start, -1))
        result[some] = sums.reshape(-1, *planes.shape[1:])
    return result


def _bands(weights: np.ndarray) -> Iterator[tuple[slice, slice]]:
    """Some rows of a matrix at a time, with the columns that hold all of their weights."""
    for start in range(0, len(weights), _ROWS_AT_ONCE):
        rows = slice(start, min(start + _ROWS_AT_ONCE, len(weights)))
        used = np.flatnonzero(weights[rows].any(axis=0))
        yield rows, slice(int(used[0]), int(used[-1]) + 1)


#: What `paste_logits` gives voxels that lie outside of the crop: finite, so that arithmetic on it stays finite.
OUTSIDE_LOGIT = -1.0e4
#: Shrinking by less than this needs no anti-aliasing.
_ALIASING_RATIO = 1.2
#: Full width at half maximum of a Gaussian, in standard deviations.
_FWHM = 2.0 * np.sqrt(2.0 * np.log(2.0))
_TRUNCATE = 3.0
#: Voxel centres this close (in voxels) to the face of a field of view count as lying on it.
CROP_FACE_TOLERANCE = 1e-6


def box_of_crop(volume: Volume, grid: CropGrid) -> Box:
    """The smallest box of scan voxels that holds every voxel whose centre lies in the crop's field of view.

    For a scan that is oblique to RAS, the box's corners stick out of the crop. Empty when they do not meet.
    """
    return _covering_box(volume, grid, np.zeros(3, dtype=int))


def resample_to_crop(volume: Volume, grid: CropGrid, anti_alias: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """The scan's intensities on a crop's grid, by linear interpolation.

    Only the part of the scan that the crop covers is touched. Along every scan axis that shrinks by more than 1.2 it
    is first smoothed by a Gaussian whose full width at half maximum takes the scan's voxel to the crop's (Cardoso et
    al., Scale factor point spread function matching, MICCAI 2015).

    Args:
        volume: the scan, its intensities as they are.
        grid: where to sample.
        anti_alias: smooth before shrinking.

    Returns:
        crop: (n, n, n) float32, axes (R, A, S); voxels outside of the scan hold the lowest intensity of the part of
            the scan that the crop covers.
        inside: (n, n, n) bool, voxels whose centre lies within the scan.

    Raises:
        VolumeError: the crop does not meet the scan.
    """
    ratios = _shrinkage(volume, grid) if anti_alias else np.ones(3)
    box = _covering_box(volume, grid, _reach(ratios))
    inside = _inside(scan_from_crop(volume, grid), volume.shape, grid.size)
    if box.is_empty or not inside.any():
        raise VolumeError(
            "The crop does not meet the scan.", "Place the point inside the scan, and check the scan's transform."
        )
    region = volume.intensities[box.slices]
    padding = float(region.min())
    parallel = _sample_parallel(region, box, volume, grid, ratios, padding)
    crop = _sample(region, box, volume, grid, ratios, padding) if parallel is None else parallel
    if not inside.all():
        crop[~inside] = padding
    return crop, inside


def mask_to_crop(mask: np.ndarray, volume: Volume, grid: CropGrid, size: int) -> np.ndarray:
    """How much of each voxel of grid.coarser(size) a mask on the scan's grid fills.

    Anti-aliased as `resample_to_crop`, so that volume is kept and a mask smaller than a coarse voxel leaves its share
    instead of vanishing. Only the mask's bounding box is processed.

    Args:
        mask: (K, J, I) bool or integer, the scan's shape; not zero is inside.
        volume: the scan that the mask belongs to.
        grid: the crop.
        size: voxels an axis of the result, over the same field of view.

    Returns:
        (size, size, size) float32 in 0..1, axes (R, A, S).

    Raises:
        ValueError: the mask does not have the scan's shape.
    """
    if mask.shape != volume.shape:
        raise ValueError(f"The mask's shape {mask.shape} is not the scan's, {volume.shape}.")
    coarse = grid.coarser(size)
    ratios = _shrinkage(volume, coarse)
    covered = _covering_box(volume, coarse, _reach(ratios))
    within = Box.of_mask(mask[covered.slices])
    if within.is_empty:
        return np.zeros((size,) * 3, dtype=np.float32)
    low, high = np.add(covered.low, within.low), np.add(covered.low, within.high)
    occupied = mask[Box.between(low, high).slices] != 0
    # The margin of zeros lets the smoothed mask fade out before its region ends, at the scan's edge too.
    margin = _reach(ratios)
    region = np.pad(occupied, [(n, n) for n in margin.tolist()])
    return _sample(region, Box.between(low - margin, high + margin), volume, coarse, ratios, 0.0)


def scan_from_crop(volume: Volume, grid: CropGrid) -> np.ndarray:
    """(4, 4): crop index (r, a, s) -> scan index (k, j, i)."""
    return with_axes_reversed(volume.ras_to_ijk_matrix @ grid.index_to_ras_matrix)


def _covering_box(volume: Volume, grid: CropGrid, margin: np.ndarray) -> Box:
    """Scan voxels whose centre lies in the crop's field of view, and `margin` more (k, j, i), within the scan."""
    matrix = scan_from_crop(volume, grid)
    middle, half = transformed(matrix, [(grid.size - 1) / 2] * 3), np.abs(matrix[:3, :3]).sum(axis=1) * grid.size / 2
    low = np.ceil(middle - half - CROP_FACE_TOLERANCE) - margin
    high = np.floor(middle + half + CROP_FACE_TOLERANCE) + 1 + margin
    # Clip before the cast to integers: a crop that is far away must not overflow.
    low = np.clip(low, 0, volume.shape)
    return Box.between(low, np.maximum(low, np.clip(high, 0, volume.shape)))


def _shrinkage(volume: Volume, grid: CropGrid) -> np.ndarray:
    """Crop spacing over scan spacing along (k, j, i)."""
    return grid.spacing / np.array(volume.spacing[::-1])


def translation_matrix(offset: tuple[int, int, int]) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, 3] = offset
    return matrix


def _bin_sizes(ratios: np.ndarray) -> np.ndarray:
    """Voxels averaged before smoothing, per axis: at most half a crop voxel, so that cost stays in bounds."""
    return np.maximum(1, np.floor(ratios / 2)).astype(int)


def _sigmas(ratios: np.ndarray) -> np.ndarray:
    """Standard deviation of the Gaussian in binned voxels, per axis; 0 where nothing is to be smoothed."""
    bins = _bin_sizes(ratios)
    variance = (ratios**2 - 1) / _FWHM**2 - (bins**2 - 1) / 12
    return np.where(ratios > _ALIASING_RATIO, np.sqrt(np.maximum(variance, 0)) / bins, 0.0)


def _reach(ratios: np.ndarray) -> np.ndarray:
    """Scan voxels, per axis, that contribute to a sample from beyond its own place."""
    return (np.ceil(_TRUNCATE * _sigmas(ratios) + 2) * _bin_sizes(ratios)).astype(int)


def _binned(region: np.ndarray, bins: np.ndarray) -> np.ndarray:
    """Means of `bins` voxels along each axis as float32; the last bin of an axis is filled with its last voxel."""
    for axis, size in enumerate(bins.tolist()):
        if size == 1:
            continue
        moved = np.moveaxis(region, axis, 0)
        total = moved[::size].astype(np.float32)
        for offset in range(1, size):
            part = moved[offset::size]
            total[: len(part)] += part
            total[len(part) :] += moved[-1]
        region = np.moveaxis(total / np.float32(size), 0, axis)
    return np.ascontiguousarray(region, dtype=np.float32)


def _sample(
    region: np.ndarray, box: Box, volume: Volume, grid: CropGrid, ratios: np.ndarray, fill: float
) -> np.ndarray:
    """Anti-aliased values of `region` (the voxels of `box`) on a grid; `fill` where the grid leaves the region."""
    bins, sigmas = _bin_sizes(ratios), _sigmas(ratios)
    image = _binned(region, bins)
    if sigmas.any():
        from scipy import ndimage  # here: it takes a second to load, and Slicer's panel loads this module

        ndimage.gaussian_filter(image, sigmas, output=image, mode="nearest", truncate=_TRUNCATE)
    matrix = _bins_from_crop(volume, grid, box, bins)
    corners = list(itertools.product(*((-0.5, n - 0.5) for n in image.shape)))
    reached = transformed(np.linalg.inv(matrix), corners)
    low = np.clip(np.floor(reached.min(axis=0)), 0, grid.size).astype(int)
    high = np.clip(np.ceil(reached.max(axis=0)) + 1, 0, grid.size).astype(int)
    part = Box.between(low, np.maximum(low, high))
    result = np.full((grid.size,) * 3, fill, dtype=np.float32)
    if not part.is_empty:
        # Walking the image in the order in which it lies in memory is several times faster than across it.
        order = _memory_order(matrix)
        from_part = (matrix @ translation_matrix(part.low))[:, [*order, 3]]
        shape = part.shape[order[0]], part.shape[order[1]], part.shape[order[2]]
        result[part.slices].transpose(order)[...] = interpolated(image, from_part, shape, fill)
    return result


def _sample_parallel(
    region: np.ndarray, box: Box, volume: Volume, grid: CropGrid, ratios: np.ndarray, fill: float
) -> np.ndarray | None:
    """As `_sample`, several times faster; None when the scan's axes are not parallel to the crop's."""
    bins, sigmas = _bin_sizes(ratios), _sigmas(ratios)
    matrix = _bins_from_crop(volume, grid, box, bins)
    axes = parallel_axes(matrix, grid.size)
    if axes is None:
        return None
    weights, filled = [], []
    for positions, length, size, sigma in zip(
        positions_along(matrix, axes, grid.size), region.shape, bins.tolist(), sigmas.tolist(), strict=True
    ):
        within = np.flatnonzero((positions >= -0.5) & (positions <= -(-length // size) - 0.5))
        if within.size == 0:
            return np.full((grid.size,) * 3, fill, dtype=np.float32)
        filled.append(slice(int(within[0]), int(within[-1]) + 1))
        weights.append(axis_weights(positions[within], length, size, sigma, _TRUNCATE))
    values = weighted(region, weights)
    result = np.full((grid.size,) * 3, fill, dtype=np.float32)
    result.transpose(axes)[tuple(filled)] = values
    return result


def _bins_from_crop(volume: Volume, grid: CropGrid, box: Box, bins: np.ndarray) -> np.ndarray:
    """(4, 4): crop index (r, a, s) -> index (k, j, i) of the bins into which a box of the scan is divided."""
    bins_to_scan = np.diag([*bins.astype(float), 1.0])
    bins_to_scan[:3, 3] = box.low + (bins - 1) / 2
    return np.linalg.inv(bins_to_scan) @ scan_from_crop(volume, grid)


def _memory_order(matrix: np.ndarray) -> list[int]:
    """The output's axes in the order of the input axes that they mostly run along, slowest first."""
    along = np.abs(matrix[:3, :3])
    fastest = int(along[2].argmax())
    first, second = (axis for axis in range(3) if axis != fastest)
    return [first, second, fastest] if along[0, first] >= along[0, second] else [second, first, fastest]


def interpolated(image: np.ndarray, matrix: np.ndarray, shape: tuple[int, int, int], fill: float) -> np.ndarray:
    """Linear interpolation by ITK; `matrix` takes the result's array indices to the image's.

    Within half a voxel beyond the outermost centres the outermost value continues, further out it is `fill`.
    """
    transform = sitk.AffineTransform(3)
    # ITK's index order is the reverse of numpy's.
    transform.SetMatrix(matrix[2::-1, 2::-1].ravel().tolist())
    transform.SetTranslation(matrix[2::-1, 3].tolist())
    sampled = sitk.Resample(
        sitk.GetImageFromArray(image),
        [int(n) for n in reversed(shape)],
        transform,
        sitk.sitkLinear,
        [0.0] * 3,
        [1.0] * 3,
        np.eye(3).ravel().tolist(),
        fill,
        sitk.sitkFloat32,
    )
    return sitk.GetArrayFromImage(sampled)


def _inside(matrix: np.ndarray, shape: tuple[int, int, int], size: int) -> np.ndarray:
    """(size, size, size) bool: which indices the matrix takes to within the voxels of an array of this shape."""
    inside = np.ones((1, 1, 1), dtype=bool)
    steps = np.meshgrid(*[np.arange(size, dtype=np.float64)] * 3, indexing="ij", sparse=True)
    for row, count in zip(matrix[:3], shape, strict=True):
        # Axes that do not matter are left out, so that a parallel scan costs three short vectors.
        position = np.full((1, 1, 1), row[3])
        for factor, step in zip(row[:3], steps, strict=True):
            if abs(factor) * size > CROP_FACE_TOLERANCE:
                position = position + factor * step
        # A hair less than ITK's own limit, so that every voxel called inside has an interpolated value.
        inside = inside & (position >= CROP_FACE_TOLERANCE - 0.5) & (position <= count - 0.5 - CROP_FACE_TOLERANCE)
    return np.broadcast_to(inside, (size,) * 3).copy()
