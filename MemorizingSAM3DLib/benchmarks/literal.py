"""The published arithmetic, step by step: what our networks are compared with. Written from the papers' descriptions.

- SAM-Med3D: every window is padded to its full size and all of its tokens attend to all (2744 x 2744 logits for a
  window of 14). Ours gives the same numbers from 513 keys (``windowed_published_bias``).
- FastSAM3D's sparse encoder: one attention after the other, segment by segment. Ours takes all in one call.
- Attention by its formula, its logits in memory; the decoder's positional grid anew at every click, and all four masks.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ..engine.networks.attention import attend, relative_table
from ..engine.networks.image_encoder import Attention, Block, ImageEncoder
from ..engine.networks.sam3d import PublishedSAM3D


def literal_encode(encoder: ImageEncoder, image: Tensor) -> Tensor:
    """The embedding of a crop, with the weights of one of our published encoders.

    Args:
        encoder: of a published family, with dense or column attention.
        image: (B, 1, S, S, S), normalised.

    Returns:
        (B, C, g, g, g).
    """
    assert encoder.config.published and encoder.config.attention in ("dense", "column")
    projection = encoder.patch_embed.proj
    tokens = functional.conv3d(image, projection.weight, projection.bias, stride=projection.stride)
    tokens = tokens.movedim(1, -1) + encoder.pos_embed
    for block in encoder.blocks:
        assert isinstance(block, Block)
        if block.has_attention:
            tokens = tokens + _attention(block.attn, block.norm1(tokens))
        if block.normed_stream:
            tokens = block.norm2(tokens)
            tokens = tokens + block.mlp(tokens)
        else:
            tokens = tokens + block.mlp(block.norm2(tokens))
    return encoder.neck(tokens.movedim(-1, 1))


def literal_decode(network: PublishedSAM3D, embedding: Tensor, coords: Tensor, labels: Tensor,
                   logits: Tensor | None) -> Tensor:  # fmt: skip
    """Logits (B, 1, m, m, m) after a click, as the published decoder comes to them: every mask and their quality.

    Args:
        embedding: (1, C, g, g, g). coords, labels, logits: as :meth:`.PublishedSAM3D.decode` takes them.
    """
    if logits is None:
        logits = embedding.new_zeros(coords.shape[0], 1, *[network.config.output_size] * 3)
    sparse, dense = network.prompt_encoder(points=(coords, labels), masks=logits)
    positions = network.prompt_encoder.dense_positional_encoding()
    decoder = network.mask_decoder
    own = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])[None].expand(len(sparse), -1, -1)
    tokens, image = decoder.transformer(
        embedding + dense, positions.expand(len(sparse), -1, -1, -1, -1), torch.cat([own, sparse], 1)
    )
    upscaled = decoder.output_upscaling(image)
    weights = torch.stack([mlp(tokens[:, 1 + i]) for i, mlp in enumerate(decoder.output_hypernetworks_mlps)], 1)
    masks = (weights @ upscaled.flatten(2)).unflatten(2, upscaled.shape[2:])
    decoder.iou_prediction_head(tokens[:, 0])
    return masks[:, :1]


def _attention(attention: Attention, x: Tensor) -> Tensor:
    if attention.config.attention == "column":
        return _by_segments(attention, x)
    return _windowed(attention, x)


def _by_segments(attention: Attention, x: Tensor) -> Tensor:
    """One segment after the other: every grid^2-th token, from each start; the outputs in the segments' order."""
    grid = x.shape[1]
    q, k, v = attention.qkv(x.flatten(1, 3)).unflatten(2, (3, attention.heads, -1)).permute(2, 0, 3, 1, 4)
    parts = [
        attend(q[:, :, start :: grid**2], k[:, :, start :: grid**2], v[:, :, start :: grid**2], backend="math")
        for start in range(grid**2)
    ]
    return attention.proj(torch.cat(parts, dim=2).transpose(1, 2).flatten(2)).view_as(x)


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
    rd, rh, rw = (relative_table(table, edge) for table in attention.tables)  # (edge, edge, head_dim) each
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
