"""From embeddings to logits: SAM's two-way transformer in 3D, the published mask decoder and the native one."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .attention import attend
from .config import NetworkConfig
from .image_encoder import ImageFeatures
from .layers import MLP, ChannelNorm, ConvBlock, Perceptron
from .prompt_encoder import PromptFeatures


class ProjectedAttention(nn.Module):
    """Attention with separate projections, at a width that may be smaller than the tokens'."""

    def __init__(self, channels: int, heads: int, downsample: int = 1) -> None:
        super().__init__()
        inner = channels // downsample
        self.heads = heads
        self.q_proj = nn.Linear(channels, inner)
        self.k_proj = nn.Linear(channels, inner)
        self.v_proj = nn.Linear(channels, inner)
        self.out_proj = nn.Linear(inner, channels)

    def forward(self, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
        """q (B, N, C), k and v (B, M, C), bias broadcastable to (B, heads, N, M) -> (B, N, C)."""
        q, k, v = (
            projection(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for projection, x in ((self.q_proj, q), (self.k_proj, k), (self.v_proj, v))
        )
        return self.out_proj(attend(q, k, v, bias).transpose(1, 2).flatten(2))


class TwoWayBlock(nn.Module):
    """Tokens attend to themselves, then to the image; after an MLP the image attends to the tokens."""

    def __init__(self, config: NetworkConfig, first: bool) -> None:
        super().__init__()
        channels, heads = config.embedding_channels, config.decoder_heads
        self.first = first
        self.self_attn = ProjectedAttention(channels, heads)
        self.norm1 = nn.LayerNorm(channels)
        self.cross_attn_token_to_image = ProjectedAttention(channels, heads, downsample=2)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = MLP(channels, config.decoder_mlp, nn.ReLU)
        self.norm3 = nn.LayerNorm(channels)
        self.norm4 = nn.LayerNorm(channels)
        self.cross_attn_image_to_token = ProjectedAttention(channels, heads, downsample=2)

    def forward(self, tokens: Tensor, image: Tensor, tokens_pe: Tensor, image_pe: Tensor,
                bias: Tensor | None = None) -> tuple[Tensor, Tensor]:  # fmt: skip
        if self.first:
            tokens = self.self_attn(tokens, tokens, tokens, bias)
        else:
            q = tokens + tokens_pe
            tokens = tokens + self.self_attn(q, q, tokens, bias)
        tokens = self.norm1(tokens)
        tokens = self.norm2(tokens + self.cross_attn_token_to_image(tokens + tokens_pe, image + image_pe, image))
        tokens = self.norm3(tokens + self.mlp(tokens))
        image = image + self.cross_attn_image_to_token(image + image_pe, tokens + tokens_pe, tokens, bias)
        return tokens, self.norm4(image)


class TwoWayTransformer(nn.Module):
    """SAM's mask-decoder transformer. ``bias`` masks padded tokens: 0 for real ones, -inf for padding."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        channels = config.embedding_channels
        self.layers = nn.ModuleList(TwoWayBlock(config, first=number == 0) for number in range(config.decoder_depth))
        self.final_attn_token_to_image = ProjectedAttention(channels, config.decoder_heads, downsample=2)
        self.norm_final_attn = nn.LayerNorm(channels)

    def forward(self, image: Tensor, image_pe: Tensor, tokens: Tensor,
                bias: Tensor | None = None) -> tuple[Tensor, Tensor]:  # fmt: skip
        """image, image_pe (B, C, g, g, g), tokens (B, N, C) -> tokens (B, N, C), image (B, C, g, g, g)."""
        shape = image.shape
        keys = image.flatten(2).transpose(1, 2)
        keys_pe = image_pe.flatten(2).transpose(1, 2)
        queries = tokens
        for layer in self.layers:
            queries, keys = layer(queries, keys, tokens, keys_pe, bias)
        attended = self.final_attn_token_to_image(queries + tokens, keys + keys_pe, keys)
        return self.norm_final_attn(queries + attended), keys.transpose(1, 2).reshape(shape)


class MaskDecoder(nn.Module):
    """SAM-Med3D's mask decoder: four hyper-networks (only mask 0's was ever trained), an untrained quality head."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        channels = config.embedding_channels
        middle, fine = config.upscale_channels
        self.transformer = TwoWayTransformer(config)
        self.iou_token = nn.Embedding(1, channels)
        self.mask_tokens = nn.Embedding(4, channels)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose3d(channels, middle, 2, stride=2),
            ChannelNorm(middle),
            nn.GELU(),
            nn.ConvTranspose3d(middle, fine, 2, stride=2),
            nn.GELU(),
        )
        self.output_hypernetworks_mlps = nn.ModuleList(Perceptron(channels, channels, channels, fine) for _ in range(4))
        self.iou_prediction_head = Perceptron(channels, 256, 256, 4)

    def forward(self, embedding: Tensor, positional_encoding: Tensor, sparse: Tensor, dense: Tensor,
                multimask_output: bool = False) -> tuple[Tensor, Tensor]:  # fmt: skip
        """Logits and predicted qualities.

        Args:
            embedding: (1, C, g, g, g) of one crop. positional_encoding: (1, C, g, g, g).
            sparse: (B, N, C). dense: (B, C, g, g, g).
            multimask_output: masks 1 to 3 instead of mask 0.

        Returns:
            masks (B, 1 or 3, 32, 32, 32) logits, iou (B, 1 or 3).
        """
        batch = sparse.shape[0]
        own = torch.cat([self.iou_token.weight, self.mask_tokens.weight])[None].expand(batch, -1, -1)
        image = embedding + dense
        tokens, image = self.transformer(image, positional_encoding.expand_as(image), torch.cat([own, sparse], 1))
        upscaled = self.output_upscaling(image)
        wanted = (1, 2, 3) if multimask_output else (0,)
        weights = torch.stack([self.output_hypernetworks_mlps[i](tokens[:, 1 + i]) for i in wanted], 1)
        masks = (weights @ upscaled.flatten(2)).unflatten(2, upscaled.shape[2:])
        iou = self.iou_prediction_head(tokens[:, 0])
        return masks, iou[:, list(wanted)]


