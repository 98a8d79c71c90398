"""One past interaction as a value, and how it looks from another crop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..geometry import CropGrid
from ..prompts import Click


@dataclass(frozen=True, eq=False)
class Interaction:
    """A click and the mask it led to, embedded. States of a session share them; nothing is ever written to one.

    Attributes:
        number: how many interactions came before it. click: what the user did.
        grid: the crop it was made in.
        sparse: (1, C), the click's token in that crop. dense: (1, C, g, g, g), the embedding of the mask.
    """

    number: int
    click: Click
    grid: CropGrid
    sparse: Tensor
    dense: Tensor


def resampled(dense: Tensor, old: CropGrid, new: CropGrid) -> tuple[Tensor, Tensor]:
    """A mask's embedding on another crop's tokens, trilinearly. Crops are aligned with RAS: each axis by itself.

    Args:
        dense: (1, C, g, g, g) on ``old.coarser(g)``.

    Returns:
        The same shape on ``new.coarser(g)``, and (1, g, g, g) bool: the cells whose centres lie in the old field of
        view. Of the others nothing is known: an attention hides them, where zeros would pass for a mask's end.
    """
    size = dense.shape[-1]
    steps = np.repeat(np.arange(size)[:, None], 3, axis=1)
    places = old.coarser(size).ras_to_index(new.coarser(size).index_to_ras(steps)).T  # (axis, cell)
    inside = torch.from_numpy((places >= -0.5) & (places <= size - 0.5)).to(dense.device)
    weights = [_interpolation(positions, size).to(dense) for positions in places]
    moved = torch.einsum("bcras,xr,ya,zs->bcxyz", dense, *weights)
    r, a, s = inside
    return moved, (r[:, None, None] & a[:, None] & s)[None]


def _interpolation(positions: np.ndarray, size: int) -> Tensor:
    """(cells, size) weights of linear interpolation at continuous indices; beyond the last centres they hold on."""
    distance = np.abs(np.clip(positions, 0, size - 1)[:, None] - np.arange(size))
    return torch.from_numpy(np.maximum(1 - distance, 0))
