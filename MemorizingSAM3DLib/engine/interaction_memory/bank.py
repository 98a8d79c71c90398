"""One past interaction as a value, and how it looks from another crop.

The bank of past interactions on the device: a ring of keys and values, each projected once, when it is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..geometry import CropGrid
from ..networks.full_grid import FullGridPromptEncoder
from ..networks.memory_attention import (
    DEFAULT_CAPACITY,
    MAXIMAL_CAPACITY,
    DenseMemory,
    MemoryAttention,
    MemoryStack,
    Projected,
    SparseMemory,
    halved,
)
from ..networks.prompt_encoder import NativePromptEncoder, PromptEncoder
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


_FIRST_SLOTS = 16  # most sessions need no more; doubled when they do


class InteractionBank:
    """The last N interactions of whatever state is asked about, first in, first out.

    Interaction number n lies in slot n modulo N, whatever was asked before. So a state's stack is laid out, and summed
    up, in the same order after any edits as after a replay: not even the rounding differs. One more click writes one
    slot, a click undone writes none, another branch writes what differs.

    In another crop than its own, an interaction's click is embedded anew where it lies, or hidden when it lies outside,
    and its mask is resampled; always from its own crop, so nothing blurs by going to and fro.

    Args:
        attention: projects and later attends. prompt_encoder: embeds clicks in another crop.
        size: N, 1 to 256.
        half: whether keys and values are kept in float16, whatever they are computed in.

    Attributes:
        writes: how many slots were written so far.

    Raises:
        ValueError: another size.
    """

    def __init__(
        self, attention: MemoryAttention, prompt_encoder: PromptEncoder | NativePromptEncoder | FullGridPromptEncoder,
        size: int = DEFAULT_CAPACITY, half: bool = False,
    ) -> None:  # fmt: skip
        if not 1 <= size <= MAXIMAL_CAPACITY:
            raise ValueError(f"A bank holds 1 to {MAXIMAL_CAPACITY} interactions, not {size}.")
        self.attention, self.prompt_encoder, self.size, self.half = attention, prompt_encoder, size, half
        self.writes = 0
        self.clear()

    def clear(self) -> None:
        """Forgets everything and frees its memory."""
        self._slots: list[tuple[Interaction, CropGrid] | None] = [None] * self.size
        self._sparse: SparseMemory | None = None
        self._dense: DenseMemory | None = None
        self._room = 0

    def load(self, interactions: Sequence[Interaction], grid: CropGrid) -> MemoryStack:
        """The stack of these interactions as they look from a crop; projects only those that are not yet there.

        Args:
            interactions: of one state, the newest last, at least one; only the last N count.
        """
        ages = self._loaded(interactions, grid)
        return self._stack(torch.tensor(ages, device=self._weight.device), whole=min(ages) >= 0)

    def load_padded(self, interactions: Sequence[Interaction], grid: CropGrid) -> MemoryStack:
        """As :meth:`load`, with slots up to one of few numbers, and where they lie in the bank.

        So that a recorded graph, which has fixed shapes and addresses, can read them. :func:`known_alone` makes of it
        what :meth:`load` gives, but for slots of which nothing is known.

        Returns:
            ages are -1 in slots that hold nothing of this state.
        """
        ages = self._loaded(interactions, grid)
        width = _FIRST_SLOTS
        while width < len(ages):
            width *= 2
        ages += [-1] * (min(width, self._room) - len(ages))
        sparse = None if self._sparse is None else SparseMemory(*(part[:, : len(ages)] for part in self._sparse))
        dense = None if self._dense is None else DenseMemory(*(part[:, :, : len(ages)] for part in self._dense))
        return MemoryStack(sparse, dense, torch.tensor(ages))

    def _loaded(self, interactions: Sequence[Interaction], grid: CropGrid) -> list[int]:
        """Projects what is not there yet; how old each slot's interaction is, -1 where the state has none."""
        kept = interactions[-self.size :]
        width = min(self.size, kept[-1].number + 1)
        ages = [-1] * width
        for age, interaction in enumerate(reversed(kept)):
            slot = interaction.number % self.size
            ages[slot] = age
            held = self._slots[slot]
            if held is None or held[0] is not interaction or held[1] != grid:
                self._write(slot, interaction, grid, width)
        return ages

    @property
    def _weight(self) -> Tensor:
        """Whose device and precision interactions are taken to: they may have been made under others."""
        return self.attention.mlp.lin1.weight

    def _stack(self, ages: Tensor, whole: bool) -> MemoryStack:
        width = len(ages)
        sparse = None if self._sparse is None else SparseMemory(*(part[:, :width] for part in self._sparse))
        dense = None if self._dense is None else DenseMemory(*(part[:, :, :width] for part in self._dense))
        stack = MemoryStack(sparse, dense, ages)
        return stack if whole else known_alone(stack)

    def _write(self, slot: int, interaction: Interaction, grid: CropGrid, width: int) -> None:
        # One at a time: projected together with others, the last digits would depend on how many there are.
        projected = self._projected(interaction, grid)
        if self.half:
            projected = halved(projected)
        # For all that the state lies in: of a bank that was enlarged, its first slots alone may be filled.
        self._make_room(width - 1, projected)
        self._slots[slot] = None  # what fails below leaves no slot that claims to hold what it does not
        if self._sparse is not None and projected.sparse is not None:
            for place, part in zip(self._sparse, projected.sparse, strict=True):
                place[:, slot] = part
        if self._dense is not None and projected.dense is not None:
            for place, part in zip(self._dense, projected.dense, strict=True):
                place[:, :, slot] = part
        self._slots[slot] = interaction, grid
        self.writes += 1

    def _projected(self, interaction: Interaction, grid: CropGrid) -> Projected:
        sparse, dense = (part.to(self._weight) for part in (interaction.sparse, interaction.dense))
        if interaction.grid == grid:
            return self.attention.project(sparse, dense)
        click, device = interaction.click, sparse.device
        coords = torch.from_numpy(grid.ras_to_index(click.ras)).float()[None, None].to(device)
        token = self.prompt_encoder.token_of(coords, torch.tensor([[int(click.positive)]], device=device))
        dense, dense_known = resampled(dense, interaction.grid, grid)
        sparse_known = torch.tensor([grid.contains(click.ras)], device=device)
        return self.attention.project(token.to(sparse.dtype), dense, sparse_known, dense_known)

    def _make_room(self, slot: int, projected: Projected) -> None:
        if slot < self._room:
            return
        room = max(self._room, _FIRST_SLOTS)
        while room <= slot:
            room *= 2
        self._room = min(room, self.size)
        if projected.sparse is not None:
            parts = (_grown(part, 1, self._room) for part in projected.sparse)
            self._sparse = SparseMemory(*(_with(self._sparse, i, part) for i, part in enumerate(parts)))
        if projected.dense is not None:
            parts = (_grown(part, 2, self._room) for part in projected.dense)
            self._dense = DenseMemory(*(_with(self._dense, i, part) for i, part in enumerate(parts)))


def known_alone(stack: MemoryStack) -> MemoryStack:
    """A stack in which nothing is known of slots whose age is -1."""
    sparse, dense, held = stack.sparse, stack.dense, stack.ages >= 0
    sparse = None if sparse is None else sparse._replace(known=sparse.known & held)
    dense = None if dense is None else dense._replace(known=dense.known & held)
    return MemoryStack(sparse, dense, stack.ages.clamp(min=0))


def _grown(like: Tensor, axis: int, room: int) -> Tensor:
    """Zeros shaped like one memory's part, with ``room`` slots along a new axis."""
    return like.new_zeros((*like.shape[:axis], room, *like.shape[axis:]))


def _with(old: SparseMemory | DenseMemory | None, number: int, new: Tensor) -> Tensor:
    """The new, larger part, with what the old one held."""
    if old is not None:
        part = old[number]
        axis = 1 if isinstance(old, SparseMemory) else 2
        new.narrow(axis, 0, part.shape[axis]).copy_(part)
    return new
