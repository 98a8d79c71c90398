"""The training losses on logits: MONAI's Dice, alone and with cross-entropy."""

from __future__ import annotations

import torch
from monai.losses import DiceLoss
from torch import Tensor, nn
from torch.nn import functional

from .morphology import dilated


class SoftDice(nn.Module):
    """Soft Dice (sigmoid, squared, per sample) alone, as MAIS trains with."""

    def __init__(self) -> None:
        super().__init__()
        self.dice = _soft_dice()

    def forward(self, logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """The mean over the batch, a scalar; arguments as of :meth:`DiceCrossEntropy.forward`."""
        costs = self.dice(logits.float(), target).flatten()
        return (costs if weight is None else costs * weight).mean()


class DiceCrossEntropy(nn.Module):
    """Soft Dice (sigmoid, squared, per sample) plus binary cross-entropy, as SAM-Med3D trains with.

    The cross-entropy is averaged with weights that give the target and its surroundings the same share at least
    partly: a structure of 0.1 % of the crop would vanish in a plain mean.
    """

    def __init__(self) -> None:
        super().__init__()
        self.dice = _soft_dice()

    def forward(self, logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """The mean over the batch, a scalar.

        Args:
            logits, target: (B, 1, m, m, m); the target is an occupancy of 0..1.
            weight: (B,), of each sample; 1 by default. The mean is over B, whatever the weights.
        """
        logits = logits.float()
        entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none").flatten(1)
        near = dilated(torch.maximum(target, (logits.detach() > 0).float()), 2)
        share = near.flatten(1) + 0.02
        costs = self.dice(logits, target).flatten() + (entropy * share).sum(1) / share.sum(1)
        return (costs if weight is None else costs * weight).mean()


def _soft_dice() -> DiceLoss:
    return DiceLoss(sigmoid=True, squared_pred=True, smooth_nr=1.0, smooth_dr=1.0, reduction="none")
