"""What a training step minimises: the loss of a network that is clicked several times, as one module (for DDP)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from MemorizingSAM3DLib.engine.networks.sam3d import SAM3D, NativeSAM3D

from ..data.samples import LEAST_CELLS
from ..masks import dilated, eroded
from ..simulated_user import DeviceUser, HostUser, SimulatedUser
from .changed_networks import SAM3DWithMemory
from .losses import AuxiliaryTokenLoss, DiceCrossEntropy

# Streams of random numbers: what a step decides for all samples, and what is drawn for each of them.
_OF_STEP, _OF_SAMPLE = 7, 8


@dataclass(frozen=True)
class Batch:
    """Samples of a step.

    Attributes:
        images: (B, 1, S, S, S). targets: (B, 1, m, m, m), occupancy 0..1; for networks with logits on the full grid
            (B, T, S, S, S) bool, T targets a crop.
        numbers: of the samples in the whole training; what is drawn for a sample follows from seed and number.
    """

    images: Tensor
    targets: Tensor
    numbers: tuple[int, ...]


@dataclass(frozen=True)
class ClickOptions:
    """How a batch is clicked.

    Attributes:
        clicks: decodings with a loss a sample.
        warm_start: share of batches that begin with clicks without gradients, so that late clicks are trained too.
        warm_clicks: at most so many of them; with ``clicks`` they reach the ten of the evaluation.
        initial_mask: share of batches that begin with a damaged mask, as when an existing segment is refined.
        on_device: clicks are simulated by the approximate rule on the batch's device.
        skip_dropout: share of batches that are decoded without the skip stem's features, from tokens and prompts alone:
            else a short training leans on the stem and never learns to use its transformer.
        token_loss: weight of the loss on the image tokens alone (:class:`.losses.AuxiliaryTokenLoss`); native networks
        only.
    """

    clicks: int = 2
    warm_start: float = 0.3
    warm_clicks: int = 8
    initial_mask: float = 0.12
    on_device: bool = False
    skip_dropout: float = 0.0
    token_loss: float = 0.0


class Objective(nn.Module):
    """A loss as a module.

    Attributes:
        network: the one that is trained, averaged and saved.
        names: of the figures.
        uses_all: whether every parameter that is trained gets a gradient in every step.
    """

    network: SAM3D | SAM3DWithMemory
    names: tuple[str, ...]
    uses_all = True

    @property
    def facts(self) -> dict[str, object]:
        """What is worth recording of it in the model that it trains."""
        return {}

    def rate_factor(self, name: str) -> float:
        """What a parameter of the network is learned at: times the learning rate."""
        return 1.0

    @abstractmethod
    def forward(self, batch: Batch, step: int) -> tuple[Tensor, Tensor]:
        """The loss, a scalar, and figures (one a name, without gradients) of a batch at a step (from 0)."""


class ClickObjective(Objective):
    """Encode once; then click, decode and click again; Dice plus cross-entropy after the last clicks."""

    network: SAM3D
    names = ("dice_first", "dice_last")

    def __init__(self, network: SAM3D, options: ClickOptions, seed: int) -> None:
        super().__init__()
        self.network, self.options, self.seed = network, options, seed
        self.loss = DiceCrossEntropy()
        self.tokens = AuxiliaryTokenLoss(network) if options.token_loss and isinstance(network, NativeSAM3D) else None
        self.encoder_is_frozen = not any(p.requires_grad for p in network.image_encoder.parameters())

    @property
    def facts(self) -> dict[str, object]:
        return {"skip_dropout": self.options.skip_dropout, "token_loss": self.options.token_loss}

    def forward(self, batch: Batch, step: int) -> tuple[Tensor, Tensor]:
        options, targets = self.options, batch.targets
        with torch.set_grad_enabled(not self.encoder_is_frozen):
            features = self.network.encode(batch.images)
        rng = np.random.default_rng([self.seed, _OF_STEP, step])
        user, generators = simulated_user(batch, self.seed, options.on_device, self.network.config.image_size)
        logits = initial_logits(targets, generators) if rng.random() < options.initial_mask else None
        warm = int(rng.integers(1, options.warm_clicks + 1)) if rng.random() < options.warm_start else 0
        if options.skip_dropout and rng.random() < options.skip_dropout:
            # Times zero, not zeros: every parameter still has its place in the graph, as DDP wants it.
            features = features._replace(skips=tuple(skip * 0 for skip in features.skips))
        truth = targets[:, 0] > 0.5
        usable = (truth.flatten(1).sum(1) >= LEAST_CELLS).float()
        loss, dice = torch.zeros((), device=targets.device), []
        for number in range(warm + options.clicks):
            user.click(None if logits is None else logits[:, 0] > 0, truth)
            with torch.set_grad_enabled(number >= warm), self.tokens.watching() if self.tokens else nullcontext():
                new = self.network.decode(features, *used_clicks(self.network, user), logits)
            if number >= warm:
                cost = self.loss(new, targets, usable)
                if self.tokens:
                    of_tokens = self.loss(self.tokens.logits, self.tokens.target(targets), usable)
                    cost = cost + options.token_loss * of_tokens
                loss = loss + cost / options.clicks
                dice.append(mean_dice(new, targets))
            logits = new.detach().float()
        return loss, torch.stack([dice[0], dice[-1]])


def simulated_user(batch: Batch, seed: int, on_device: bool,
                   image_size: int) -> tuple[SimulatedUser, list[np.random.Generator]]:  # fmt: skip
    """Who clicks a batch, and the samples' generators for what else is drawn for them."""
    generators = [np.random.default_rng([seed, _OF_SAMPLE, number]) for number in batch.numbers]
    scale = image_size // batch.targets.shape[-1]
    if not on_device:
        return HostUser(generators, scale), generators
    generator = torch.Generator(batch.targets.device).manual_seed(int(generators[0].integers(2**31)))
    return DeviceUser(generator, scale), generators


