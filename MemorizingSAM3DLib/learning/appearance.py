"""How synthetic label maps look: per-label Gaussian mixtures, textures, and what scanners add; on any device."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from .shapes import LABELS
from .transfer import column, to_device

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
