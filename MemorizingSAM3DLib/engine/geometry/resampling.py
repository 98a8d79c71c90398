"""Resampling between the scan's grid and a crop's grid.

Everything is done in index space: one affine takes the output's voxel indices to the input's, ITK is given that affine
and no other geometry. Arrays keep numpy's order: (k, j, i) for scans, (r, a, s) for crops.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk

from ..errors import VolumeError
from .affine import transformed, with_axes_reversed
from .grids import Box, CropGrid
from .parallel_resampling import axis_weights, parallel_axes, positions_along, weighted
from .products import along_axes, product
from .volume import Volume

if TYPE_CHECKING:
    import torch

#: What `paste_logits` gives voxels that lie outside of the crop: finite, so that arithmetic on it stays finite.
OUTSIDE_LOGIT = -1.0e4

#: Shrinking by less than this needs no anti-aliasing.
_ALIASING_RATIO = 1.2
#: Full width at half maximum of a Gaussian, in standard deviations.
_FWHM = 2.0 * np.sqrt(2.0 * np.log(2.0))
_TRUNCATE = 3.0
#: A grid counts as parallel to the crop's when no voxel of the box is off by more, in logit voxels.
_PARALLEL_TOLERANCE = 0.01
#: Voxel centres this close (in voxels) to the face of a field of view count as lying on it.
_FACE_TOLERANCE = 1e-6


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
    inside = _inside(_scan_from_crop(volume, grid), volume.shape, grid.size)
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


def paste_logits(
    logits: np.ndarray, grid: CropGrid, volume: Volume, box: Box | None = None, refined: bool = False
) -> tuple[Box, np.ndarray]:
    """A network's logits on the scan's own grid, by linear interpolation of the logits themselves.

    Between the outermost logits' centres and the face of the crop the outermost value continues; voxels whose centre
    lies outside of the crop get OUTSIDE_LOGIT. A scan whose axes are parallel to RAS (permuted or flipped as they may
    be) is done by three small matrix products, any other by ITK.

    Args:
        logits: (m, m, m), finite, axes (R, A, S), on grid.coarser(m).
        grid: the crop.
        volume: the scan.
        box: the scan voxels wanted, if not all that the crop covers; cost and memory follow its size.
        refined: paste `refined_logits` of them instead, which then are not made where nobody wants them.

    Returns:
        The box that was done (`box` within the scan) and float32 logits of its shape (k, j, i).

    Raises:
        ValueError: logits that are not a cube, or not finite.
    """
    return _pasted(logits, grid, volume, box, refined)


def paste_signs(
    logits: np.ndarray,
    grid: CropGrid,
    volume: Volume,
    box: Box | None = None,
    refined: bool = False,
    device: torch.device | None = None,
) -> tuple[Box, np.ndarray]:
    """Where `paste_logits` would be positive: the same box, and bool (k, j, i).

    Args:
        device: of PyTorch, where it is computed, and from which only the box's signs come back; None: the CPU. An
            oblique scan is done by ITK all the same.
    """
    return _pasted(logits, grid, volume, box, refined, signs=True, device=device)


def _pasted(
    logits: np.ndarray,
    grid: CropGrid,
    volume: Volume,
    box: Box | None,
    refined: bool,
    signs: bool = False,
    device: torch.device | None = None,
) -> tuple[Box, np.ndarray]:
    logits = np.asarray(logits, dtype=np.float32)
    size = len(logits)
    if logits.shape != (size, size, size) or not np.isfinite(logits).all():
        raise ValueError(f"Logits must be finite, of shape (m, m, m); their shape is {logits.shape}.")
    box = box_of_crop(volume, grid) if box is None else box.clipped(volume.shape)
    if box.is_empty:
        return box, np.empty(box.shape, dtype=bool if signs else np.float32)
    finer = _cubic_weights(size) if refined else None
    size = 2 * size if refined else size
    matrix = np.linalg.inv(_scan_from_crop(volume, grid.coarser(size)))
    axes = _parallel_axes(matrix, box)
    if axes is None:
        logits = refined_logits(logits) if refined else logits
        # ITK leaves out the upper faces, where scans with the crop's centre and a round spacing do have voxels.
        shrunk = np.eye(4)
        shrunk[:3, :3] *= 1 - _FACE_TOLERANCE / (size / 2)
        shrunk[:3, 3] = (size - 1) / 2 * _FACE_TOLERANCE / (size / 2)
        from_box = shrunk @ matrix @ _translation(box.low)
        values = _interpolate(logits, from_box, box.shape, OUTSIDE_LOGIT)
        return box, values > 0 if signs else values
    return box, _paste_parallel(logits, matrix, axes, box, finer, signs, device)


def refined_logits(logits: np.ndarray) -> np.ndarray:
    """Logits on a grid twice as fine over the same field of view, by cubic convolution (Keys 1981, a = -1/2).

    Linear interpolation cuts the corners of a curved boundary: a ball of 20 mm loses up to 3 % of its Dice at a crop
    spacing of 1 mm. Pasting refined logits gives most of that back.

    Args:
        logits: (m, m, m).

    Returns:
        (2 m, 2 m, 2 m) float32; at the crop's faces the outermost value continues.
    """
    size = len(logits)
    weights = _cubic_weights(size)
    # Last axis first, so that no product has to be transposed in memory.
    along_s = product(np.ascontiguousarray(logits, dtype=np.float32).reshape(-1, size), weights.T)
    along_a = product(weights, along_s.reshape(size, size, 2 * size))
    return product(weights, along_a.reshape(size, -1)).reshape((2 * size,) * 3)


def _cubic_weights(size: int) -> np.ndarray:
    """(2 size, size) float32: what each sample contributes to those of a grid twice as fine."""
    weights = np.zeros((2 * size, size), dtype=np.float32)
    taps = np.array([-0.0234375, 0.2265625, 0.8671875, -0.0703125], dtype=np.float32)  # a quarter cell beside a centre
    for row in range(2 * size):
        first, kernel = (row // 2 - 2, taps) if row % 2 == 0 else (row // 2 - 1, taps[::-1])
        for tap, weight in enumerate(kernel):
            weights[row, min(max(first + tap, 0), size - 1)] += weight
    return weights


def _scan_from_crop(volume: Volume, grid: CropGrid) -> np.ndarray:
    """(4, 4): crop index (r, a, s) -> scan index (k, j, i)."""
    return with_axes_reversed(volume.ras_to_ijk_matrix @ grid.index_to_ras_matrix)


def _covering_box(volume: Volume, grid: CropGrid, margin: np.ndarray) -> Box:
    """Scan voxels whose centre lies in the crop's field of view, and `margin` more (k, j, i), within the scan."""
    matrix = _scan_from_crop(volume, grid)
    middle, half = transformed(matrix, [(grid.size - 1) / 2] * 3), np.abs(matrix[:3, :3]).sum(axis=1) * grid.size / 2
    low = np.ceil(middle - half - _FACE_TOLERANCE) - margin
    high = np.floor(middle + half + _FACE_TOLERANCE) + 1 + margin
    # Clip before the cast to integers: a crop that is far away must not overflow.
    low = np.clip(low, 0, volume.shape)
    return Box.between(low, np.maximum(low, np.clip(high, 0, volume.shape)))


