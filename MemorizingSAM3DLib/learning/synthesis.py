"""Synthetic volumes: label maps of warped shapes with random intensities (after SynthSeg, Billot 2023), on any device.

They teach what an object IS (a region that differs from its surroundings and has a boundary), independently of
anatomy and modality, which is what a click on a structure never seen in training needs.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from .appearance import appearance
from .shapes import LABELS, NESTED, label_map
from .transfer import to_device

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
