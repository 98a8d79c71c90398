"""The training loss: MONAI's Dice plus cross-entropy on the logits."""

from __future__ import annotations

import torch
from monai.losses import DiceLoss
from torch import Tensor, nn
from torch.nn import functional


class DiceCrossEntropy(nn.Module):
    """Soft Dice (sigmoid, squared, per sample) plus binary cross-entropy, as SAM-Med3D trains with.

    The cross-entropy is averaged with weights that give the target and its surroundings the same share at least
    partly: a structure of 0.1 % of the crop would vanish in a plain mean.
    """

    def __init__(self) -> None:
        super().__init__()
        self.dice = DiceLoss(sigmoid=True, squared_pred=True, smooth_nr=1.0, smooth_dr=1.0)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """logits, target (occupancy 0..1): (B, 1, m, m, m) -> scalar."""
        logits = logits.float()
        entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none").flatten(1)
        near = functional.max_pool3d(torch.maximum(target, (logits.detach() > 0).float()), 5, stride=1, padding=2)
        weight = near.flatten(1) + 0.02
        balanced = (entropy * weight).sum(1) / weight.sum(1)
        return self.dice(logits, target) + balanced.mean()
