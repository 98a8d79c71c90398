"""Dilation and erosion of batches on any device, an axis after the other: a kernel of n^3 costs 3 n reads.

The body in a scan, without a label: what a user may want to segment whole, and what a pack keeps.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from torch import Tensor
from torch.nn import functional


def dilated(masks: Tensor, radius: int, outside: float = 0.0) -> Tensor:
    """The maximum over boxes of 2 radius + 1 voxels of (B, 1, m, m, m); ``outside`` is the value beyond the array."""
    for axis in range(3):
        kernel, edges = [1, 1, 1], [0] * 6
        kernel[axis] = 2 * radius + 1
        edges[4 - 2 * axis], edges[5 - 2 * axis] = radius, radius  # functional.pad begins with the last axis
        masks = functional.max_pool3d(functional.pad(masks, edges, value=outside), kernel, stride=1)
    return masks


def eroded(masks: Tensor, radius: int) -> Tensor:
    """The minimum over such boxes of masks of 0..1; beyond the array there is nothing."""
    return 1 - dilated(1 - masks, radius, outside=1.0)


_BINS = 256
_LEAST_PART = 0.02  # of the largest part: smaller ones are wires and noise
_DIM = 0.1  # of Otsu's threshold above the lowest value: PET shows most of the body this far below its hot spots


def foreground(image: np.ndarray) -> np.ndarray:
    """The body (or the brain of a skull-stripped scan): the largest part above Otsu's threshold, its holes filled.

    Args:
        image: (R, A, S).

    Returns:
        (R, A, S) bool.
    """
    parts, count = ndimage.label(image > otsu_threshold(image))
    if count == 0:
        return np.ones(image.shape, dtype=bool)
    volumes = np.bincount(parts.ravel())
    volumes[0] = 0
    return np.asarray(ndimage.binary_fill_holes(parts == int(volumes.argmax())))


def occupied_box(image: np.ndarray) -> tuple[slice, slice, slice]:
    """The box of everything but air: both legs, not the larger one alone, and what is dim in PET."""
    lowest = float(image.min())
    parts, count = ndimage.label(image > lowest + _DIM * (otsu_threshold(image) - lowest))
    if count == 0:
        r, a, s = image.shape
        return slice(0, r), slice(0, a), slice(0, s)
    volumes = np.bincount(parts.ravel())[1:]
    found = zip(ndimage.find_objects(parts), volumes, strict=True)
    boxes = [box for box, volume in found if volume >= _LEAST_PART * volumes.max()]
    low = [min(box[axis].start for box in boxes) for axis in range(3)]
    high = [max(box[axis].stop for box in boxes) for axis in range(3)]
    return tuple(slice(a, b) for a, b in zip(low, high, strict=True))  # type: ignore[return-value]


def otsu_threshold(image: np.ndarray) -> float:
    """The threshold that separates two classes best (Otsu 1979), from a histogram of 256 bins of every eighth voxel."""
    counts, edges = np.histogram(image.reshape(-1)[::8], bins=_BINS)
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1].astype(np.float64)
    above = counts.sum() - below
    mass = np.cumsum(counts * centres)
    means = mass[:-1] / np.maximum(below, 1), (mass[-1] - mass[:-1]) / np.maximum(above, 1)
    separation = below * above * (means[0] - means[1]) ** 2
    # Between two classes that lie apart, all thresholds are alike: the middle one then.
    return float(edges[1:-1][separation >= separation.max() * (1 - 1e-9)].mean())
