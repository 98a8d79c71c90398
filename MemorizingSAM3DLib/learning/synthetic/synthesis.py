"""Synthetic volumes: label maps of warped shapes with random intensities (after SynthSeg, Billot 2023), on any device.

They teach what an object IS (a region that differs from its surroundings and has a boundary), independently of
anatomy and modality, which is what a click on a structure never seen in training needs.

Random label maps: warped ellipsoids, tubes, shells and cells that nest, touch and overlap, on any device.

How synthetic label maps look: per-label Gaussian mixtures, textures, and what scanners add; on any device.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..data.views import column, to_device

LABELS = 128  # values below this occur
NESTED = 64  # what lies within the structure with label n has the label n + NESTED
_BODY, _FIRST_CELL, _FIRST_OBJECT = 1, 2, 16
_SPLIT = 20  # the part of object n beyond a plane has the label n + _SPLIT
_MARGIN = 12  # voxels that the warp may move a boundary
Box = tuple[slice, slice, slice]


def label_map(rng: np.random.Generator, generator: torch.Generator, size: int) -> Tensor:
    """A random label map (size, size, size), uint8, on the generator's device; 0 is the background."""
    warp = smooth_field((3,), int(rng.integers(4, 9)), size, generator) * float(rng.uniform(1, 6))
    canvas = _Canvas(warp, rng)
    if rng.random() < 0.8:  # a body, in which the rest lies
        radii, centre = rng.uniform(0.3, 0.8, 3) * size, rng.uniform(0.3, 0.7, 3) * size
        canvas.ellipsoid(_BODY, centre, radii, 2.5)
        if rng.random() < 0.45:
            canvas.cells(_FIRST_CELL, int(rng.integers(4, 11)))
    for label in range(_FIRST_OBJECT, _FIRST_OBJECT + int(rng.integers(3, 16))):
        if rng.random() < 0.25:
            canvas.tube(label)
            continue
        radius = float(np.exp(rng.uniform(np.log(3), np.log(0.35 * size))))
        radii, centre = radius * np.exp(rng.normal(0, 0.35, 3)), rng.uniform(0.1, 0.9, 3) * size
        canvas.ellipsoid(label, centre, radii, float(rng.choice([2.0, 2.0, 2.5, 5.0])))
    return canvas.labels


def smooth_field(shape: tuple[int, ...], knots: int, size: int, generator: torch.Generator) -> Tensor:
    """A smooth random field: normal numbers on ``knots``^3 points, upsampled to size^3; (*shape, size, size, size)."""
    channels = int(np.prod(shape)) if shape else 1
    field = torch.randn(1, channels, knots, knots, knots, generator=generator, device=generator.device)
    field = functional.interpolate(field, size=(size, size, size), mode="trilinear", align_corners=True)
    return field[0].reshape(*shape, size, size, size)


