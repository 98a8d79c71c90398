"""The user in training: starts with a point, a box, a scribble or a lasso, and corrects errors, mostly by points.

Errors are chosen as users choose them: by size and depth, now and then a missed and a false part at once, now and then
wrongly, and after all is right some click on, which must not harm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from MemorizingSAM3DLib.engine.networks.prompt_maps import BOX_IN, LASSO_IN, LASSO_OUT, PADDING, POINT_IN, SCRIBBLE_IN

START_SHARES = {"point": 0.66, "box": 0.12, "flat box": 0.07, "scribble": 0.08, "lasso": 0.07}
SCRIBBLE_SHARE, LASSO_SHARE = 0.07, 0.02  # of the corrections
PAIRED_SHARE = 0.1  # of the steps: a missed and a false part are corrected at once
SMALLER_SHARE = 0.12  # of the corrections go to the smaller error
SLIP_SHARE, SLIP_VOXELS = 0.04, 3
CONFIRMED_SHARE = 0.25  # of the steps at which next to nothing is wrong: a click that says so
AT_REST = 0.985  # Dice from which next to nothing is wrong
MOST_SCRIBBLED = 24  # points of a scribble
_COARSE_FROM = 1500  # voxels: half the resolution serves a larger region as well


@dataclass
class PromptsOfSample:
    """All prompts so far on one target.

    Attributes:
        coords: voxel indices (r, a, s). kinds: see :mod:`..engine.networks.prompt_maps`.
        regions: (2, S/2, S/2, S/2) in -1..1, boxes and lassos.
    """

    coords: list[tuple[float, float, float]]
    kinds: list[int]
    regions: np.ndarray


class PromptingUser:
    """Prompts for a batch of targets, each sample with a generator of its own.

    Args:
        generators: one a sample. size: edge of the crops, voxels.
        point_starts: every sequence begins with a point.
    """

    def __init__(self, generators: Sequence[np.random.Generator], size: int, point_starts: bool = False) -> None:
        self.generators, self.size = generators, size
        self.shares = {"point": 1.0} if point_starts else START_SHARES
        half = size // 2
        self.samples = [PromptsOfSample([], [], np.zeros((2, half, half, half), np.float32)) for _ in generators]
        self._begun = False

    def prompt(self, masks: Tensor | None, truths: Tensor) -> None:
        """One step for each sample: masks (None: empty) and truths are (B, m, m, m) bool."""
        right = truths.cpu().numpy()
        past = np.zeros_like(right) if masks is None else masks.cpu().numpy()
        for number, rng in enumerate(self.generators):
            if not right[number].any():
                continue
            if not self._begun and not past[number].any():
                self._start(self.samples[number], right[number], rng)
            else:
                self._correct(self.samples[number], past[number], right[number], rng)
        self._begun = True

    def tensors(self, device: torch.device) -> tuple[Tensor, Tensor, Tensor | None]:
        """coords (B, N, 3), kinds (B, N), -1 padding, and regions (B, 2, S/2, S/2, S/2) or None."""
        longest = max(1, max(len(sample.kinds) for sample in self.samples))
        coords = torch.zeros(len(self.samples), longest, 3)
        kinds = torch.full((len(self.samples), longest), PADDING)
        for number, sample in enumerate(self.samples):
            if sample.kinds:
                # Padding comes first: the newest prompts are the last ones.
                coords[number, -len(sample.kinds) :] = torch.tensor(sample.coords)
                kinds[number, -len(sample.kinds) :] = torch.tensor(sample.kinds)
        regions = None
        if any(sample.regions.any() for sample in self.samples):
            regions = torch.from_numpy(np.stack([sample.regions for sample in self.samples])).to(device)
        return coords.to(device), kinds.to(device), regions

    def _start(self, sample: PromptsOfSample, truth: np.ndarray, rng: np.random.Generator) -> None:
        kind = rng.choice(list(self.shares), p=list(self.shares.values()))
        if kind == "point":
            region = _component(truth, rng)
            self._point(sample, region, 1, rng)
        elif kind == "scribble":
            self._scribble(sample, _component(truth, rng), 1, rng)
        elif kind == "lasso":
            self._lasso(sample, truth, 1, rng)
        else:
            self._box(sample, truth, kind == "flat box", rng)

    def _correct(self, sample: PromptsOfSample, mask: np.ndarray, truth: np.ndarray, rng: np.random.Generator) -> None:
        missed, false = truth & ~mask, mask & ~truth
        sizes = int(np.count_nonzero(missed)), int(np.count_nonzero(false))
        inside = int(np.count_nonzero(truth))
        dice = 2 * (inside - sizes[0]) / max(1, 2 * inside - sizes[0] + sizes[1])
        if sum(sizes) == 0 or (dice > AT_REST and rng.random() < 0.5):
            if rng.random() < CONFIRMED_SHARE:
                around = ndimage.binary_dilation(truth, iterations=3) & ~truth
                sign = int(rng.random() < 0.6 or not around.any())
                self._point(sample, truth if sign else around, sign, rng, slips=0)
            return
        sign = int(sizes[0] >= sizes[1])
        if min(sizes) > 0 and rng.random() < SMALLER_SHARE:
            sign = 1 - sign
        signs = [sign, 1 - sign] if min(sizes) > 0 and rng.random() < PAIRED_SHARE else [sign]
        for one in signs:
            region = _component(missed if one else false, rng)
            kind = rng.random()
            if kind < SCRIBBLE_SHARE:
                self._scribble(sample, region, one, rng)
            elif kind < SCRIBBLE_SHARE + LASSO_SHARE:
                self._lasso(sample, region, one, rng)
            else:
                self._point(sample, region, one, rng)

    def _point(self, sample: PromptsOfSample, region: np.ndarray, sign: int, rng: np.random.Generator,
               slips: float = SLIP_SHARE) -> None:  # fmt: skip
        step = 2 if np.count_nonzero(region) > _COARSE_FROM and region[::2, ::2, ::2].any() else 1
        depth, offset = _depth(region[::step, ::step, ::step])
        kind = rng.random()
        if kind < 0.45:
            flat = int(depth.argmax())
        else:
            power = 8.0 if kind < 0.65 else 2.0 if kind < 0.85 else 0.0
            weights = (depth.ravel() / depth.max()) ** power * (depth.ravel() > 0)
            flat = int(np.searchsorted(np.cumsum(weights), rng.random() * weights.sum()))
        voxel = (np.array(np.unravel_index(min(flat, depth.size - 1), depth.shape)) + offset) * step
        if rng.random() < slips:
            voxel = np.clip(voxel + rng.integers(-SLIP_VOXELS, SLIP_VOXELS + 1, 3), 0, self.size - 1)
        r, a, s = (voxel + rng.uniform(-0.5, 0.5, 3)).tolist()
        sample.coords.append((r, a, s))
        sample.kinds.append(POINT_IN - 1 + sign)

    def _scribble(self, sample: PromptsOfSample, region: np.ndarray, sign: int, rng: np.random.Generator) -> None:
        axis, index, plane = _slice_of(region, rng)
        depth = ndimage.distance_transform_edt(np.pad(plane, 1))[1:-1, 1:-1]
        places = np.argwhere(depth > 0.35 * depth.max())
        if len(places) < 3:
            self._point(sample, region, sign, rng)
            return
        # Along the plane's longest direction, through what lies deep.
        centred = places - places.mean(0)
        along = centred @ np.linalg.svd(centred, full_matrices=False)[2][0]
        stops = np.quantile(along, np.linspace(rng.uniform(0, 0.3), rng.uniform(0.7, 1.0), int(rng.integers(2, 6))))
        corners = np.array([places[np.abs(along - stop).argmin()] for stop in stops], dtype=float)
        length = np.linalg.norm(np.diff(corners, axis=0), axis=1).sum()
        count = int(np.clip(length / 1.5, 2, MOST_SCRIBBLED))
        knots = np.linspace(0, len(corners) - 1, count)
        line = np.stack([np.interp(knots, np.arange(len(corners)), corners[:, k]) for k in range(2)], axis=1)
        line = line + rng.normal(0, 0.3, line.shape)
        kept = plane[tuple(np.clip(np.round(line), 0, self.size - 1).astype(int).T)]
        for u, v in line[kept].tolist() or corners[:1].tolist():
            place = [u, v]
            place.insert(axis, float(index))
            sample.coords.append((place[0], place[1], place[2]))
            sample.kinds.append(SCRIBBLE_IN - 1 + sign)

    def _lasso(self, sample: PromptsOfSample, region: np.ndarray, sign: int, rng: np.random.Generator) -> None:
        axis, index, plane = _slice_of(region, rng)
        drawn = plane
        kind = rng.random()
        if kind < 0.4:
            drawn = ndimage.binary_dilation(plane, iterations=int(rng.integers(1, 3)))
        elif kind < 0.7:  # a hand that trembles
            blurred = ndimage.gaussian_filter(plane.astype(np.float32), float(rng.uniform(0.8, 2.0)))
            drawn = blurred > rng.uniform(0.3, 0.6)
        drawn = drawn if drawn.any() else plane
        drawn = np.asarray(ndimage.binary_fill_holes(drawn))
        half = self.size // 2
        cells = drawn.reshape(half, 2, half, 2).any(axis=(1, 3))
        where: list[slice | int] = [slice(None), slice(None)]
        where.insert(axis, index // 2)
        part = sample.regions[1][tuple(where)]
        part[cells] = 1.0 if sign else -1.0
        places = np.argwhere(drawn)
        for corner in (places.min(0), places.max(0)):
            place = corner.astype(float).tolist()
            place.insert(axis, float(index))
            sample.coords.append((place[0], place[1], place[2]))
            sample.kinds.append(LASSO_IN if sign else LASSO_OUT)

    def _box(self, sample: PromptsOfSample, truth: np.ndarray, flat: bool, rng: np.random.Generator) -> None:
        if flat:
            axis, index, plane = _slice_of(truth, rng)
            places = np.insert(np.argwhere(plane), axis, index, axis=1)
        else:
            axis, places = -1, np.argwhere(truth)
        low, high = places.min(0).astype(float) - 0.5, places.max(0).astype(float) + 0.5
        loose = np.maximum(0.7, 0.06 * (high - low))
        low, high = low - rng.normal(0.3, 1, 3) * loose, high + rng.normal(0.3, 1, 3) * loose
        if flat:
            low[axis], high[axis] = index - 0.5, index + 0.5
        low, high = np.clip(np.minimum(low, high - 1), -0.5, self.size - 1.5), np.clip(high, 0.5, self.size - 0.5)
        cells = tuple(slice(int(a), int(b) + 1) for a, b in zip(np.round(low + 0.5) // 2, np.ceil(high - 0.5) // 2,
                                                                strict=True))  # fmt: skip
        sample.regions[0][cells] = 1.0
        for corner in (low, high):
            r, a, s = corner.tolist()
            sample.coords.append((r, a, s))
            sample.kinds.append(BOX_IN)


def _component(region: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One of a region's parts: mostly the largest, else by volume."""
    parts, count = ndimage.label(region)
    if count <= 1:
        return region
    volumes = np.bincount(parts.ravel())[1:]
    largest = rng.random() < 0.7
    chosen = int(volumes.argmax()) if largest else int(rng.choice(count, p=volumes / volumes.sum()))
    return np.asarray(parts == chosen + 1)


def _depth(region: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance to the region's outside (the array's border is outside) on its bounding box, and where that box is."""
    box = ndimage.find_objects(region.view(np.uint8))[0]
    depth = ndimage.distance_transform_edt(np.pad(region[box], 1))[1:-1, 1:-1, 1:-1]
    return depth, np.array([part.start for part in box])


def _slice_of(region: np.ndarray, rng: np.random.Generator) -> tuple[int, int, np.ndarray]:
    """A slice through a region, along a random axis, by its area: axis, index, (m, m) bool."""
    axis = int(rng.integers(3))
    areas = region.sum(axis=tuple(other for other in range(3) if other != axis)).astype(float)
    index = int(areas.argmax()) if rng.random() < 0.5 else int(rng.choice(len(areas), p=areas / areas.sum()))
    return axis, index, region.take(index, axis)
