"""The published arithmetic of SAM-Med3D's encoder, step by step: what our encoder is compared with.

Every window is padded to its full size and all of its tokens attend to all (2744 x 2744 logits for a window of 14),
as the published code computes it. Ours gives the same numbers from 513 keys (``windowed_published_bias``).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ..engine.networks.image_encoder import Attention, Block, ImageEncoder


def literal_encode(encoder: ImageEncoder, image: Tensor) -> Tensor:
    """The embedding of a crop, with the weights of one of our published encoders.

    Args:
        encoder: of the family ``sam_med3d``: pre-norm blocks, published relative positions.
        image: (B, 1, S, S, S), normalised.

    Returns:
        (B, C, g, g, g).
    """
    projection = encoder.patch_embed.proj
    tokens = functional.conv3d(image, projection.weight, projection.bias, stride=projection.stride)
    tokens = tokens.movedim(1, -1) + encoder.pos_embed
    for block in encoder.blocks:
        assert isinstance(block, Block) and block.has_attention and not block.normed_stream
        tokens = tokens + _windowed(block.attn, block.norm1(tokens))
        tokens = tokens + block.mlp(block.norm2(tokens))
    return encoder.neck(tokens.movedim(-1, 1))


def _windowed(attention: Attention, x: Tensor) -> Tensor:
    """Pads (B, g, g, g, width) with zeros to one window, attends, and takes the padding off again."""
    grid = x.shape[1]
    edge = attention.window or grid
    assert edge >= grid, "the grid has to fit into one window"
    beyond = edge - grid
    padded = functional.pad(x, (0, 0, 0, beyond, 0, beyond, 0, beyond))
    return _attend(attention, padded)[:, :grid, :grid, :grid]


def _attend(attention: Attention, x: Tensor) -> Tensor:
    batch, edge, *_ = x.shape
    q, k, v = attention.qkv(x.flatten(1, 3)).unflatten(2, (3, attention.heads, -1)).permute(2, 0, 3, 1, 4)
    q, k, v = (part.flatten(0, 1) for part in (q, k, v))  # (B heads, edge^3, head_dim)
    steps = torch.arange(edge, device=x.device)
    distance = steps[:, None] - steps[None, :] + edge - 1
    rd, rh, rw = (table[distance] for table in attention.tables)  # (edge, edge, head_dim) each
    places = q.unflatten(1, (edge, edge, edge))
    along_d = torch.einsum("bdhwc,dkc->bdhwk", places, rd)
    along_h = torch.einsum("bdhwc,hkc->bdhwk", places, rh)
    along_w = torch.einsum("bdhwc,wkc->bdhwk", places, rw)
    logits = (q * q.shape[-1] ** -0.5) @ k.transpose(1, 2)
    # The broadcasting quirk of the published code: [b, d, h, w, kd, kh, kw].
    logits = (
        logits.unflatten(2, (edge, edge, edge)).unflatten(1, (edge, edge, edge))
        + along_d[:, :, :, :, None, None, :]
        + along_h[:, :, :, None, :, None, :]
        + along_w[:, :, :, None, None, :, :]
    )
    weights = logits.flatten(4).flatten(1, 3).softmax(-1)
    out = (weights @ v).unflatten(0, (batch, attention.heads)).transpose(1, 2).flatten(2)
    return attention.proj(out).unflatten(1, (edge, edge, edge))
