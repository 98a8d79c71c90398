"""What training an interaction memory minimises: Dice over a window of clicks late in a long sequence of them.

Truncated back-propagation: a sample is first clicked w times without gradients, as in a session; the memories of those
clicks stay as constants and are projected anew, with gradients. A window of clicks with a loss each follows, whose
gradients also flow through the memories written within it. So 150 clicks cost the memory of one window.

What of new logits the session keeps, for batches: training then sees the masks that users see.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from MemorizingSAM3DLib.engine.networks.image_encoder import ImageFeatures
from MemorizingSAM3DLib.engine.networks.memory_attention import (
    DenseMemory,
    MemoryAttention,
    MemoryStack,
    Projected,
    SparseMemory,
)
from MemorizingSAM3DLib.engine.networks.sam3d import NativeSAM3D
from MemorizingSAM3DLib.engine.session.locality import accepted_region, hold_clicks

from ..data.samples import LEAST_CELLS
from ..simulated_user import DeviceUser, HostUser
from .changed_networks import Memory, SAM3DWithMemory
from .losses import SoftDice
from .objective import Batch, Objective, mean_dice, used_clicks


def kept_logits(old: Tensor | None, new: Tensor, coords: Tensor, labels: Tensor, image_size: int) -> Tensor:
    """New logits where the session's rules 1 and 2 accept them, and clicks held by rule 3 (see engine.locality).

    Differentiable in ``new``, where it is kept.

    Args:
        old, new: (B, 1, m, m, m); old is None at the first click.
        coords: (B, N, 3) crop voxels, all clicks, the newest last. labels: (B, N), -1 where there was no click.
        image_size: edge of the crop, voxels.
    """
    size = new.shape[-1]
    cells = ((coords.detach().cpu().numpy() + 0.5) * (size / image_size) - 0.5).astype(np.float64)
    signs = labels.cpu().numpy()
    after = new.detach().float().cpu().numpy()[:, 0]
    before = None if old is None else old.detach().float().cpu().numpy()[:, 0]
    regions, held = np.ones(after.shape, dtype=bool), np.empty_like(after)
    for i in range(len(after)):
        if before is not None:
            clicked = signs[i, -1] >= 0
            regions[i] = clicked and accepted_region(before[i], after[i], cells[i, -1], bool(signs[i, -1] == 1))
            merged = np.where(regions[i], after[i], before[i])
        else:
            merged = after[i].copy()
        held[i] = merged
        clicks = [(np.stack([c, c]), bool(s == 1)) for c, s in zip(cells[i], signs[i], strict=True) if s >= 0]
        hold_clicks(held[i], clicks)
        regions[i] &= held[i] == after[i]
    region, constant = (torch.from_numpy(part)[:, None].to(new.device) for part in (regions, held))
    return torch.where(region, new.float(), constant)


# Streams of random numbers: what a step decides for all samples, and each click of each of them.
_OF_STEP, _OF_CLICK = 9, 10


@dataclass(frozen=True)
class MemoryOptions:
    """How long sequences of clicks are.

    Attributes:
        bank_size: memories that are kept, the newest ones. window: clicks with a loss, a sample.
        longest: the last click that is ever reached. from_start: share of steps whose window begins with the first
            click; in all others the clicks before the window are drawn log-uniformly.
        from_first_click: the first click, which remembers nothing, is decoded by what is trained, too; else by the
            network as it was before. Without memory it always is by what is trained.
        memory_factor: the memory attention's learning rate, times that of prompt encoder and decoder (MAIS: 10).
        stay: steps in a row that go on with the same crops, a window each, so that fewer clicks are made without
            gradients. A training that was stopped among them clicks the sequence again with the weights it has by then.
        as_session: the mask that goes on is what the session would keep of the network's; else all of it.
        on_device: clicks are simulated by the approximate rule on the batch's device.
    """

    bank_size: int = 60
    window: int = 4
    longest: int = 150
    from_start: float = 0.25
    from_first_click: bool = False
    memory_factor: float = 10.0
    stay: int = 1
    as_session: bool = True
    on_device: bool = False

    def clicks_before(self, rng: np.random.Generator) -> int:
        """How many clicks without gradients a step begins with; most often few."""
        most, chances = self.longest - self.window * self.stay, rng.random(2).tolist()
        if most < 1 or chances[0] < self.from_start:
            return 0
        return min(most, int((most + 1) ** chances[1]))


class MemoryObjective(Objective):
    """Dice loss on every click of a window; the encoder learns nothing.

    Attributes:
        network: with a memory attention, or without one: then all else is the same (seeds, clicks' random numbers,
            lengths), which is what the memory is to be compared with.
        names: Dice at the first and at the last click of the window, and the number of clicks before it.
    """

    network: SAM3DWithMemory
    names = ("clicks_before", "dice_first", "dice_last")
    uses_all = False  # the first click sees no memory

    def __init__(self, network: SAM3DWithMemory, options: MemoryOptions, seed: int) -> None:
        super().__init__()
        network.sam3d.image_encoder.requires_grad_(False)
        self.network, self.options, self.seed = network, options, seed
        untrained = network.attention is not None and not options.from_first_click
        self.plain = copy.deepcopy(network.sam3d).requires_grad_(False) if untrained else None
        self.loss = SoftDice()
        self._going_on: tuple[int, ClickSequence] | None = None  # the turn that its next window is for

    def rate_factor(self, name: str) -> float:
        return self.options.memory_factor if name.startswith("attention.") else 1.0

    def forward(self, batch: Batch, step: int) -> tuple[Tensor, Tensor]:
        options, targets = self.options, batch.targets
        group, turn = divmod(step, options.stay)
        before = options.clicks_before(np.random.default_rng([self.seed, _OF_STEP, group])) + turn * options.window
        sequence = self._sequence(batch, step, before)
        sequence.project_again()
        usable = (sequence.truth.flatten(1).sum(1) >= LEAST_CELLS).float()
        loss, dice = torch.zeros((), device=targets.device), []
        for number in range(options.window):
            logits = sequence.click(remember=turn + 1 < options.stay or number + 1 < options.window)
            loss = loss + self.loss(logits, targets, usable) / options.window
            dice.append(mean_dice(logits, targets))
        self._going_on = (step + 1, sequence) if turn + 1 < options.stay else None
        return loss, torch.stack([dice[0].new_tensor(before), dice[0], dice[-1]])

    def _sequence(self, batch: Batch, step: int, before: int) -> ClickSequence:
        """The batch after so many clicks without gradients: the last step's, where that went on with it."""
        if self._going_on is not None and self._going_on[0] == step and self._going_on[1].batch is batch:
            return self._going_on[1]
        with torch.no_grad():
            sequence = ClickSequence(self.network, batch, self.options, self.seed, self.plain)
            for _ in range(before):
                sequence.click()
        return sequence


