"""Where a user would click: the evaluation's rule and the mixture for training."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

COARSE_FROM_VOXELS = 3000
SLIP_SHARE = 0.04  # of the training clicks miss what they were aimed at
SLIP_VOXELS = 3


class SimulatedClick(NamedTuple):
    """voxel: index in the array it was found in. positive: whether it lies in a missed part (else in a false one)."""

    voxel: tuple[int, int, int]
    positive: bool


def central_click(prediction: np.ndarray, target: np.ndarray,
                  spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> SimulatedClick | None:  # fmt: skip
    """The published evaluation's rule: the voxel farthest inside the larger error region (distance transform).

    Args:
        prediction, target: bool arrays of one shape. spacing: mm (or voxels) along the array's axes.

    Returns:
        The click, or None when prediction and target agree.
    """
    missed, false = target & ~prediction, prediction & ~target
    if not missed.any() and not false.any():
        return None
    positive = int(missed.sum()) >= int(false.sum())
    depth, offset = _depth(missed if positive else false, spacing)
    local = np.unravel_index(int(depth.argmax()), depth.shape)
    return SimulatedClick(tuple(int(a + b) for a, b in zip(local, offset, strict=True)), positive)  # type: ignore[arg-type]


def training_click(prediction: np.ndarray, target: np.ndarray, rng: np.random.Generator,
                   slips: float = SLIP_SHARE) -> SimulatedClick | None:  # fmt: skip
    """A click as users make them: mostly in the larger error, at its centre or at random weighted by depth.

    One in ten comes from the smaller error; the first click (empty prediction) is central or anywhere inside. A point
    that is dragged needs no case of its own: the session replays the clicks from it on, so it is a click elsewhere.

    Args:
        slips: share of clicks that land up to three voxels beside what they were aimed at, right or wrong.
    """
    missed, false = target & ~prediction, prediction & ~target
    sizes = int(missed.sum()), int(false.sum())
    if sum(sizes) == 0:
        return None
    positive = sizes[0] >= sizes[1]
    if min(sizes) > 0 and rng.random() < 0.1:
        positive = not positive
    region = missed if positive else false
    # Half the resolution serves a large region as well, at an eighth of the time.
    step = 2 if region.sum() > COARSE_FROM_VOXELS and region[::2, ::2, ::2].any() else 1
    region = region[::step, ::step, ::step]
    parts, count = ndimage.label(region)
    if count > 1:
        volumes = np.bincount(parts.ravel())[1:]
        largest = rng.random() < 0.7
        chosen = int(volumes.argmax()) if largest else int(rng.choice(count, p=volumes / volumes.sum()))
        region = parts == chosen + 1
    depth, offset = _depth(region, (1.0, 1.0, 1.0))
    if rng.random() < 0.5:
        flat = int(depth.argmax())
    else:
        weights = depth.ravel() ** (2.0 if rng.random() < 0.7 else 0.0) * (depth.ravel() > 0)
        flat = int(rng.choice(depth.size, p=weights / weights.sum()))
    local = np.unravel_index(flat, depth.shape)
    voxel = np.array([step * int(x + start) for x, start in zip(local, offset, strict=True)])
    if rng.random() < slips:
        voxel = np.clip(voxel + rng.integers(-SLIP_VOXELS, SLIP_VOXELS + 1, 3), 0, np.array(target.shape) - 1)
    r, a, s = voxel.tolist()
    return SimulatedClick((r, a, s), positive)


def _depth(region: np.ndarray, spacing: tuple[float, float, float]) -> tuple[np.ndarray, tuple[int, ...]]:
    """Distance to the region's outside (the array's border counts as outside), on the region's bounding box."""
    box = ndimage.find_objects(region.astype(np.uint8))[0]
    padded = np.pad(region[box], 1)
    depth = ndimage.distance_transform_edt(padded, sampling=spacing)[1:-1, 1:-1, 1:-1]
    return depth, tuple(part.start for part in box)
