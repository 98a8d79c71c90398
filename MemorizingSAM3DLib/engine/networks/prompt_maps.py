"""Prompts drawn on a crop: where they are, what is as bright as they are, and what of that hangs together with them.

All maps lie on the half grid (edge m/2 of a crop of m^3 voxels) but the finest likeness, which has the crop's own. A
kind says what a prompt is and its sign: even kinds are outside the object, odd ones inside.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

PADDING = -1
POINT_OUT, POINT_IN, SCRIBBLE_OUT, SCRIBBLE_IN, BOX_OUT, BOX_IN, LASSO_OUT, LASSO_IN = range(8)
KINDS = 8
_PLACED = 4  # kinds below lie on what they speak of; a box or a lasso has corners, which do not

NEAR_CELLS = 2.5  # of the half grid: beyond, a prompt is not at a place
WIDE_CELLS = 8.0  # over which its neighbourhood fades
LIKENESSES = (0.1, 0.35)  # differences of normalised intensity: the same, similar
SWEEPS = 3  # forth and back along every axis: a connection may turn that often
_BINS, _LOWEST, _HIGHEST = 512, -3.0, 4.0  # intensities are told apart by less than a seventh of the finest likeness
# What is smaller counts as nothing: denormal numbers take a CPU many times as long.
_LEAST_EXPONENT = -16.0
_MOST_MEASURED = 16  # prompts whose distances are measured one by one on a CPU; more are measured from their cells


def placed(kinds: Tensor, sign: int) -> Tensor:
    """Which prompts are points or scribbles of a sign (1 inside, 0 outside): bool, of the shape of ``kinds``."""
    return (kinds >= 0) & (kinds < _PLACED) & (kinds % 2 == sign)


def intensity_codes(image: Tensor) -> Tensor:
    """Intensities as numbers of bins, int64, for :func:`likeness_maps`."""
    return ((image - _LOWEST) * (_BINS / (_HIGHEST - _LOWEST))).long().clamp_(0, _BINS - 1)


def intensities_at(coords: Tensor, image: Tensor) -> Tensor:
    """Means over the 3^3 voxels around places, as far as they are in the crop.

    Args:
        coords: (B, N, 3) voxel indices. image: (B, 1, m, m, m).

    Returns:
        (B, N).
    """
    size = image.shape[-1]
    steps = torch.arange(-1, 2, device=coords.device)
    window = torch.cartesian_prod(steps, steps, steps)
    centres = (coords + 0.5).floor().long().clamp(0, size - 1)
    voxels = centres[:, :, None] + window  # (B, N, 27, 3)
    inside = ((voxels >= 0) & (voxels < size)).all(dim=3)
    r, a, s = voxels.clamp(0, size - 1).unbind(3)
    batch = torch.arange(len(voxels), device=coords.device)[:, None, None]
    return (image[batch, 0, r, a, s].float() * inside).sum(dim=2) / inside.sum(dim=2)


def likeness_tables(intensities: Tensor, kinds: Tensor) -> Tensor:
    """How like each bin's intensity is to the prompted one it is most like.

    Args:
        intensities, kinds: (B, N).

    Returns:
        (B, 2 signs, len(LIKENESSES), bins) in 0..1; 0 where no prompt of that sign lies anywhere.
    """
    bins = _LOWEST + (torch.arange(_BINS, device=intensities.device) + 0.5) * ((_HIGHEST - _LOWEST) / _BINS)
    tables = []
    for sign in (1, 0):
        values = intensities.masked_fill(~placed(kinds, sign), float("inf"))
        distance = (bins[:, None] - values[:, None, :].clamp(max=1e6)).abs().amin(2)  # (B, bins)
        tables.append(torch.stack([_faded(-((distance / scale) ** 2)) for scale in LIKENESSES], dim=1))
    return torch.stack(tables, dim=1)


def _faded(exponents: Tensor) -> Tensor:
    return torch.where(exponents > _LEAST_EXPONENT, exponents.clamp(min=_LEAST_EXPONENT).exp(), 0.0)


def likeness_maps(codes: Tensor, tables: Tensor) -> Tensor:
    """Tables (B, C, bins) looked up at codes (B, 1, n, n, n): (B, C, n, n, n)."""
    flat = codes.flatten(1)[:, None].expand(-1, tables.shape[1], -1)
    return tables.gather(2, flat).unflatten(2, codes.shape[2:])


def distance_maps(coords: Tensor, kinds: Tensor, size: int) -> Tensor:
    """How near points and scribbles are: 1 at one, 0 from so far on; once sharp, once wide.

    The sharp map falls linearly (a Euclidean distance transform, which serves better than Gaussians: arXiv 2508.21680),
    the wide one as an exponential.

    Args:
        coords: (B, N, 3) voxel indices of the crop of edge 2 ``size``. kinds: (B, N).

    Returns:
        (B, 2 signs x 2, size, size, size).
    """
    centres = (coords.float() + 0.5) / 2 - 0.5
    maps = []
    for sign in (1, 0):
        chosen = placed(kinds, sign)
        if coords.device.type == "cpu":
            distance = torch.stack([_nearest(c[k], size) for c, k in zip(centres, chosen, strict=True)])
        else:
            distance = _squares(centres, chosen, size).sqrt()
        maps += [(1 - distance / NEAR_CELLS).clamp(min=0), _faded(-distance / WIDE_CELLS)]
    return torch.stack(maps, dim=1)


def _nearest(centres: Tensor, size: int) -> Tensor:
    """Distances of a grid's cells to the nearest of (N, 3) places; infinite where there is none."""
    if len(centres) == 0:
        return torch.full((size,) * 3, float("inf"))
    if len(centres) <= _MOST_MEASURED:
        return _squares(centres[None], torch.ones(1, len(centres), dtype=torch.bool), size)[0].sqrt()
    free = np.ones((size,) * 3, dtype=bool)
    cells = (centres + 0.5).floor().long().numpy()
    cells = cells[((cells >= 0) & (cells < size)).all(axis=1)]
    if len(cells) == 0:
        return torch.full((size,) * 3, float("inf"))
    free[tuple(cells.T)] = False
    return torch.from_numpy(ndimage.distance_transform_edt(free).astype(np.float32))


