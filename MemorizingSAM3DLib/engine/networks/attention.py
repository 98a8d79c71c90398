"""Scaled dot-product attention with a choice of backends, and relative positions on a 3D token grid.

3D sparse flash attention (FastSAM3D, Shen 2024) in LongNet's form (Ding 2023, arXiv 2307.02486).

The token sequence is split into segments of w tokens; inside a segment every r-th token attends to the others taken.
Head j starts at offset j mod r, so that together the heads cover every token. Several (w, r) pairs are mixed by their
softmax denominators (LongNet, eq. 10), and every output is put back in its own place, which the published code omits.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Backend = Literal["sdpa", "flash_attn", "math"]


@lru_cache(maxsize=1)
def flash_attn_function() -> Callable[..., Tensor] | None:
    """``flash_attn.flash_attn_func`` when the optional package is installed, else None."""
    try:
        from flash_attn import flash_attn_func
    except ImportError:
        return None
    return flash_attn_func


def backend_for(query: Tensor, bias: Tensor | None) -> Backend:
    """The backend that :func:`attend` takes by itself: flash-attn where it fits, PyTorch's SDPA everywhere else.

    flash-attn takes half precision on CUDA, head dimensions up to 256 and no additive bias.
    """
    fits = bias is None and query.is_cuda and query.dtype in (torch.float16, torch.bfloat16) and query.shape[-1] <= 256
    return "flash_attn" if fits and flash_attn_function() is not None else "sdpa"


def attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None,
           backend: Backend | None = None) -> Tensor:  # fmt: skip
    """softmax(q k^T / sqrt(head_dim) + bias) v.

    Args:
        query: (B, heads, N, head_dim). key, value: (B, heads, M, head_dim).
        bias: additive logits, broadcastable to (B, heads, N, M), or None.
        backend: None takes :func:`backend_for`'s choice; ``math`` is the literal formula, the reference of the tests.

    Returns:
        (B, heads, N, head_dim).

    Raises:
        RuntimeError: ``flash_attn`` was asked for by name but is not installed.
    """
    backend = backend or backend_for(query, bias)
    if backend == "flash_attn":
        flash = flash_attn_function()
        if flash is None or bias is not None:
            raise RuntimeError("flash-attn is not installed, or was asked to add a bias, which it cannot.")
        return flash(query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)).transpose(1, 2)
    if backend == "math":
        logits = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
        return (logits if bias is None else logits + bias).softmax(-1) @ value
    return functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)


@lru_cache(maxsize=16)
def rotary_tables(grid: int, channels: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosines and sines by which a token grid's queries and keys are turned (Su 2021, arXiv 2104.09864, in 3D).

    Each axis has a third of the pairs of channels; the shortest wave is 4 tokens long, the longest four times the grid.
    What is left over is not turned.

    Returns:
        Two tensors (grid^3, channels // 2).
    """
    pairs = channels // 6
    with torch.inference_mode(False):  # what is made here serves trainings in this process, too
        steps = torch.arange(grid, dtype=torch.float32, device=device)
        waves = torch.logspace(2.0, float(torch.tensor(4.0 * grid).log2()), pairs, base=2.0, device=device)
        turns = steps[:, None] * (2 * torch.pi / waves)  # (grid, pairs)
        d, h, w = (turns.view(*shape, pairs).expand(grid, grid, grid, pairs)
                   for shape in ((grid, 1, 1), (1, grid, 1), (1, 1, grid)))  # fmt: skip
        still = turns.new_zeros(grid, grid, grid, channels // 2 - 3 * pairs)
        angles = torch.cat([d, h, w, still], dim=-1).flatten(0, 2)
        return angles.cos(), angles.sin()


def turned(x: Tensor, tables: tuple[Tensor, Tensor]) -> Tensor:
    """Queries or keys (B, heads, N, head_dim), their pairs of channels (c, c + head_dim / 2) turned by the tables."""
    cosine, sine = tables
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=-1).to(x.dtype)


def relative_table(table: Tensor, size: int) -> Tensor:
    """R[i, j] = table[i - j + L - 1] for i, j < size: (2 L - 1, head_dim) to (size, size, head_dim)."""
    length = (table.shape[0] + 1) // 2
    steps = torch.arange(size, device=table.device)
    return table[steps[:, None] - steps[None, :] + length - 1]