class _Canvas:
    """Paints one shape after the other, each within its box, in coordinates that are bent by the warp."""

    def __init__(self, warp: Tensor, rng: np.random.Generator) -> None:
        self.warp, self.rng, self.size = warp, rng, warp.shape[-1]
        self.labels = torch.zeros(warp.shape[1:], dtype=torch.uint8, device=warp.device)

    def ellipsoid(self, label: int, centre: np.ndarray, radii: np.ndarray, power: float) -> None:
        """A (super)ellipsoid; some have a lumen, some touch a second part at a plane, some have holes."""
        rng = self.rng
        box = self._box(centre, float(radii.max()))
        x, y, z = self._coordinates(box, centre)
        angle = rng.uniform(0, np.pi)
        cosine, sine = float(np.cos(angle)), float(np.sin(angle))
        x, y = cosine * x - sine * y, sine * x + cosine * y
        distance = sum((part / float(r)).abs() ** power for part, r in zip((x, y, z), radii, strict=True))
        assert isinstance(distance, Tensor)
        view = self.labels[box]
        view.masked_fill_(distance < 1, label)
        kind = rng.random()
        if label == _BODY or kind > 0.6:
            return
        if kind < 0.3:  # a shell: wall and lumen
            view.masked_fill_(distance < float(rng.uniform(0.5, 0.85)) ** power, label + NESTED)
        elif kind < 0.45:
            normal = rng.normal(size=3) / radii
            side = x * float(normal[0]) + y * float(normal[1]) + z * float(normal[2])
            view.masked_fill_((distance < 1) & (side > float(rng.uniform(-0.5, 0.5))), label + _SPLIT)
        else:
            self._holes(view, distance, label, radii, box, centre)

    def tube(self, label: int) -> None:
        """A winding tube along an axis; a thick one may have a lumen."""
        rng, size = self.rng, self.size
        axis = int(rng.integers(3))
        radius = float(np.exp(rng.uniform(np.log(2), np.log(14))))
        start, stop = sorted(rng.uniform(-0.1, 1.1, 2) * size)
        first, last = max(0, int(start)), min(size, int(stop) + 1)
        if last - first < 4:
            return
        along = np.arange(first, last)
        middle, sway = rng.uniform(0.2, 0.8, (2, 1)) * size, rng.uniform(0, 0.2, (2, 1)) * size
        turns, phase = rng.uniform(0.5, 2.5, (2, 1)), rng.uniform(0, 2 * np.pi, (2, 1))
        course = middle + sway * np.sin(2 * np.pi * turns * along / size + phase)
        ends = [(course[i].min() - radius - _MARGIN, course[i].max() + radius + _MARGIN) for i in range(2)]
        across = [slice(max(0, int(a)), max(1, min(size, int(b) + 2))) for a, b in ends]
        order = [axis, *(other for other in range(3) if other != axis)]
        box = (slice(first, last), *across)
        view = self.labels.permute(order)[box]
        field = self.warp.permute(0, *(1 + other for other in order))[(slice(None), *box)]
        centre = to_device(course, self.warp.device)
        steps = [torch.arange(part.start, part.stop, device=self.warp.device) for part in across]
        dx = steps[0][None, :, None] - centre[0][:, None, None] + field[order[1]]
        dy = steps[1][None, None, :] - centre[1][:, None, None] + field[order[2]]
        distance = dx * dx + dy * dy
        view.masked_fill_(distance < radius**2, label)
        if radius > 5 and rng.random() < 0.3:
            view.masked_fill_(distance < (0.65 * radius) ** 2, label + NESTED)

    def cells(self, label: int, count: int) -> None:
        """Voronoi cells of the body: parts that touch, like organs or brain regions. Half resolution suffices."""
        half = self.size // 2
        field = self.warp[:, ::2, ::2, ::2]
        steps = torch.arange(half, device=self.warp.device, dtype=torch.float32) * 2
        seeds = (self.rng.uniform(0, 1, (count, 3)) * self.size).tolist()
        nearest = torch.full((half, half, half), torch.inf, device=self.warp.device)
        cells = torch.zeros((half, half, half), dtype=torch.uint8, device=self.warp.device)
        r, a, s = steps[:, None, None] + field[0], steps[:, None] + field[1], steps + field[2]
        for number, (x, y, z) in enumerate(seeds):
            distance = (r - x) ** 2 + (a - y) ** 2 + (s - z) ** 2
            cells.masked_fill_(distance < nearest, label + number)
            nearest = torch.minimum(nearest, distance)
        cells = cells.repeat_interleave(2, 0).repeat_interleave(2, 1).repeat_interleave(2, 2)
        whole = torch.zeros_like(self.labels)
        whole[: 2 * half, : 2 * half, : 2 * half] = cells
        self.labels = torch.where((self.labels == _BODY) & (whole > 0), whole, self.labels)

    def _holes(self, view: Tensor, distance: Tensor, label: int, radii: np.ndarray, box: Box,
               centre: np.ndarray) -> None:  # fmt: skip
        # Cavities, calcifications, necrosis: small balls inside, of the background or of a label of their own.
        rng = self.rng
        value = 0 if rng.random() < 0.4 else label + NESTED
        for _ in range(int(rng.integers(1, 5))):
            radius = float(radii.min() * rng.uniform(0.1, 0.4))
            place = centre + rng.uniform(-0.6, 0.6, 3) * radii
            parts = [
                torch.arange(part.start, part.stop, device=view.device, dtype=torch.float32) - float(p)
                for part, p in zip(box, place, strict=True)
            ]
            ball = parts[0][:, None, None] ** 2 + parts[1][:, None] ** 2 + parts[2] ** 2 < radius**2
            view.masked_fill_(ball & (distance < 1), value)

    def _box(self, centre: np.ndarray, radius: float) -> Box:
        low = np.clip(np.floor(centre - radius - _MARGIN), 0, self.size - 1).astype(int)
        high = np.clip(np.ceil(centre + radius + _MARGIN) + 1, low + 1, self.size).astype(int)
        return tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))  # type: ignore[return-value]

    def _coordinates(self, box: Box, centre: np.ndarray) -> list[Tensor]:
        axes = []
        for axis, part in enumerate(box):
            shape = [1, 1, 1]
            shape[axis] = -1
            steps = torch.arange(part.start, part.stop, device=self.warp.device, dtype=torch.float32)
            axes.append((steps - float(centre[axis])).view(shape) + self.warp[axis][box])
        return axes


