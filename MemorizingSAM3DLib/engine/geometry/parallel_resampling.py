"""A scan on a crop's grid where both have parallel axes, as nearly all scans have: one axis after the other.

Smoothing, averaging and linear interpolation then are one small matrix an axis. Most of its columns are zero, and the
scan is taken a few slices at a time, so that a coarse crop of a large scan takes neither long nor much memory.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .products import product

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