def _shrinkage(volume: Volume, grid: CropGrid) -> np.ndarray:
    """Crop spacing over scan spacing along (k, j, i)."""
    return grid.spacing / np.array(volume.spacing[::-1])


def _translation(offset: tuple[int, int, int]) -> np.ndarray:
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
        from_part = (matrix @ _translation(part.low))[:, [*order, 3]]
        shape = part.shape[order[0]], part.shape[order[1]], part.shape[order[2]]
        result[part.slices].transpose(order)[...] = _interpolate(image, from_part, shape, fill)
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
    return np.linalg.inv(bins_to_scan) @ _scan_from_crop(volume, grid)


def _memory_order(matrix: np.ndarray) -> list[int]:
    """The output's axes in the order of the input axes that they mostly run along, slowest first."""
    along = np.abs(matrix[:3, :3])
    fastest = int(along[2].argmax())
    first, second = (axis for axis in range(3) if axis != fastest)
    return [first, second, fastest] if along[0, first] >= along[0, second] else [second, first, fastest]


def _interpolate(image: np.ndarray, matrix: np.ndarray, shape: tuple[int, int, int], fill: float) -> np.ndarray:
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
            if abs(factor) * size > _FACE_TOLERANCE:
                position = position + factor * step
        # A hair less than ITK's own limit, so that every voxel called inside has an interpolated value.
        inside = inside & (position >= _FACE_TOLERANCE - 0.5) & (position <= count - 0.5 - _FACE_TOLERANCE)
    return np.broadcast_to(inside, (size,) * 3).copy()


