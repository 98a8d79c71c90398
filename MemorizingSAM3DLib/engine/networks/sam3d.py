"""The promptable network as the session sees it: encode a crop once, decode it at every click."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .click_maps import ClickCanvas
from .config import NetworkConfig
from .full_grid import FullGridMaskDecoder, FullGridPromptEncoder
from .image_encoder import AttentionHook, ImageEncoder, ImageFeatures
from .mask_decoder import MaskDecoder, NativeMaskDecoder
from .prompt_encoder import NativePromptEncoder, PromptEncoder


class PublishedSAM3D(nn.Module):
    """SAM-Med3D or FastSAM3D, tensor for tensor: published checkpoints load strictly and give the published numbers."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.image_encoder = ImageEncoder(config)
        self.prompt_encoder = PromptEncoder(config)
        self.mask_decoder = MaskDecoder(config)

    @property
    def uses_click_history(self) -> bool:
        """Trained on the newest click and the previous logits only (SAM-Med3D issue 40)."""
        return False

    def encode(self, image: Tensor, attention_hook: AttentionHook | None = None) -> ImageFeatures:
        """(1, 1, S, S, S) normalised crop -> features. A hook takes part in the encoder's attention."""
        return self.image_encoder.encode(image, attention_hook)

    def decode(self, features: ImageFeatures, coords: Tensor, labels: Tensor, logits: Tensor | None = None) -> Tensor:
        """Logits (B, 1, 32, 32, 32) after the given clicks; zeros stand for the logits before the first click."""
        if logits is None:
            size = self.config.output_size
            logits = features.embedding.new_zeros(coords.shape[0], 1, size, size, size)
        sparse, dense = self.prompt_encoder(points=(coords, labels), masks=logits)
        positional_encoding = self.prompt_encoder.dense_positional_encoding()
        return self.mask_decoder(features.embedding, positional_encoding, sparse, dense)[0]


class NativeSAM3D(nn.Module):
    """The network that is trained and shipped here."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.image_encoder = ImageEncoder(config)
        self.prompt_encoder: NativePromptEncoder | FullGridPromptEncoder
        self.mask_decoder: NativeMaskDecoder | FullGridMaskDecoder
        if config.full_grid:
            self.prompt_encoder, self.mask_decoder = FullGridPromptEncoder(config), FullGridMaskDecoder(config)
        else:
            self.prompt_encoder, self.mask_decoder = NativePromptEncoder(config), NativeMaskDecoder(config)
        _initialise(self)

    @property
    def uses_click_history(self) -> bool:
        """Trained on all clicks so far, and the previous logits; on the newest click alone, where it was chosen so."""
        return self.config.click_history

    def encode(self, image: Tensor, attention_hook: AttentionHook | None = None) -> ImageFeatures:
        """(B, 1, S, S, S) normalised crops -> features. A hook takes part in the encoder's attention."""
        return self.image_encoder.encode(image, attention_hook)

    def decode(self, features: ImageFeatures, coords: Tensor, labels: Tensor, logits: Tensor | None = None,
               padding: bool | None = None, canvas: ClickCanvas | None = None,
               regions: Tensor | None = None) -> Tensor:  # fmt: skip
        """Logits (B, 1, m, m, m) after the given prompts.

        Args:
            features: of B crops; with logits on the full grid also of fewer, each for as many targets in a row.
            coords: (B, N, 3) voxel indices (r, a, s) of the crop. labels: (B, N), 1 positive, 0 negative, -1 padding;
                with logits on the full grid any kind of :mod:`.prompt_maps`.
            logits: the previous logits (B, 1, m, m, m), or None at the first click.
            padding: whether some labels are -1; None: see :meth:`NativePromptEncoder.forward`. canvas: see there.
            regions: boxes and lassos, see :meth:`.full_grid.FullGridPromptEncoder.forward`.
        """
        assert features.image is not None
        if isinstance(self.prompt_encoder, FullGridPromptEncoder):
            return self.decode_rated(features, coords, labels, logits, padding, regions)[0]
        prompts = self.prompt_encoder(coords, labels, features.image, logits, padding, canvas)
        return self.mask_decoder(features, self.prompt_encoder.dense_positional_encoding(), prompts)

    def decode_rated(self, features: ImageFeatures, coords: Tensor, kinds: Tensor, logits: Tensor | None = None,
                     padding: bool | None = None, regions: Tensor | None = None) -> tuple[Tensor, Tensor]:  # fmt: skip
        """As :meth:`decode`, of a network with logits on the full grid, and how good each mask is thought to be.

        Returns:
            logits (B, 1, m, m, m); quality (B,), whose sigmoid is the expected Dice.
        """
        assert isinstance(self.prompt_encoder, FullGridPromptEncoder) and features.image is not None
        prompts = self.prompt_encoder(
            coords, kinds, features.image, logits, padding, half_image=features.half_image, regions=regions
        )
        return self.mask_decoder(features, self.prompt_encoder.dense_positional_encoding(), prompts)


SAM3D = PublishedSAM3D | NativeSAM3D


def build_network(config: NetworkConfig) -> SAM3D:
    """The network of a configuration, with fresh weights, on the CPU, in training mode."""
    return PublishedSAM3D(config) if config.published else NativeSAM3D(config)


def upsample_logits(logits: Tensor, size: int) -> Tensor:
    """Trilinear (align_corners False) to size^3, as the published networks' own last step does."""
    return functional.interpolate(logits, size=(size, size, size), mode="trilinear", align_corners=False)


def _initialise(network: NativeSAM3D) -> None:
    for name, parameter in network.named_parameters():
        if name.endswith("pos_embed") or "rel_pos" in name:
            nn.init.trunc_normal_(parameter, std=0.02)
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)
    # Small hyper-weights start the logits near zero whatever the features, so the first steps are calm.
    last = network.mask_decoder.hyper.layers[-1]
    assert isinstance(last, nn.Linear)
    torch.nn.init.normal_(last.weight, std=0.02)
