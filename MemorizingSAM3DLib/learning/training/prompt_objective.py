"""What a step minimises for a network with logits on the full grid: a crop encoded once, several targets prompted."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from MemorizingSAM3DLib.engine.networks.image_encoder import ImageFeatures
from MemorizingSAM3DLib.engine.networks.sam3d import NativeSAM3D

from .losses import AuxiliaryTokenLoss
from .objective import Batch, Objective, initial_logits
from .prompting import PromptingUser

# Streams of random numbers: what a step decides for all samples, and what is drawn for each target.
_OF_STEP, _OF_TARGET = 17, 18
_NEAR = 3  # cells of the half grid around target and mask in which the cross-entropy weighs most
_FAR_WEIGHT = 0.02


@dataclass(frozen=True)
class PromptOptions:
    """How a batch is prompted.

    Attributes:
        rounds: decodings with a loss, a batch.
        warm_start: share of batches that begin with prompts without gradients, so that late corrections are trained.
        warm_rounds: at most so many of them; with ``rounds`` the longest sequence.
        initial_mask: share of the targets that begin with a damaged mask, as when an existing segment is refined.
        skip_dropout: share of the crops that are decoded without the skip stem's features, from tokens and prompts
            alone: else a training leans on the stem and never learns to use its transformer.
        token_loss: weight of the loss on the image tokens alone (:class:`.losses.AuxiliaryTokenLoss`).
        quality_loss: of what the network thinks of its mask against the mask's Dice; nothing else learns from it.
        point_starts: every sequence begins with a point.
    """

    rounds: int = 2
    warm_start: float = 0.4
    warm_rounds: int = 8
    initial_mask: float = 0.1
    skip_dropout: float = 0.2
    token_loss: float = 0.3
    quality_loss: float = 0.1
    point_starts: bool = False


class PromptObjective(Objective):
    """Encode once; then prompt, decode and correct; Dice plus cross-entropy after the last prompts."""

    network: NativeSAM3D
    names = ("dice_first", "dice_last", "dice_tokens")

    def __init__(self, network: NativeSAM3D, options: PromptOptions, seed: int) -> None:
        super().__init__()
        self.network, self.options, self.seed = network, options, seed
        self.tokens = AuxiliaryTokenLoss(network)

    @property
    def facts(self) -> dict[str, object]:
        """How it was prompted, for the model's own record."""
        return asdict(self.options)

    def forward(self, batch: Batch, step: int) -> tuple[Tensor, Tensor]:
        options, size = self.options, self.network.config.image_size
        targets = batch.targets.flatten(0, 1)[:, None]  # (B T, 1, S, S, S) bool
        per_crop = batch.targets.shape[1]
        features = self._without_some_skips(self.network.encode(batch.images), batch)
        rng = np.random.default_rng([self.seed, _OF_STEP, step])
        generators = [
            np.random.default_rng([self.seed, _OF_TARGET, number, target])
            for number in batch.numbers for target in range(per_crop)
        ]  # fmt: skip
        user = PromptingUser(generators, size, options.point_starts)
        truths, occupied = targets[:, 0], targets.float()
        logits = self._started(occupied, generators)
        warm = int(rng.integers(1, options.warm_rounds + 1)) if rng.random() < options.warm_start else 0
        loss, dice = torch.zeros((), device=targets.device), []
        for number in range(warm + options.rounds):
            user.prompt(None if logits is None else logits[:, 0] > 0, truths)
            coords, kinds, regions = user.tensors(targets.device)
            with torch.set_grad_enabled(number >= warm), self.tokens.watching():
                new, quality = self.network.decode_rated(features, coords, kinds, logits, regions=regions)
                if number >= warm:
                    of_tokens = mask_loss(self.tokens.logits, self.tokens.target(occupied))
                    rated = functional.binary_cross_entropy_with_logits(quality.float(), dices(new, occupied))
                    cost = mask_loss(new, occupied) + options.token_loss * of_tokens + options.quality_loss * rated
                    loss = loss + cost / options.rounds
                    dice.append(dices(new, occupied).mean())
            logits = new.detach().float()
        coarse = dices(self.tokens.logits, self.tokens.target(occupied)).mean()
        return loss, torch.stack([dice[0], dice[-1], coarse])

    def _started(self, occupied: Tensor, generators: list[np.random.Generator]) -> Tensor | None:
        """Logits before the first prompt: of a damaged mask for some targets, zeros (nothing is known) for others."""
        damaged = [rng.random() < self.options.initial_mask for rng in generators]
        if not any(damaged):
            return None
        started = torch.zeros_like(occupied)
        for number, rng in enumerate(generators):
            if damaged[number]:
                started[number] = initial_logits(occupied[number : number + 1], [rng])[0]
        return started

    def _without_some_skips(self, features: ImageFeatures, batch: Batch) -> ImageFeatures:
        if not self.options.skip_dropout or not features.skips:
            return features
        draws = [np.random.default_rng([self.seed, _OF_STEP + 2, number]).random() for number in batch.numbers]
        kept = torch.tensor([float(draw >= self.options.skip_dropout) for draw in draws], device=batch.images.device)
        kept = kept[:, None, None, None, None]
        # The crop's own voxels are detail, too. Times zero, not zeros: every parameter keeps its place in the graph.
        assert features.image is not None
        skips = tuple(skip * kept for skip in features.skips)
        return features._replace(skips=skips, detail=features.image * kept)


def dices(logits: Tensor, occupied: Tensor) -> Tensor:
    """Dice of each mask of a batch, (B,), without gradients."""
    a, b = (logits.detach() > 0).flatten(1), (occupied > 0.5).flatten(1)
    return 2 * (a & b).sum(1) / (a.sum(1) + b.sum(1)).clamp(min=1)


def mask_loss(logits: Tensor, occupied: Tensor) -> Tensor:
    """Soft Dice plus binary cross-entropy that weighs target, mask and their surroundings most; mean over the batch.

    A structure of 0.1 % of the crop would vanish in a plain mean of the cross-entropy.

    Args:
        logits, occupied: (B, 1, m, m, m); occupancy in 0..1.
    """
    logits = logits.float()
    entropy = functional.binary_cross_entropy_with_logits(logits, occupied, reduction="none").flatten(1)
    with torch.no_grad():
        either = torch.maximum(occupied, (logits > 0).float())
        if either.shape[-1] > 16:
            near = functional.max_pool3d(functional.max_pool3d(either, 2), _NEAR, stride=1, padding=_NEAR // 2)
            near = functional.interpolate(near, scale_factor=2, mode="nearest")
        else:
            near = functional.max_pool3d(either, _NEAR, stride=1, padding=_NEAR // 2)
        share = near.flatten(1) + _FAR_WEIGHT
        share = share / share.sum(1, keepdim=True)
    likely, target = logits.sigmoid().flatten(1), occupied.flatten(1)
    both = (likely * target).sum(1)
    dice = (2 * both + 1) / (likely.square().sum(1) + target.square().sum(1) + 1)
    return (1 - dice + (entropy * share).sum(1)).mean()
