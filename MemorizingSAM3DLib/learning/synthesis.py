"""Synthetic volumes: label maps of warped shapes with random intensities (after SynthSeg, Billot 2023).

They teach what an object IS (a region that differs from its surroundings and has a boundary), independently of
anatomy and modality, which is what a click on a structure never seen in training needs.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional


def synthesise(rng: np.random.Generator, size: int) -> tuple[Tensor, Tensor]:
    """A normalised synthetic crop and the mask of one of its structures.

    Returns:
        image (1, size, size, size), roughly in -1..1; target (1, size, size, size), 0 or 1.
    """
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    labels = _label_map(rng, generator, size)
    image = _appearance(labels, rng, generator)
    counts = torch.bincount(labels.flatten())
    candidates = [label for label in range(1, len(counts)) if counts[label] >= 200]
    if not candidates:
        return image[None], torch.zeros_like(image)[None]
    target = labels == candidates[int(rng.integers(len(candidates)))]
    if rng.random() < 0.08:  # all of it, as one composite object
        target = labels > 0
    elif rng.random() < 0.15:  # a union of two structures, e.g. a wall with its lumen
        target |= labels == candidates[int(rng.integers(len(candidates)))]
    return image[None], target.float()[None]


def smooth_field(shape: tuple[int, ...], knots: int, size: int, generator: torch.Generator) -> Tensor:
    """A smooth random field: normal numbers on ``knots``^3 points, upsampled to size^3; (*shape, size, size, size)."""
    channels = int(np.prod(shape)) if shape else 1
    field = torch.randn(1, channels, knots, knots, knots, generator=generator)
    field = functional.interpolate(field, size=(size, size, size), mode="trilinear", align_corners=True)
    return field[0].reshape(*shape, size, size, size)


def _label_map(rng: np.random.Generator, generator: torch.Generator, size: int) -> Tensor:
    warp = smooth_field((3,), int(rng.integers(4, 9)), size, generator) * float(rng.uniform(1, 6))
    labels = torch.zeros(size, size, size, dtype=torch.long)
    if rng.random() < 0.8:  # a body, in which the rest lies
        _paint(labels, warp, 1, rng.uniform(0.3, 0.7, 3) * size, rng.uniform(0.3, 0.8, 3) * size, rng, 2.5)
    if rng.random() < 0.35:
        _partition(labels, warp, rng, size)
    for label in range(20, 20 + int(rng.integers(3, 16))):
        centre = rng.uniform(0.1, 0.9, 3) * size
        kind = rng.random()
        if kind < 0.25:
            _paint_tube(labels, warp, label, rng, size)
            continue
        radius = float(np.exp(rng.uniform(np.log(3), np.log(0.35 * size))))
        radii = radius * np.exp(rng.normal(0, 0.35, 3))
        power = float(rng.choice([2.0, 2.0, 2.5, 5.0]))
        _paint(labels, warp, label, centre, radii, rng, power)
        if kind < 0.5:  # a shell: wall and lumen
            _paint(labels, warp, label + 40, centre, radii * rng.uniform(0.5, 0.85), rng, power)
    return labels


def _box(centre: np.ndarray, radius: float, size: int) -> tuple[slice, slice, slice]:
    low = np.clip(np.floor(centre - radius), 0, size - 1).astype(int)
    high = np.clip(np.ceil(centre + radius) + 1, 1, size).astype(int)
    return tuple(slice(int(a), int(max(a + 1, b))) for a, b in zip(low, high, strict=True))  # type: ignore[return-value]


def _coordinates(warp: Tensor, box: tuple[slice, slice, slice], centre: np.ndarray) -> list[Tensor]:
    axes = []
    for axis, part in enumerate(box):
        steps = torch.arange(part.start, part.stop, dtype=torch.float32) - float(centre[axis])
        shape = [1, 1, 1]
        shape[axis] = -1
        axes.append(steps.view(shape) + warp[axis][box])
    return axes


def _paint(labels: Tensor, warp: Tensor, label: int, centre: np.ndarray, radii: np.ndarray, rng: np.random.Generator,
           power: float) -> None:  # fmt: skip
    box = _box(centre, float(np.max(radii)) + 12, labels.shape[0])
    x, y, z = _coordinates(warp, box, centre)
    angle = rng.uniform(0, np.pi)
    x, y = float(np.cos(angle)) * x - float(np.sin(angle)) * y, float(np.sin(angle)) * x + float(np.cos(angle)) * y
    distance = sum((part / float(r)).abs() ** power for part, r in zip((x, y, z), radii, strict=True))
    labels[box][distance < 1] = label


def _paint_tube(labels: Tensor, warp: Tensor, label: int, rng: np.random.Generator, size: int) -> None:
    axis = int(rng.integers(3))
    radius = float(np.exp(rng.uniform(np.log(2), np.log(14))))
    start, stop = sorted(rng.uniform(-0.1, 1.1, 2) * size)
    u = torch.arange(size, dtype=torch.float32)
    frequency, phase = rng.uniform(0.5, 2.5, 2), rng.uniform(0, 2 * np.pi, 2)
    amplitude, middle = rng.uniform(0, 0.2, 2) * size, rng.uniform(0.2, 0.8, 2) * size
    centre = [
        float(m) + float(a) * torch.sin(2 * np.pi * float(f) * u / size + float(p))
        for m, a, f, p in zip(middle, amplitude, frequency, phase, strict=True)
    ]
    order = [axis, *(other for other in range(3) if other != axis)]
    view = labels.permute(order)
    field = warp.permute(0, *(1 + other for other in order))
    steps = torch.arange(size, dtype=torch.float32)
    first = max(0, int(start))
    last = min(size, int(stop) + 1)
    if last - first < 4:
        return
    dx = steps[None, :, None] - centre[0][first:last, None, None] + field[order[1], first:last]
    dy = steps[None, None, :] - centre[1][first:last, None, None] + field[order[2], first:last]
    distance = dx.square_().add_(dy.square_())
    view[first:last][distance < radius**2] = label
    if rng.random() < 0.3 and radius > 5:
        view[first:last][distance < (0.65 * radius) ** 2] = label + 40


def _partition(labels: Tensor, warp: Tensor, rng: np.random.Generator, size: int) -> None:
    # Voronoi cells of a warped space: parts that touch, like organs or brain regions. Half resolution suffices.
    half = size // 2
    field = warp[:, ::2, ::2, ::2]
    grid = torch.stack(torch.meshgrid(*[torch.arange(half, dtype=torch.float32) * 2] * 3, indexing="ij")) + field
    best = torch.full((half, half, half), float("inf"))
    cells = torch.zeros(half, half, half, dtype=torch.long)
    for cell in range(int(rng.integers(4, 11))):
        seed = torch.from_numpy((rng.uniform(0, 1, 3) * size).astype(np.float32))
        distance = (grid - seed[:, None, None, None]).square().sum(0)
        nearer = distance < best
        best = torch.where(nearer, distance, best)
        cells[nearer] = 2 + cell
    cells = cells.repeat_interleave(2, 0).repeat_interleave(2, 1).repeat_interleave(2, 2)
    labels[labels == 1] = cells[labels == 1]


def _appearance(labels: Tensor, rng: np.random.Generator, generator: torch.Generator) -> Tensor:
    size = labels.shape[0]
    count = int(labels.max()) + 1
    means = torch.from_numpy(rng.uniform(-1, 1, count).astype(np.float32))
    if rng.random() < 0.5:
        means[0] = -1.0
    texture = torch.from_numpy((rng.uniform(0, 0.25, count) * (rng.random(count) < 0.6)).astype(np.float32))
    noise = smooth_field((), int(rng.integers(12, 40)), size, generator)
    image = means[labels] + texture[labels] * noise
    if rng.random() < 0.7:
        image = functional.avg_pool3d(image[None], 3, stride=1, padding=1)[0]
    if rng.random() < 0.35:  # thick slices
        axis, thick = int(rng.integers(3)), int(rng.integers(2, 6))
        kernel = [1, 1, 1]
        kernel[axis] = thick
        mode = "trilinear" if rng.random() < 0.5 else "nearest"
        averaged = functional.avg_pool3d(image[None, None], kernel, ceil_mode=True)
        image = functional.interpolate(averaged, size=labels.shape, mode=mode)[0, 0]
    image = image + smooth_field((), 3, size, generator) * float(rng.uniform(0, 0.25))
    image = image + torch.randn(image.shape, generator=generator) * float(rng.uniform(0, 0.2))
    return image.clamp(-1.5, 2.5)