class UpscaleBlock(nn.Module):
    """Doubles the resolution and joins the features of the image and of the prompts at that resolution."""

    def __init__(self, inside: int, outside: int, blocks: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose3d(inside, outside, 2, stride=2)
        self.refine = nn.Sequential(*(ConvBlock(outside, outside) for _ in range(blocks)))

    def forward(self, x: Tensor, skip: Tensor | None, prompt: Tensor) -> Tensor:
        if torch.is_grad_enabled() or x.device.type != "cpu":
            return self.refine(self.up(x) + prompt if skip is None else self.up(x) + skip + prompt)
        return self.refine(self._joined(x, prompt.clone() if skip is None else skip + prompt))

    def _joined(self, x: Tensor, beside: Tensor) -> Tensor:
        """``up(x) + beside``, added in place: as the stride is the kernel's size, a matrix product gives all of it."""
        edge, channels = self.up.kernel_size[0], beside.shape[1]
        weight = self.up.weight.permute(2, 3, 4, 1, 0).flatten(0, 3)
        bias = None if self.up.bias is None else self.up.bias.repeat(edge**3)
        cubes = functional.linear(x.movedim(1, -1), weight, bias).unflatten(4, (edge, edge, edge, channels))
        places = beside.movedim(1, -1).unflatten(3, (-1, edge)).unflatten(2, (-1, edge)).unflatten(1, (-1, edge))
        places.permute(0, 1, 3, 5, 2, 4, 6, 7).add_(cubes)
        return beside


def with_mask_token(own: Tensor, prompts: PromptFeatures) -> tuple[Tensor, Tensor | None]:
    """The mask's own token (1, C) before those of the prompts, (B, 1 + N, C), and the bias that hides padding."""
    batch = prompts.sparse.shape[0]
    tokens = torch.cat([own[None].expand(batch, -1, -1).to(prompts.sparse.dtype), prompts.sparse], 1)
    if prompts.valid is None:
        return tokens, None
    real = torch.cat([prompts.valid.new_ones(batch, 1), prompts.valid], 1)
    return tokens, torch.zeros_like(real, dtype=tokens.dtype).masked_fill(~real, float("-inf"))[:, None, None]


class NativeMaskDecoder(nn.Module):
    """The two-way transformer on the token grid, then three upscaling steps that join the skip stem and the prompts."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        channels = config.embedding_channels
        self.transformer = TwoWayTransformer(config)
        self.mask_token = nn.Embedding(1, channels)
        widths = (channels, *config.upscale_channels)
        self.upscaling = nn.ModuleList(
            UpscaleBlock(a, b, blocks)
            for a, b, blocks in zip(widths[:-1], widths[1:], config.refine_blocks, strict=True)
        )
        self.hyper = Perceptron(channels, channels, widths[-1] + 1)

    def forward(self, features: ImageFeatures, positional_encoding: Tensor, prompts: PromptFeatures) -> Tensor:
        """Logits (B, 1, m, m, m), m = ``config.output_size``."""
        tokens, bias = with_mask_token(self.mask_token.weight, prompts)
        image = features.embedding + prompts.dense
        tokens, x = self.transformer(image, positional_encoding.expand_as(image), tokens, bias)
        skips = features.skips or (None,) * len(self.upscaling)  # a network may do without a stem
        for block, skip, prompt in zip(self.upscaling, reversed(skips), reversed(prompts.maps), strict=True):
            x = block(x, skip, prompt)
        weights, offset = self.hyper(tokens[:, 0]).split([x.shape[1], 1], dim=1)
        # Where channels lie last in memory, cells are the rows of a matrix as they are.
        logits = (x.movedim(1, -1).flatten(1, 3) @ weights[:, :, None]).unflatten(1, x.shape[2:]).movedim(-1, 1)
        return logits + offset[:, :, None, None, None]