def decomposed_bias(query: Tensor, tables: tuple[Tensor, Tensor, Tensor], grid: int) -> tuple[Tensor, Tensor, Tensor]:
    """The three terms q.Rd[d, kd], q.Rh[h, kh], q.Rw[w, kw] of decomposed relative positions (MViTv2, eq. 4, in 3D).

    Args:
        query: (B, heads, grid^3, head_dim), unscaled.

    Returns:
        Three tensors (B, heads, grid, grid, grid, grid): the query's (d, h, w), then the key's coordinate on one axis.
    """
    q = query.unflatten(2, (grid, grid, grid))
    along_d = torch.einsum("bndhwc,dkc->bndhwk", q, relative_table(tables[0], grid))
    along_h = torch.einsum("bndhwc,hkc->bndhwk", q, relative_table(tables[1], grid))
    along_w = torch.einsum("bndhwc,wkc->bndhwk", q, relative_table(tables[2], grid))
    return along_d, along_h, along_w


def dense_decomposed_bias(query: Tensor, tables: tuple[Tensor, Tensor, Tensor], grid: int) -> Tensor:
    """:func:`decomposed_bias` summed to (B, heads, grid^3, grid^3)."""
    d, h, w = decomposed_bias(query, tables, grid)
    bias = d[..., :, None, None] + h[..., None, :, None] + w[..., None, None, :]
    return bias.flatten(5).flatten(2, 4)


def dense_published_bias(query: Tensor, tables: tuple[Tensor, Tensor, Tensor], grid: int) -> Tensor:
    """The relative positions that every published checkpoint was trained with (upstream's broadcasting quirk).

    bias[(d,h,w), (kd,kh,kw)] = q(d,h,w).Rd[d,kw] + q(d,h,w'=kd).Rh[h,kw] + q(d,h,w'=kh).Rw[kh,kw]

    Returns:
        (B, heads, grid^3, grid^3).
    """
    d, h, w = decomposed_bias(query, tables, grid)
    bias = d[..., None, None, :] + h[:, :, :, :, None, :, None, :] + w[:, :, :, :, None, None, :, :]
    return bias.flatten(5).flatten(2, 4)


def windowed_published_bias(query: Tensor, padding_query: Tensor, tables: tuple[Tensor, Tensor, Tensor],
                            grid: int) -> Tensor:  # fmt: skip
    """:func:`dense_published_bias` in a window padded beyond the grid, with all padded keys folded into one sink key.

    The published teacher pads its 8^3 grid to one 14^3 window after norm1, so every padded token has the key b_k and
    the value b_v and differs from the others by its relative position only. Their joint mass is
    sum exp(A[kw] + B[kd,kw] + C[kh,kw]) over the padded positions, separable over the axes; it becomes the bias of ONE
    extra key b_k with the value b_v. Exact, and without the (2744 x 2744) attention matrix.

    Args:
        query: (B, heads, grid^3, head_dim), unscaled. padding_query: (heads, head_dim), the query b_q of padded tokens.
        tables: relative-position tables of length 2 window - 1.

    Returns:
        (B, heads, grid^3, grid^3 + 1); the last column is the sink's log-mass.
    """
    window = (tables[0].shape[0] + 1) // 2
    q = query.unflatten(2, (grid, grid, grid))
    padded = padding_query[None, :, None, None, None, :].expand(q.shape[0], -1, grid, grid, window - grid, -1)
    q_row = torch.cat([q, padded], dim=4)  # the whole row of the window along w: (B, heads, grid, grid, window, c)
    a = torch.einsum("bndhwc,dkc->bndhwk", q, relative_table(tables[0], window)[:grid])
    b = torch.einsum("bndhwc,hkc->bndhwk", q_row, relative_table(tables[1], window)[:grid])  # [d, h, kd, kw]
    c = torch.einsum("bndhwc,wkc->bndhwk", q_row, relative_table(tables[2], window))  # [d, h, kh, kw]

    b_in, b_out = b[..., :grid, :].logsumexp(-2), b[..., grid:, :].logsumexp(-2)
    c_in, c_out = c[..., :grid, :].logsumexp(-2), c[..., grid:, :].logsumexp(-2)
    b_all, c_all = torch.logaddexp(b_in, b_out), torch.logaddexp(c_in, c_out)
    outside = torch.logaddexp(b_out + c_all, b_in + c_out)  # kw inside the grid: kd or kh must be outside
    mass = torch.cat([outside[..., :grid], (b_all + c_all)[..., grid:]], dim=-1)
    sink = (a + mass[..., None, :]).logsumexp(-1).flatten(2)[..., None]

    inner = (
        a[..., None, None, :grid]
        + b[..., None, :grid, None, :grid]
        + c[..., None, None, :grid, :grid]
    )  # fmt: skip
    return torch.cat([inner.flatten(5).flatten(2, 4), sink], dim=-1)


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
        relative: the three terms of :func:`~decomposed_bias`, each (B, heads, g, g, g, g), or None.

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
