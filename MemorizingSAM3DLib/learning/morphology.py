"""Dilation and erosion of batches on any device, an axis after the other: a kernel of n^3 costs 3 n reads."""

from __future__ import annotations

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