class ClickSequence:
    """A batch that is clicked again and again, with what is remembered of it.

    Args:
        plain: decodes the first click; None: ``network`` does.

    Attributes:
        truth: (B, m, m, m) bool. logits: that go on, (B, 1, m, m, m), without gradients; None before the first click.
    """

    def __init__(self, network: SAM3DWithMemory, batch: Batch, options: MemoryOptions, seed: int,
                 plain: NativeSAM3D | None = None) -> None:  # fmt: skip
        self.network, self.batch, self.options, self.seed, self.plain = network, batch, options, seed, plain
        self.features: ImageFeatures = network.sam3d.encode(batch.images)
        self.truth = batch.targets[:, 0] > 0.5
        self.logits: Tensor | None = None
        self._memories: list[Memory] = []
        self._projected: list[Projected] = []
        self._count = 0  # of clicks
        scale = network.config.image_size // batch.targets.shape[-1]
        self._user: DeviceUser | HostUser
        if options.on_device:
            self._user = DeviceUser(torch.Generator(batch.targets.device), scale)
        else:
            self._user = HostUser(self._generators(), scale)

    def click(self, remember: bool = True) -> Tensor:
        """One more click on what is wrong, and the logits it leads to, (B, 1, m, m, m).

        Args:
            remember: also write a memory of it.
        """
        network, options = self.network, self.options
        self._reseed()
        self._user.click(None if self.logits is None else self.logits[:, 0] > 0, self.truth)
        coords, labels = used_clicks(network.sam3d, self._user)
        if self.logits is None and self.plain is not None:
            new = self.plain.decode(self.features, coords, labels)
        else:
            new = network.decode(self.features, coords, labels, self.logits, self._stack())
        kept = new.float()
        if options.as_session:
            kept = kept_logits(self.logits, new, *self._user.prompts(), network.config.image_size)
        if remember and network.attention is not None:
            assert self.features.image is not None
            memory = network.memory_of(self.features.image, coords, labels, kept)
            self._memories = [*self._memories, memory][-options.bank_size :]
            self._projected = [*self._projected, *projected(network.attention, [memory])][-options.bank_size :]
        self.logits = kept.detach()
        return new

    def project_again(self) -> None:
        """What is remembered so far becomes constants, projected with gradients."""
        if self._memories:
            assert self.network.attention is not None
            self._memories = [Memory(*(part.detach() for part in memory)) for memory in self._memories]
            self._projected = projected(self.network.attention, self._memories)

    def _stack(self) -> MemoryStack | None:
        if self.network.attention is None or not self._projected:
            return None
        return self.network.attention.stack(self._projected, self.options.bank_size)

    def _reseed(self) -> None:
        # A generator of its own for each click: what one click drew does not change what the next one draws.
        generators = self._generators()
        if isinstance(self._user, HostUser):
            self._user.generators = generators
        else:
            self._user.generator.manual_seed(int(generators[0].integers(2**31)))
        self._count += 1

    def _generators(self) -> list[np.random.Generator]:
        return [np.random.default_rng([self.seed, _OF_CLICK, self._count, number]) for number in self.batch.numbers]


def projected(attention: MemoryAttention, memories: Sequence[Memory]) -> list[Projected]:
    """Memories' keys and values, computed together."""
    together = Memory(*(torch.cat(parts) for parts in zip(*memories, strict=True)))
    grid = together.dense.shape[2:]
    everywhere = together.known[:, None, None, None].expand(-1, *grid)
    made = attention.project(together.sparse, together.dense, together.known, everywhere)
    count = len(memories)
    sparse, dense = made.sparse, made.dense
    clicks = [None] * count if sparse is None else [SparseMemory(*parts) for parts in _chunks(sparse, count)]
    masks = [None] * count if dense is None else [DenseMemory(*parts) for parts in _chunks(dense, count)]
    return [Projected(*both) for both in zip(clicks, masks, strict=True)]


def _chunks(joined: Sequence[Tensor], count: int) -> Iterable[tuple[Tensor, ...]]:
    return zip(*(part.chunk(count) for part in joined), strict=True)
