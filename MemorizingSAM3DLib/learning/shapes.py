"""Random label maps: warped ellipsoids, tubes, shells and cells that nest, touch and overlap, on any device."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from .transfer import to_device

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
