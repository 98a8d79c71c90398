"""The parts of a native network with 8^3 tokens and logits for every voxel of the crop: prompt encoder, mask decoder.

Nothing is convolved on the crop's own grid, where a CPU would spend its time. What is known there (the last mask, the
finest likeness) enters the half grid as eight channels a cell, and the logits leave it as eight numbers a cell.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .config import NetworkConfig
from .image_encoder import Block, ImageFeatures, channels_to_voxels, voxels_to_channels
from .layers import ConvBlock, FastConv3d, Perceptron
from .mask_decoder import TwoWayTransformer, UpscaleBlock, with_mask_token
from .prompt_encoder import PositionalEncoding, PromptFeatures
from .prompt_maps import (
    KINDS,
    LIKENESSES,
    connected,
    distance_maps,
    intensities_at,
    intensity_codes,
    likeness_maps,
    likeness_tables,
    seed_maps,
)

MOST_TOKENS = 32  # of the newest prompts; the maps show all of them
REGION_MAPS = 2  # boxes, lassos: 1 inside what is said to be inside, -1 inside what is said to be outside
_LOGIT_SCALE = 4.0  # of the last mask's logits: tanh(x / 4) tells 2 from 8, and nothing beyond
_VOXELS_A_CELL = 8
_FINE_MAPS = _VOXELS_A_CELL * 3  # the last mask, and the finest likeness of either sign
_MASK_FACTS = 3
_HALF_MAPS = 4 + 2 * (len(LIKENESSES) - 1) + 2 * len(LIKENESSES) + REGION_MAPS


class FullGridPromptEncoder(nn.Module):
    """Prompts as tokens AND as maps beside the last mask, so that no prompt is lost between tokens.

    The newest :data:`MOST_TOKENS` are tokens, which bounds a click's time; the maps show all of them.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        channels = config.embedding_channels
        self.pe_layer = PositionalEncoding(channels, repeat_sine=False)
        self.kind_embeddings = nn.Embedding(KINDS, channels)
        middle, fine = config.upscale_channels
        coarse = config.stem_channels[-1] if config.stem_channels else 2 * middle
        maps = _FINE_MAPS + _HALF_MAPS
        self.at_half = nn.Linear(maps, fine)
        self.at_quarter = ConvBlock(maps, middle, stride=2)
        self.at_eighth = ConvBlock(middle, coarse, stride=2)
        self.to_tokens = FastConv3d(coarse, channels, 1)

    def dense_positional_encoding(self) -> Tensor:
        """(1, C, g, g, g), aligned with the prompts' encoding."""
        return self.pe_layer.of_grid(self.config.grid)

    def forward(self, coords: Tensor, kinds: Tensor, image: Tensor, logits: Tensor | None = None,
                padding: bool | None = None, *, half_image: Tensor | None = None,
                regions: Tensor | None = None) -> PromptFeatures:  # fmt: skip
        """Embeddings of the prompts.

        Args:
            coords: (B, N, 3) voxel indices (r, a, s) of the crop. kinds: (B, N), see :mod:`.prompt_maps`; -1 padding.
            image: (B, 1, m, m, m), the crop. half_image: the same at half the resolution.
            logits: the last mask's (B, 1, m, m, m), or None at the first prompt.
            padding: whether some kinds are -1; None: a CPU looks, any other device is prepared for it, since looking
                there means waiting, and cannot be recorded.
            regions: (B, 2, m/2, m/2, m/2) in -1..1, see :data:`REGION_MAPS`; None: there are none.
        """
        if padding is None:
            padding = kinds.device.type != "cpu" or bool((kinds < 0).any())
        fine, half = self._maps(coords, kinds, image, half_image, logits, regions)
        inputs = torch.cat([fine, half.movedim(1, -1)], dim=-1).to(image.dtype)  # channels last, as cells are rows
        quarter = self.at_quarter(inputs.movedim(-1, 1))
        dense = self.to_tokens(self.at_eighth(quarter))
        coords, kinds = coords[:, -MOST_TOKENS:], kinds[:, -MOST_TOKENS:]
        valid = kinds >= 0 if padding else None
        at_half = self.at_half(inputs).movedim(-1, 1)
        return PromptFeatures(self._tokens(coords, kinds), valid, dense, (at_half, quarter, fine))

    def token_of(self, coords: Tensor, kinds: Tensor) -> Tensor:
        """One prompt's token: coords (B, 1, 3), kinds (B, 1) -> (B, C)."""
        return self._tokens(coords, kinds)[:, 0]

    def memory_of(self, coords: Tensor, kinds: Tensor, image: Tensor | None, logits: Tensor) -> tuple[Tensor, Tensor]:
        """What an interaction memory keeps of a prompt: its token (B, C) and the mask it led to (B, C, g, g, g).

        Args:
            coords: (B, 1, 3) voxel indices of the crop. kinds: (B, 1). image: (B, 1, m, m, m), the crop.
            logits: (B, 1, m, m, m) after the prompt.
        """
        assert image is not None
        half_image = nn.functional.avg_pool3d(image, 2)
        features = self(coords, kinds, image, logits, False, half_image=half_image)
        return features.sparse[:, 0], features.dense

    def _tokens(self, coords: Tensor, kinds: Tensor) -> Tensor:
        places = (coords.float() + 0.5) / self.config.image_size
        return self.pe_layer(places) + self.kind_embeddings(kinds.clamp(min=0))

    def _maps(self, coords: Tensor, kinds: Tensor, image: Tensor, half_image: Tensor | None, logits: Tensor | None,
              regions: Tensor | None) -> tuple[Tensor, Tensor]:  # fmt: skip
        """Fine maps of eight channels a cell, (B, n, n, n, 24), and the others, (B, 14, n, n, n); n = m/2."""
        with torch.no_grad():
            batch, size = len(coords), self.config.image_size // 2
            # Several targets of one crop share its image.
            shared = batch // len(image)
            half_image = nn.functional.avg_pool3d(image, 2) if half_image is None else half_image
            intensities = intensities_at(coords, image.repeat_interleave(shared, 0) if shared > 1 else image)
            tables = likeness_tables(intensities, kinds)  # (B, 2, scales, bins)
            codes, half_codes = (intensity_codes(x.float()) for x in (image, half_image))
            if shared > 1:
                codes, half_codes = (x.repeat_interleave(shared, 0) for x in (codes, half_codes))
            alike = likeness_maps(codes, tables[:, :, 0])  # the finest scale, (B, 2, m, m, m)
            alike_half = likeness_maps(half_codes, tables.flatten(1, 2))  # (B, 2 x scales, ...)
            seeds = seed_maps(coords, kinds, size).repeat_interleave(len(LIKENESSES), 1)
            hangs_together = connected(alike_half, seeds)
            wider = alike_half.unflatten(1, (2, -1))[:, :, 1:].flatten(1, 2)
            if regions is None:
                regions = alike_half.new_zeros(batch, REGION_MAPS, size, size, size)
            half = torch.cat([distance_maps(coords, kinds, size), wider, hangs_together, regions], dim=1)
            last = torch.zeros_like(alike[:, :1]) if logits is None else (logits.float() / _LOGIT_SCALE).tanh()
            fine = [voxels_to_channels(x[:, None], 2) for x in (last[:, 0], alike[:, 0], alike[:, 1])]
            return torch.cat(fine, dim=-1), half