RANGE = (-1.5, 2.5)  # of intensities, as in the engine's normalisation


def appearance(labels: Tensor, rng: np.random.Generator, generator: torch.Generator) -> Tensor:
    """Images (V, S, S, S) of label maps (V, S, S, S), roughly in -1..1; each map gets its own intensities."""
    views = len(labels)
    index = labels.flatten(1).long()

    def of_labels(values: np.ndarray) -> Tensor:
        return to_device(values, labels.device).gather(1, index).view(labels.shape)

    means = rng.uniform(-1, 1, (views, LABELS))
    means[:, 0] = np.where(rng.random(views) < 0.5, -1.0, means[:, 0])
    image = of_labels(means)
    if rng.random() < 0.6:
        textured = rng.random((views, LABELS)) < 0.6
        image = image + of_labels(rng.uniform(0, 0.25, (views, LABELS)) * textured) * _noise(labels, rng, generator)
    if rng.random() < 0.35:  # a mixture: within a structure, patches of a second mean
        cut = rng.uniform(-0.5, 1.5, (views, LABELS))
        cut[rng.random((views, LABELS)) < 0.6] = 100.0
        patches = _fields(labels, int(rng.integers(8, 24)), generator) > of_labels(cut)
        image = image + patches * of_labels(rng.normal(0, 0.3, (views, LABELS)))
    return _scanned(image, rng, generator).clamp(*RANGE)


def _scanned(image: Tensor, rng: np.random.Generator, generator: torch.Generator) -> Tensor:
    """Blur, thick slices, gamma, a bias field and noise."""
    views, device = len(image), image.device
    for _ in range(int(rng.choice(3, p=[0.3, 0.5, 0.2]))):
        image = functional.avg_pool3d(image[:, None], 3, stride=1, padding=1, count_include_pad=False)[:, 0]
    thick = rng.random(views) < 0.35
    if thick.any():
        image = torch.stack([_thick_slices(x, rng) if thick[i] else x for i, x in enumerate(image)])
    if rng.random() < 0.3:
        gamma = column(np.exp(rng.normal(0, 0.3, views)), device)
        image = ((image + 1) / 2).clamp(min=0) ** gamma * 2 - 1
    image = image + _fields(image, 3, generator) * column(rng.uniform(0, 0.25, views), device)
    noise = torch.randn(image.shape, generator=generator, device=device)
    return image + noise * column(rng.uniform(0, 0.2, views), device)


def _thick_slices(image: Tensor, rng: np.random.Generator) -> Tensor:
    """(S, S, S) averaged to slices of 2 to 6 voxels along an axis, and brought back to its grid."""
    kernel = [1, 1, 1]
    kernel[int(rng.integers(3))] = int(rng.integers(2, 7))
    averaged = functional.avg_pool3d(image[None, None], kernel, ceil_mode=True)
    mode = "trilinear" if rng.random() < 0.5 else "nearest"
    return functional.interpolate(averaged, size=image.shape, mode=mode)[0, 0]


def _noise(labels: Tensor, rng: np.random.Generator, generator: torch.Generator) -> Tensor:
    """Noise of two scales at least: patches, and grain."""
    share = float(rng.uniform(0.2, 0.8))
    coarse = _fields(labels, int(rng.integers(5, 14)), generator)
    return share * coarse + (1 - share) * _fields(labels, int(rng.integers(16, 48)), generator)