def used_clicks(network: SAM3D, user: SimulatedUser) -> tuple[Tensor, Tensor]:
    """The clicks that a network is given: coords (B, N, 3) and labels (B, N), all so far or the newest one."""
    coords, labels = user.prompts()
    return (coords, labels) if network.uses_click_history else (coords[:, -1:], labels[:, -1:])


def initial_logits(targets: Tensor, generators: Sequence[np.random.Generator]) -> Tensor:
    """Logits of damaged masks: the target shifted, grown or shrunk, or cut off by a plane (a crop's border).

    Args:
        targets: (B, 1, m, m, m). generators: one a sample.
    """
    return torch.cat([_damaged(target[None], rng) for target, rng in zip(targets, generators, strict=True)])


def mean_dice(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean Dice of the batch, a scalar; nothing waits for it."""
    a, b = (logits > 0).flatten(1), (targets > 0.5).flatten(1)
    return (2 * (a & b).sum(1) / (a.sum(1) + b.sum(1)).clamp(min=1)).mean()


def _damaged(mask: Tensor, rng: np.random.Generator) -> Tensor:
    kind = rng.integers(3)
    if kind == 0:
        mask = mask.roll(tuple(int(v) for v in rng.integers(-4, 5, 3)), dims=(2, 3, 4))
    elif kind == 1:
        radius = int(rng.choice([1, 2, 3]))
        mask = dilated(mask, radius) if rng.random() < 0.5 else eroded(mask, radius)
    else:
        axis, size = int(rng.integers(3)), mask.shape[-1]
        keep = torch.arange(size, device=mask.device) < size * float(rng.uniform(0.3, 0.7))
        keep = keep if rng.random() < 0.5 else ~keep
        shape = [1] * 5
        shape[2 + axis] = size
        mask = mask * keep.view(shape)
    return (mask - 0.5) * float(rng.uniform(4, 12))