def _squares(centres: Tensor, chosen: Tensor, size: int) -> Tensor:
    steps = torch.arange(size, device=centres.device, dtype=torch.float32)
    along = (steps - centres[..., None]) ** 2  # (B, N, 3, size)
    along = along.masked_fill(~chosen[..., None, None], float("inf"))
    nearest = centres.new_full((len(centres), size, size, size), float("inf"))
    for number in range(centres.shape[1]):
        r, a, s = along[:, number].unbind(1)
        nearest = torch.minimum(nearest, r[:, :, None, None] + a[:, None, :, None] + s[:, None, None, :])
    return nearest


def connected(likeness: Tensor, seeds: Tensor) -> Tensor:
    """How well each cell hangs together with the seeds: the best way's weakest likeness.

    Fuzzy connectedness (Udupa and Samarasinghe 1996) over cells' faces, by sweeps along the axes; a way may turn
    :data:`SWEEPS` times and more.

    Args:
        likeness: (B, C, n, n, n) in 0..1. seeds: the same shape, 1 where a way may begin, 0 elsewhere.

    Returns:
        (B, C, n, n, n) in 0..1.
    """
    if likeness.device.type == "cpu":
        found = _swept(np.minimum, np.maximum, likeness.float().numpy(), seeds.float().numpy(), np.ascontiguousarray)
        return torch.from_numpy(found)
    return _swept(torch.minimum, torch.maximum, likeness, seeds, lambda x: x.contiguous())


def _swept(least, most, likeness, seeds, contiguous):  # type: ignore[no-untyped-def]
    # On a CPU in NumPy, whose calls cost less than PyTorch's on such small planes.
    reached = most(seeds, 0 * seeds)
    size = likeness.shape[-1]
    orders = [(2, 0, 1, 3, 4), (3, 0, 1, 2, 4), (4, 0, 1, 2, 3)]
    permute = (lambda x, o: x.permute(o)) if isinstance(likeness, Tensor) else (lambda x, o: x.transpose(o))
    back = [tuple(order.index(axis) for axis in range(5)) for order in orders]
    ways = [contiguous(permute(likeness, order)) for order in orders]
    for _ in range(SWEEPS):
        for order, undo, way in zip(orders, back, ways, strict=True):
            planes = contiguous(permute(reached, order))
            for step in range(1, size):
                planes[step] = most(planes[step], least(planes[step - 1], way[step]))
            for step in range(size - 2, -1, -1):
                planes[step] = most(planes[step], least(planes[step + 1], way[step]))
            reached = permute(planes, undo)
    return contiguous(reached)


def seed_maps(coords: Tensor, kinds: Tensor, size: int) -> Tensor:
    """Cells of the half grid in which points and scribbles lie: (B, 2 signs, size, size, size), 0 or 1."""
    cells = ((coords + 0.5) / 2).floor().long()
    within = ((cells >= 0) & (cells < size)).all(dim=2)
    r, a, s = cells.clamp(0, size - 1).unbind(2)
    flat = (r * size + a) * size + s
    maps = []
    for sign in (1, 0):
        here = (placed(kinds, sign) & within).float()
        maps.append(here.new_zeros(len(here), size**3).scatter_reduce(1, flat, here, "amax"))
    return torch.stack(maps, dim=1).unflatten(2, (size, size, size))
