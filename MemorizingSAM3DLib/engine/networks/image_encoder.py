"""The image encoder of both families: patch embedding, transformer blocks, neck, and the native skip stem."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from .attention import (
    attend,
    decomposed_bias,
    dense_decomposed_bias,
    dense_published_bias,
    rotary_tables,
    sparse_attend,
    turned,
    windowed_published_bias,
)
from .config import NetworkConfig
from .layers import MLP, ChannelNorm, ConvBlock, FastConv3d


class ImageFeatures(NamedTuple):
    """What a crop is encoded to, once: all that a click needs.

    Attributes:
        embedding: (B, C, g, g, g). skips: the native stem's features at 1/2, 1/4 and 1/8 of the crop's resolution,
            with the channels that the mask decoder has there.
        image: (B, 1, m, m, m), the crop itself on the logits' grid; native only.
        half_image: (B, 1, m/2, m/2, m/2), the same at half its resolution; of networks with logits on the full grid.
        detail: what the mask decoder sees of the crop's voxels, when that is not ``image`` (in training).
    """

    embedding: Tensor
    skips: tuple[Tensor, ...] = ()
    image: Tensor | None = None
    half_image: Tensor | None = None
    detail: Tensor | None = None


class AttentionHook(Protocol):
    """Takes part in the attention of encoder blocks: remembered cases that are used, or whoever notes keys and values.

    Called for each attention block with its number, the tokens that enter it (B, N, width), its queries, keys and
    values (B, heads, N, head_dim), its relative positions (made when asked for; None: there are none) and the output of
    its own attention (B, heads, N, head_dim); returns the output that counts.
    """

    def __call__(self, block: int, tokens: Tensor, query: Tensor, key: Tensor, value: Tensor,
                 bias: Callable[[], Tensor | None], local: Tensor) -> Tensor: ...  # fmt: skip


def voxels_to_channels(x: Tensor, edge: int) -> Tensor:
    """(B, 1, S, S, S) to (B, S/edge, S/edge, S/edge, edge^3): the voxels of every cube of that edge, in array order."""
    cubes = x[:, 0].unflatten(1, (-1, edge)).unflatten(3, (-1, edge)).unflatten(5, (-1, edge))
    return cubes.permute(0, 1, 3, 5, 2, 4, 6).flatten(4)


def channels_to_voxels(x: Tensor, edge: int) -> Tensor:
    """The inverse of :func:`voxels_to_channels`: (B, g, g, g, edge^3) to (B, 1, g edge, g edge, g edge)."""
    cubes = x.unflatten(4, (edge, edge, edge)).permute(0, 1, 4, 2, 5, 3, 6)
    return cubes.flatten(5, 6).flatten(3, 4).flatten(1, 2)[:, None]


class PatchEmbed(nn.Module):
    """(B, 1, S, S, S) to (B, g, g, g, width) by a convolution whose stride is its size.

    Computed as one matrix product: on a CPU the backward pass of such a convolution takes 50 times longer.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.proj = nn.Conv3d(1, config.width, config.patch_size, stride=config.patch_size)

    def forward(self, x: Tensor) -> Tensor:
        patches = voxels_to_channels(x, self.proj.kernel_size[0])
        return functional.linear(patches, self.proj.weight.flatten(1), self.proj.bias)


class Attention(nn.Module):
    """Multi-head self-attention over the token grid, with relative positions on the unscaled query."""

    def __init__(self, config: NetworkConfig, window: int) -> None:
        super().__init__()
        self.config = config
        self.heads = config.heads
        self.window = window
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.proj = nn.Linear(config.width, config.width)
        if config.relative_position == "rotary":
            return
        length, head_dim = 2 * (window or config.grid) - 1, config.width // config.heads
        self.rel_pos_d = nn.Parameter(torch.zeros(length, head_dim))
        self.rel_pos_h = nn.Parameter(torch.zeros(length, head_dim))
        self.rel_pos_w = nn.Parameter(torch.zeros(length, head_dim))

    @property
    def tables(self) -> tuple[Tensor, Tensor, Tensor]:
        """The relative-position tables of the three axes, each (2 L - 1, head_dim)."""
        return self.rel_pos_d, self.rel_pos_h, self.rel_pos_w

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of tokens (B, N, width), each (B, heads, N, head_dim)."""
        q, k, v = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        if self.config.relative_position == "rotary":
            tables = rotary_tables(self.config.grid, q.shape[-1], q.device)
            q, k = turned(q, tables), turned(k, tables)
        return q, k, v

    def forward(self, x: Tensor, attention_hook: AttentionHook | None = None, block: int = 0) -> Tensor:
        """(B, g, g, g, width) to the same shape; a hook is told the block's number."""
        grid = x.shape[1]
        q, k, v = self.project(x.flatten(1, 3))
        out = self._attend(q, k, v, grid)
        if attention_hook is not None:
            out = attention_hook(block, x.flatten(1, 3), q, k, v, lambda: self._bias(q, grid), out)
        return self.proj(out.transpose(1, 2).flatten(2)).view_as(x)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, grid: int) -> Tensor:
        if self.config.attention == "column":
            return self._attend_columns(q, k, v, grid)
        if self.config.attention == "sparse":
            rotary = self.config.relative_position == "rotary"
            relative = None if rotary else decomposed_bias(q, self.tables, grid)
            return sparse_attend(q, k, v, self.config.segments, relative)
        if self.config.relative_position == "rotary":
            return attend(q, k, v)
        if self.config.relative_position == "decomposed":
            return attend(q, k, v, dense_decomposed_bias(q, self.tables, grid))
        if self.window > grid:
            b_q, b_k, b_v = self.qkv.bias.unflatten(0, (3, self.heads, -1))
            sink_k, sink_v = (b[None, :, None].expand(q.shape[0], -1, 1, -1) for b in (b_k, b_v))
            bias = windowed_published_bias(q, b_q, self.tables, grid)
            return attend(q, torch.cat([k, sink_k], 2), torch.cat([v, sink_v], 2), bias)
        return attend(q, k, v, dense_published_bias(q, self.tables, grid))

    def _bias(self, q: Tensor, grid: int) -> Tensor | None:
        if self.config.attention == "column" or self.config.relative_position == "rotary":
            return None
        if self.config.relative_position == "decomposed":
            return dense_decomposed_bias(q, self.tables, grid)
        return dense_published_bias(q, self.tables, grid)

    @staticmethod
    def _attend_columns(q: Tensor, k: Tensor, v: Tensor, grid: int) -> Tensor:
        # One segment per (h, w) column along d; the outputs stay in the segments' order, as upstream leaves them.
        q, k, v = (part.unflatten(2, (grid, grid**2)).transpose(2, 3).flatten(1, 2) for part in (q, k, v))
        return attend(q, k, v).unflatten(1, (-1, grid**2)).flatten(2, 3)


