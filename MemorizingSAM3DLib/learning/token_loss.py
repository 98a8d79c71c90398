"""A loss on the decoder's image tokens, so that a network with a skip stem learns to use its transformer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor
from torch.nn import functional

from ..engine.networks.sam3d import NativeSAM3D


class TokenView:
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