def _fields(like: Tensor, knots: int, generator: torch.Generator) -> Tensor:
    """A smooth random field for each of the views: (V, S, S, S)."""
    field = torch.randn(len(like), 1, knots, knots, knots, generator=generator, device=like.device)
    return functional.interpolate(field, size=like.shape[1:], mode="trilinear", align_corners=True)[:, 0]


_LEAST_VOXELS = 200  # at half resolution fewer are not counted reliably


def synthesise(rng: np.random.Generator, size: int, device: torch.device | None = None,
               views: int = 1) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Normalised synthetic crops and the mask of one of the structures in each.

    All come from one label map: painting it takes more calls than all that follows, so a GPU looks at it several
    times, each time with another zoom, turn, appearance and target. Nothing waits for the device.

    Args:
        rng: everything follows from it. size: edge, voxels.
        views: crops from the label map; the first one shows all of it as it is.

    Returns:
        images (views, size, size, size), roughly in -1..1; targets of the same shape, 0 or 1 (all 0 when the map holds
        no structure of 200 voxels).
    """
    generator = torch.Generator(device or "cpu").manual_seed(int(rng.integers(2**31)))
    labels = _looked_at(label_map(rng, generator, size), views, rng)
    return appearance(labels, rng, generator), _targets(labels, rng, generator).float()


def random_target(labels: Tensor, rng: np.random.Generator, generator: torch.Generator) -> Tensor:
    """One structure of a label map (S, S, S), of the same shape, 0 or 1: a label, a union, a wall with its lumen."""
    return _targets(labels[None], rng, generator)[0].float()


def _looked_at(labels: Tensor, views: int, rng: np.random.Generator) -> Tensor:
    """(S, S, S) to (views, S, S, S): the map itself, then turned, flipped and zoomed (nearest neighbour)."""
    if views == 1:
        return labels[None]
    matrices = []
    for _ in range(views - 1):
        turn, _ = np.linalg.qr(np.eye(3) + rng.normal(0, 0.25, (3, 3)))
        scale = np.exp(rng.uniform(np.log(0.5), np.log(1.2)))
        matrix = turn[rng.permutation(3)] * np.where(rng.random(3) < 0.5, -scale, scale)
        shift = rng.uniform(-1, 1, 3) * max(0.0, 1 - scale)
        matrices.append(np.concatenate([matrix, shift[:, None]], axis=1))
    theta = to_device(np.stack(matrices), labels.device)
    grid = functional.affine_grid(theta, [views - 1, 1, *labels.shape], align_corners=False)
    source = labels.float()[None, None].expand(views - 1, -1, -1, -1, -1)
    seen = functional.grid_sample(source, grid, mode="nearest", align_corners=False)[:, 0]
    return torch.cat([labels[None], seen.to(labels.dtype)])


def _targets(labels: Tensor, rng: np.random.Generator, generator: torch.Generator) -> Tensor:
    """One structure of each map (V, S, S, S): a label, now and then a union of two, a wall with its lumen, or all."""
    views = len(labels)
    step = 2 if labels.shape[-1] >= 64 else 1
    numbered = labels[:, ::step, ::step, ::step].flatten(1).float()
    numbered = numbered + torch.arange(views, device=labels.device)[:, None] * LABELS
    counts = torch.histc(numbered, bins=views * LABELS, min=0, max=views * LABELS).view(views, LABELS)
    candidates = counts * step**3 >= (_LEAST_VOXELS if views > 1 else _LEAST_VOXELS // 8)
    candidates[:, 0] = False
    order = (torch.rand(candidates.shape, generator=generator, device=labels.device) * candidates).topk(2, dim=1)
    first, second = (order.indices[:, i, None, None, None] for i in range(2))
    there = order.values > 0
    target = there[:, :1, None, None] & (labels == first)
    kinds = rng.random(views)
    for view in np.flatnonzero(kinds < 0.24).tolist():
        if kinds[view] < 0.08:  # all of it, as one composite object
            other = labels[view] > 0
        elif kinds[view] < 0.14:
            other = (labels[view] == second[view]) & there[view, 1]
        else:  # a wall with its lumen
            partner = torch.where(first[view] >= NESTED, first[view] - NESTED, first[view] + NESTED)
            other = labels[view] == partner
        target[view] |= other & there[view, 0]
    return target
