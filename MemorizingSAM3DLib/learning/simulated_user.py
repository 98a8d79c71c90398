"""The user in training: looks at the mask so far, clicks what is wrong, and remembers all the clicks of a batch.

Where a user would click: the evaluation's rule and the mixture for training.

Training clicks for a whole batch on any device, without waiting for it: depth by erosions instead of distances.

What is approximate against :func:`training_click`: depth is that of boxes (chessboard distance, in steps that
grow with depth) and not Euclidean; parts are not separated, so the largest one is preferred only as far as it is the
deepest. Evaluation always uses the exact rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from .masks import eroded

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


_STEPS = (1, 1, 1, 2, 3, 4, 6, 8)  # voxels taken off by each further erosion: depths 1, 2, 3, 5, 8, 12, 18, 26


def depth_of(region: Tensor) -> Tensor:
    """How far inside a region each voxel lies, voxels: (B, m, m, m) bool -> float32, 0 outside of it.

    The array's border counts as outside. Among voxels that survive the same erosions, the mean of their neighbours'
    depths decides.
    """
    left = region[:, None].float()
    depth = left
    for step in _STEPS:
        left = eroded(left, step)
        depth = depth + left * step
    mean = functional.avg_pool3d(depth, 5, stride=1, padding=2)
    return ((depth + 0.3 * mean) * region[:, None])[:, 0]


def batch_clicks(prediction: Tensor, target: Tensor, generator: torch.Generator,
                 slips: float = SLIP_SHARE) -> tuple[Tensor, Tensor]:  # fmt: skip
    """A click for each sample, drawn as :func:`training_click` draws them.

    Args:
        prediction, target: (B, m, m, m) bool. generator: on their device.

    Returns:
        voxels (B, 3) int64; labels (B,) int64: 1 in a missed part, 0 in a false one, -1 where nothing is wrong.
    """
    batch, size, device = len(target), target.shape[-1], target.device
    chance = torch.rand(4, batch, generator=generator, device=device)
    missed, false = target & ~prediction, prediction & ~target
    sizes = torch.stack([part.flatten(1).sum(1) for part in (missed, false)])
    positive = sizes[0] >= sizes[1]
    positive = positive ^ ((chance[0] < 0.1) & (sizes.amin(0) > 0))
    depth = depth_of(torch.where(positive[:, None, None, None], missed, false)).flatten(1)

    # The largest of weight / Exp(1) is drawn with chances as the weights; the deepest voxel is the largest depth.
    power = torch.where(chance[1] < 0.7, 2.0, 0.0)[:, None]
    exponential = torch.empty_like(depth).exponential_(generator=generator)
    drawn = torch.where(depth > 0, depth**power, 0.0) / exponential.clamp(min=1e-30)
    central = depth + 1e-3 * torch.rand(depth.shape, generator=generator, device=device) * (depth > 0)
    flat = torch.where((chance[2] < 0.5)[:, None], central, drawn).argmax(1)
    voxels = torch.stack([flat // size**2, flat // size % size, flat % size], dim=1)

    slip = torch.randint(-SLIP_VOXELS, SLIP_VOXELS + 1, (batch, 3), generator=generator, device=device)
    voxels = (voxels + slip * (chance[3] < slips)[:, None]).clamp(0, size - 1)
    return voxels, torch.where(sizes.sum(0) > 0, positive.long(), -1)


class SimulatedUser(Protocol):
    """Clicks for a batch, one a sample at a time."""

    def click(self, mask: Tensor | None, truth: Tensor) -> None:
        """Adds a click for each sample: mask (None: empty) and truth are (B, m, m, m) bool."""

    def prompts(self) -> tuple[Tensor, Tensor]:
        """All clicks so far: voxels (B, N, 3) of the crop, labels (B, N), -1 where nothing was wrong."""


class HostUser:
    """Clicks by the exact rule on the CPU, each sample with a generator of its own.

    Args:
        generators: one a sample. scale: crop voxels an edge of an output voxel.
    """

    def __init__(self, generators: Sequence[np.random.Generator], scale: int) -> None:
        self.generators, self.scale = generators, scale
        self.coords: list[list[list[float]]] = [[] for _ in generators]
        self.labels: list[list[int]] = [[] for _ in generators]
        self.device = torch.device("cpu")

    def click(self, mask: Tensor | None, truth: Tensor) -> None:
        self.device = truth.device
        right = truth.cpu().numpy()
        past = np.zeros_like(right) if mask is None else mask.cpu().numpy()
        for i, rng in enumerate(self.generators):
            found = training_click(past[i], right[i], rng)
            jitter = rng.uniform(0, self.scale, 3) - 0.5
            voxel = (0, 0, 0) if found is None else found.voxel
            self.coords[i].append([float(v * self.scale + j) for v, j in zip(voxel, jitter, strict=True)])
            self.labels[i].append(-1 if found is None else int(found.positive))

    def prompts(self) -> tuple[Tensor, Tensor]:
        return torch.tensor(self.coords, device=self.device), torch.tensor(self.labels, device=self.device)


class DeviceUser:
    """Clicks by the approximate rule of :mod:`.simulated_user`, for the whole batch on its device.

    Args:
        generator: on the batch's device. scale: crop voxels an edge of an output voxel.
    """

    def __init__(self, generator: torch.Generator, scale: int) -> None:
        self.generator, self.scale = generator, scale
        self.coords: list[Tensor] = []
        self.labels: list[Tensor] = []

    def click(self, mask: Tensor | None, truth: Tensor) -> None:
        past = torch.zeros_like(truth) if mask is None else mask
        voxels, labels = batch_clicks(past, truth, self.generator)
        jitter = torch.rand(voxels.shape, generator=self.generator, device=voxels.device) * self.scale - 0.5
        self.coords.append(voxels * self.scale + jitter)
        self.labels.append(labels)

    def prompts(self) -> tuple[Tensor, Tensor]:
        return torch.stack(self.coords, dim=1), torch.stack(self.labels, dim=1)