class Block(nn.Module):
    """A transformer block; the residual form follows the family (see :class:`~.config.NetworkConfig`)."""

    def __init__(self, config: NetworkConfig, number: int) -> None:
        super().__init__()
        self.normed_stream = config.residual == "normed_stream"
        self.number = number
        self.has_attention = number >= config.attention_from
        if self.has_attention:
            self.norm1 = nn.LayerNorm(config.width, eps=1e-6)
            self.attn = Attention(config, config.window_of(number))
        self.norm2 = nn.LayerNorm(config.width, eps=1e-6)
        self.mlp = MLP(config.width, int(config.width * config.mlp_ratio))

    def forward(self, x: Tensor, attention_hook: AttentionHook | None = None) -> Tensor:
        if self.has_attention:
            x = x + self.attn(self.norm1(x), attention_hook, self.number)
        if self.normed_stream:
            x = self.norm2(x)
            return x + self.mlp(x)
        return x + self.mlp(self.norm2(x))


class SkipStem(nn.Module):
    """A shallow convolutional pyramid beside the transformer: it keeps the detail that patches lose.

    Its features at 1/2, 1/4 and 1/8 of the crop's resolution are joined while the mask is upscaled; a last
    convolution adds to the tokens, so that the transformer starts from convolutional features too.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        fine, middle, coarse = config.stem_channels
        self.at_half = ConvBlock(8, fine)
        self.at_quarter = nn.Sequential(ConvBlock(fine, middle, stride=2), ConvBlock(middle, middle))
        self.at_eighth = nn.Sequential(ConvBlock(middle, coarse, stride=2), ConvBlock(coarse, coarse))
        edge = config.patch_size // 8
        self.to_tokens = FastConv3d(coarse, config.width, edge, stride=edge)
        # Projected here, once a crop, and not in the decoder, once a click. With patches of 8 the coarsest level is the
        # tokens' own.
        self.project = nn.ModuleList(
            FastConv3d(a, b, 1) for a, b in zip(config.stem_channels, reversed(config.upscale_channels), strict=False)
        )

    def forward(self, x: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        half = self.at_half(voxels_to_channels(x, 2).movedim(-1, 1))
        quarter = self.at_quarter(half)
        eighth = self.at_eighth(quarter)
        levels = zip(self.project, (half, quarter, eighth), strict=False)
        return tuple(project(level) for project, level in levels), self.to_tokens(eighth).movedim(1, -1)


class ImageEncoder(nn.Module):
    """A crop to its embedding. Tensor names are those of the published checkpoints.

    Forward: (B, 1, S, S, S) float, normalised intensities, axes (R, A, S) -> (B, C, g, g, g).
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        grid, width, channels = config.grid, config.width, config.embedding_channels
        self.patch_embed = PatchEmbed(config)
        self.pos_embed = nn.Parameter(torch.zeros(1, grid, grid, grid, width))
        self.blocks = nn.ModuleList(Block(config, number) for number in range(config.depth))
        if config.published:
            self.neck = nn.Sequential(
                nn.Conv3d(width, channels, 1, bias=False),
                ChannelNorm(channels),
                nn.Conv3d(channels, channels, 3, padding=1, bias=False),
                ChannelNorm(channels),
            )
        else:
            self.neck = nn.Sequential(FastConv3d(width, channels, 1, bias=False), ChannelNorm(channels))
        self.stem = SkipStem(config) if config.stem_channels else None

    def forward(self, x: Tensor) -> Tensor:
        return self.encode(x).embedding

    def encode(self, x: Tensor, attention_hook: AttentionHook | None = None) -> ImageFeatures:
        """The embedding together with the skip stem's features (none in the published families).

        Args:
            attention_hook: takes part in the attention; None: the plain encoder.
        """
        tokens = self.patch_embed(x)
        skips: tuple[Tensor, ...] = ()
        if self.stem is not None:
            skips, extra = self.stem(x)
            tokens = tokens + extra
        tokens = tokens + self.pos_embed
        for block in self.blocks:
            tokens = block(tokens, attention_hook)
        image = half_image = None
        if self.config.full_grid:
            image, half_image = x, functional.avg_pool3d(x, 2)
        elif not self.config.published:
            image = functional.avg_pool3d(x, self.config.image_size // self.config.output_size)
        return ImageFeatures(self.neck(tokens.movedim(-1, 1)), skips, image, half_image)
