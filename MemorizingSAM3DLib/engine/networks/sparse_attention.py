"""3D sparse flash attention (FastSAM3D, Shen 2024) in LongNet's form (Ding 2023, arXiv 2307.02486).

The token sequence is split into segments of w tokens; inside a segment every r-th token attends to the others taken.
Head j starts at offset j mod r, so that together the heads cover every token. Several (w, r) pairs are mixed by their
softmax denominators (LongNet, eq. 10), and every output is put back in its own place, which the published code omits.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor


@lru_cache(maxsize=32)
def segment_index(tokens: int, heads: int, segments: tuple[tuple[int, int], ...]) -> tuple[Tensor, Tensor]:
    """Which tokens each head gathers into which row.

    Args:
        tokens: length N of the sequence. segments: pairs (w, r) of segment length and stride, tokens.

    Returns:
        index (heads, rows, L), token numbers, and valid (heads, rows, L), False where a short row was padded.

    Raises:
        ValueError: a pair is not positive, or a token is in no row of any head. (A token that is in no row of ONE head
            gets zeros from that head, as in LongNet.)
    """
    if any(w < 1 or r < 1 for w, r in segments) or not segments:
        raise ValueError(f"Segments must be pairs (w, r) of positive numbers of tokens, not {segments}.")
    rows: list[list[list[int]]] = []
    for head in range(heads):
        rows.append(
            [
                list(range(start + head % r, min(start + w, tokens), r))
                for w, r in segments
                for start in range(0, tokens, w)
            ]
        )
    longest = max(len(row) for head_rows in rows for row in head_rows)
    with torch.inference_mode(False):  # what is made here serves trainings in this process, too
        index, valid = _padded(rows, longest)
    if index[valid].unique().numel() < tokens:
        raise ValueError(f"The segments {segments} leave tokens out in all of {heads} heads: add a pair with stride 1.")
    return index, valid


def _padded(rows: list[list[list[int]]], longest: int) -> tuple[Tensor, Tensor]:
    heads = len(rows)
    index = torch.zeros(heads, len(rows[0]), longest, dtype=torch.long)
    valid = torch.zeros(heads, len(rows[0]), longest, dtype=torch.bool)
    for head, head_rows in enumerate(rows):
        for number, row in enumerate(head_rows):
            index[head, number, : len(row)] = torch.tensor(row)
            valid[head, number, : len(row)] = True
    return index, valid


def sparse_attend(query: Tensor, key: Tensor, value: Tensor, segments: tuple[tuple[int, int], ...],
                  relative: tuple[Tensor, Tensor, Tensor] | None = None) -> Tensor:  # fmt: skip
    """Sparse attention over all segments of all (w, r) pairs in one batched call.

    Args:
        query, key, value: (B, heads, N, head_dim), N = grid^3 tokens in (d, h, w) order.
        segments: pairs (w, r), tokens.
        relative: the three terms of :func:`~.attention.decomposed_bias`, each (B, heads, g, g, g, g), or None.

    Returns:
        (B, heads, N, head_dim); equal to one softmax over the union of the keys that a token meets in its rows.
    """
    batch, heads, tokens, channels = query.shape
    index, valid = (part.to(query.device) for part in segment_index(tokens, heads, segments))
    rows, length = index.shape[1:]
    head = torch.arange(heads, device=query.device)[:, None, None]
    q, k, v = (part[:, head, index] for part in (query, key, value))  # (B, heads, rows, L, c)

    logits = (q * channels**-0.5) @ k.transpose(-1, -2)
    if relative is not None:
        logits = logits + _segment_bias(relative, index, head)
    logits = logits.float().masked_fill(~valid[None, :, :, None, :], float("-inf"))
    denominator = logits.logsumexp(-1)  # (B, heads, rows, L)
    denominator = denominator.masked_fill(denominator.isinf(), 0.0)  # a row without tokens

    flat = index.flatten(1)[None].expand(batch, -1, -1)
    mass = torch.where(valid[None], denominator, float("-inf")).flatten(2)
    highest = torch.full((batch, heads, tokens), float("-inf"), device=query.device)
    highest = highest.scatter_reduce(2, flat, mass.detach(), "amax")
    highest = highest.masked_fill(highest.isinf(), 0.0)  # a token in no row of this head
    share = (mass - highest.gather(2, flat)).exp()  # LongNet's alpha before normalisation
    total = torch.zeros_like(highest).scatter_add(2, flat, share)
    total = total.masked_fill(total == 0, 1.0)
    share = (share / total.gather(2, flat)).unflatten(2, (rows, length))

    attention = (logits - denominator[..., None]).exp() * share[..., None]
    output = (attention.to(v.dtype) @ v).flatten(2, 3)
    places = flat[..., None].expand(-1, -1, -1, channels)
    return torch.zeros_like(query).scatter_add(2, places, output)


def _segment_bias(relative: tuple[Tensor, Tensor, Tensor], index: Tensor, head: Tensor) -> Tensor:
    grid = relative[0].shape[-1]
    coordinates = (index // grid**2, index // grid % grid, index % grid)
    bias: Tensor | float = 0.0
    for term, coordinate in zip(relative, coordinates, strict=True):
        rows = term.flatten(2, 4)[:, head, index]  # (B, heads, rows, L, grid): every query of the row
        keys = coordinate[None, :, :, None, :].expand(rows.shape[0], -1, -1, rows.shape[3], -1)
        bias = bias + rows.gather(-1, keys)
    assert isinstance(bias, Tensor)
    return bias
