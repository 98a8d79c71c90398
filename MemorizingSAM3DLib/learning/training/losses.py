"""The training losses on logits: MONAI's Dice, alone and with cross-entropy.

A loss on the decoder's image tokens, so that a network with a skip stem learns to use its transformer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from monai.losses import DiceLoss
from torch import Tensor, nn
from torch.nn import functional

from MemorizingSAM3DLib.engine.networks.sam3d import NativeSAM3D

from ..masks import dilated


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


class AuxiliaryTokenLoss:
    """What the two-way transformer said of the mask in the last decoding, before any skip stem had its say.

    The convolutional path alone lowers the loss of a short training quickly, and the transformer is then never learned.
    The likeness of the mask's token to each image token is a mask of its own, at token resolution, without a parameter.

    Attributes:
        logits: (B, 1, g, g, g).
    """

    logits: Tensor

    def __init__(self, network: NativeSAM3D) -> None:
        self.transformer = network.mask_decoder.transformer

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Decodings in it are seen."""
        handle = self.transformer.register_forward_hook(self._see)
        try:
            yield
        finally:
            handle.remove()

    def target(self, targets: Tensor) -> Tensor:
        """Occupancies (B, 1, m, m, m) at token resolution, (B, 1, g, g, g)."""
        return functional.adaptive_avg_pool3d(targets, self.logits.shape[-1])

    def _see(self, _: object, __: object, output: tuple[Tensor, Tensor]) -> None:
        tokens, image = output
        likeness = tokens[:, :1].float() @ image.flatten(2).float()
        self.logits = (likeness * image.shape[1] ** -0.5).unflatten(2, image.shape[2:])