def _parallel_axes(matrix: np.ndarray, box: Box) -> list[int] | None:
    """For each scan axis (k, j, i) the crop axis (r, a, s) that it runs along; None when the grids are oblique."""
    axes = np.abs(matrix[:3, :3]).argmax(axis=0).tolist()
    if sorted(axes) != [0, 1, 2]:
        return None
    drift = np.abs(matrix[:3, :3]) * np.array(box.shape) / 2
    drift[axes, range(3)] = 0
    return axes if drift.sum(axis=1).max() <= _PARALLEL_TOLERANCE else None


def _paste_parallel(
    logits: np.ndarray,
    matrix: np.ndarray,
    axes: list[int],
    box: Box,
    finer: np.ndarray | None,
    signs: bool,
    device: torch.device | None,
) -> np.ndarray:
    """Linear interpolation along k, then j, then i, each as a product with an (output, m) matrix of weights.

    `finer` (n, m) gives the n samples between which is interpolated, and to which `matrix` leads; None: the m logits.
    """
    size = len(logits) if finer is None else len(finer)
    outside, kind = (False, bool) if signs else (OUTSIDE_LOGIT, np.float32)
    middle = (np.array(box.low) + np.array(box.high) - 1) / 2
    weights, filled, needed = [], [], []
    for scan_axis, crop_axis in enumerate(axes):
        row, steps = matrix[crop_axis], np.arange(box.shape[scan_axis])
        # What little the other two axes contribute is taken at the middle of the box.
        start = row[3] + row[:3] @ middle + row[scan_axis] * (box.low[scan_axis] - middle[scan_axis])
        positions = start + row[scan_axis] * steps
        within = np.flatnonzero(np.abs(positions - (size - 1) / 2) <= size / 2 + _FACE_TOLERANCE)
        if within.size == 0:
            return np.full(box.shape, outside, dtype=kind)
        filled.append(slice(int(within[0]), int(within[-1]) + 1))
        along_axis = _linear_weights(positions[within], size)
        if finer is not None:
            along_axis = product(along_axis, finer)
        used = np.flatnonzero(along_axis.any(axis=0))
        needed.append(slice(int(used[0]), int(used[-1]) + 1))
        weights.append(along_axis[:, needed[-1]])

    values = along_axes(logits.transpose(axes)[tuple(needed)], weights, device, signs)
    if values.shape == box.shape:
        return values
    result = np.full(box.shape, outside, dtype=kind)
    result[tuple(filled)] = values
    return result


def _linear_weights(positions: np.ndarray, size: int) -> np.ndarray:
    """(n, size) float32: row n interpolates between the two samples next to positions[n], clamped to the first/last."""
    positions = np.clip(positions, 0, size - 1)
    lower = np.minimum(np.floor(positions).astype(int), max(size - 2, 0))
    upper = np.minimum(lower + 1, size - 1)
    fraction = positions - lower
    weights = np.zeros((len(positions), size), dtype=np.float32)
    rows = np.arange(len(positions))
    weights[rows, upper] = fraction
    weights[rows, lower] += 1 - fraction
    return weights