class FullGridMaskDecoder(nn.Module):
    """The two-way transformer, with blocks over the image's tokens between; then two upscaling steps, then logits.

    The tokens reach the half grid through two steps that join the skip stem and the prompts; there the mask's token
    says how a cell's features become the logits of its eight voxels.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        channels, (middle, fine) = config.embedding_channels, config.upscale_channels
        self.transformer = PromptedTransformer(config)
        self.mask_token = nn.Embedding(1, channels)
        at_quarter, at_half = config.refine_blocks
        self.upscaling = nn.ModuleList(
            [UpscaleBlock(channels, middle, at_quarter), UpscaleBlock(middle, fine, at_half)]
        )
        # What is known of single voxels, beside what convolutions have spread.
        self.detail = nn.Linear(_FINE_MAPS + _VOXELS_A_CELL, fine)
        self.hyper = Perceptron(channels, channels, _VOXELS_A_CELL * (fine + 1))
        self.quality = Perceptron(channels + fine + _MASK_FACTS, channels // 2, 1)

    def forward(self, features: ImageFeatures, positional_encoding: Tensor,
                prompts: PromptFeatures) -> tuple[Tensor, Tensor]:  # fmt: skip
        """Logits and how good the mask is thought to be.

        Returns:
            logits (B, 1, m, m, m), m = ``config.output_size``; quality (B,), whose sigmoid is the expected Dice.
        """
        tokens, bias = with_mask_token(self.mask_token.weight, prompts)
        assert features.image is not None
        shared = len(tokens) // len(features.image)
        image = _repeated(features.embedding, shared) + prompts.dense
        tokens, x = self.transformer(image, positional_encoding.expand_as(image), tokens, bias)
        at_half, at_quarter, fine = prompts.maps
        skips = features.skips[1::-1] if features.skips else (None, None)  # a network may do without a stem
        for block, skip, prompt in zip(self.upscaling, skips, (at_quarter, at_half), strict=True):
            x = block(x, None if skip is None else _repeated(skip, shared), prompt)
        detail = features.image if features.detail is None else features.detail
        voxels = _repeated(voxels_to_channels(detail, 2), shared)
        cells = x.movedim(1, -1) + self.detail(torch.cat([fine.to(voxels.dtype), voxels], dim=-1))
        weights = self.hyper(tokens[:, 0]).unflatten(1, (cells.shape[-1] + 1, _VOXELS_A_CELL))
        rows = cells.flatten(1, 3)
        logits = torch.baddbmm(weights[:, -1:], rows, weights[:, :-1])
        quality = self._rated(tokens[:, 0].detach(), rows.detach(), logits.detach())
        return channels_to_voxels(logits.unflatten(1, cells.shape[1:4]), 2), quality

    def _rated(self, token: Tensor, rows: Tensor, logits: Tensor) -> Tensor:
        """From the mask's token, what its cells have in common, its size and how sure its voxels are."""
        likely = logits.sigmoid()
        total = likely.sum((1, 2))[:, None] + 1
        inside = (likely.mean(2)[:, None] @ rows)[:, 0] * (_VOXELS_A_CELL / total)
        sure = likely.square().sum((1, 2))[:, None] / total
        facts = [total.log() / 10, sure, (likely > 0.5).to(likely.dtype).sum((1, 2))[:, None] / total]
        return self.quality(torch.cat([token, inside, *facts], dim=1))[:, 0]


class PromptedTransformer(TwoWayTransformer):
    """SAM's two-way transformer; after each layer the image's tokens attend to one another.

    In SAM an image token uses of a prompt only from the prompt's own token: what one place learns, its neighbours
    do not.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__(config)
        own = config.with_(
            width=config.embedding_channels, heads=config.decoder_heads, mlp_ratio=config.token_mlp_ratio,
            attention="dense", attention_from=0,
        )  # fmt: skip
        self.token_blocks = nn.ModuleList(Block(own, number) for number in range(config.token_blocks))

    def forward(self, image: Tensor, image_pe: Tensor, tokens: Tensor,
                bias: Tensor | None = None) -> tuple[Tensor, Tensor]:  # fmt: skip
        shape = image.shape
        keys = image.flatten(2).transpose(1, 2)
        keys_pe = image_pe.flatten(2).transpose(1, 2)
        queries = tokens
        for number, layer in enumerate(self.layers):
            queries, keys = layer(queries, keys, tokens, keys_pe, bias)
            if number < len(self.token_blocks):
                keys = self.token_blocks[number](keys.unflatten(1, shape[2:])).flatten(1, 3)
        attended = self.final_attn_token_to_image(queries + tokens, keys + keys_pe, keys)
        return self.norm_final_attn(queries + attended), keys.transpose(1, 2).reshape(shape)


def _repeated(x: Tensor, times: int) -> Tensor:
    """A crop's features for each of its targets, which follow one another."""
    return x if times == 1 else x.repeat_interleave(times, 0)
