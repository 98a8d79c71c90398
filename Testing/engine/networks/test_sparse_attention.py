from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from MemorizingSAM3DLib.engine.networks.attention import attend, decomposed_bias, dense_decomposed_bias
from MemorizingSAM3DLib.engine.networks.config import native_config
from MemorizingSAM3DLib.engine.networks.sparse_attention import segment_index, sparse_attend

GRID, HEADS, CHANNELS = 3, 3, 4
TOKENS = GRID**3
Segments = tuple[tuple[int, int], ...]

PAIRS: list[Segments] = [
    ((27, 1),),
    ((9, 1), (27, 3)),
    ((9, 1), (18, 2), (27, 3)),
    ((7, 1),),  # w does not divide the number of tokens: the last segment is short
    ((5, 2), (11, 3)),
    ((4, 1), (27, 2)),
    ((8, 2), (4, 2)),  # heads 0 and 2 never see the odd tokens, head 1 never the even ones
    ((100, 2), (1, 1)),
    ((9, 1), (10, 3)),  # the last segment of (10, 3) is shorter than the stride
    ((13, 1), (14, 6)),  # heads 1 and 2 start a row beyond what a short segment has
]


def inputs(batch: int = 2, tokens: int = TOKENS) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    q, k, v = torch.randn(3, batch, HEADS, tokens, CHANNELS, generator=generator)
    return 2 * q, k, v


def tables() -> tuple[Tensor, Tensor, Tensor]:
    d, h, w = torch.randn(3, 2 * GRID - 1, CHANNELS, generator=torch.Generator().manual_seed(6))
    return d, h, w


def keys_of(token: int, head: int, segments: Segments, tokens: int = TOKENS) -> list[int]:
    """The multiset union of the keys that a token meets: the tokens of its row, for every pair that has it in a row."""
    keys: list[int] = []
    for w, r in segments:
        start = token // w * w
        row = [other for other in range(start, min(start + w, tokens)) if (other - start) % r == head % r]
        keys += row if token in row else []
    return keys


def dense_reference(q: Tensor, k: Tensor, v: Tensor, segments: Segments, bias: Tensor | None = None) -> Tensor:
    out = torch.zeros_like(q)
    for head in range(q.shape[1]):
        for token in range(q.shape[2]):
            keys = keys_of(token, head, segments, q.shape[2])
            if not keys:
                continue
            logits = torch.einsum("bc,bkc->bk", q[:, head, token], k[:, head, keys]) * q.shape[-1] ** -0.5
            if bias is not None:
                logits = logits + bias[:, head, token, keys]
            out[:, head, token] = torch.einsum("bk,bkc->bc", logits.softmax(-1), v[:, head, keys])
    return out


@pytest.mark.parametrize("segments", PAIRS)
@pytest.mark.parametrize("relative", [False, True])
def test_sparse_attention_is_one_softmax_over_all_keys_that_a_token_meets(segments, relative):
    q, k, v = inputs()
    terms = decomposed_bias(q, tables(), GRID) if relative else None
    bias = dense_decomposed_bias(q, tables(), GRID) if relative else None
    found = sparse_attend(q, k, v, segments, terms)
    torch.testing.assert_close(found, dense_reference(q, k, v, segments, bias), atol=1e-5, rtol=1e-5)


def test_a_head_without_a_token_gives_zeros_there():
    found = sparse_attend(*inputs(), ((8, 2), (4, 2)))
    segment_start = torch.tensor([token % 8 for token in range(TOKENS)])
    missed_by_head_0 = segment_start % 2 == 1
    assert (found[:, 0, missed_by_head_0] == 0).all()
    assert (found[:, 0, ~missed_by_head_0] != 0).all()


def test_one_segment_of_everything_is_dense_attention():
    q, k, v = inputs()
    terms, bias = decomposed_bias(q, tables(), GRID), dense_decomposed_bias(q, tables(), GRID)
    found = sparse_attend(q, k, v, ((TOKENS, 1),), terms)
    torch.testing.assert_close(found, attend(q, k, v, bias, "math"), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("segments", [PAIRS[1], PAIRS[2], PAIRS[3], PAIRS[5]])
def test_every_output_is_put_back_in_its_own_place(segments):
    # Tokens attend to themselves alone, and their values are their own numbers.
    q = 30 * torch.eye(TOKENS)[None, None].expand(1, HEADS, -1, -1)
    v = torch.arange(TOKENS).float()[:, None].expand(1, HEADS, -1, TOKENS)
    found = sparse_attend(q, q, v, segments)
    torch.testing.assert_close(found, v.contiguous(), atol=1e-3, rtol=0)


@pytest.mark.parametrize("segments", PAIRS)
def test_gradients_reach_everything_and_are_those_of_the_reference(segments):
    gradients = []
    for function in (sparse_attend, dense_reference):
        leaves = [part.clone().requires_grad_() for part in inputs(batch=1)]
        weights = torch.randn(1, HEADS, TOKENS, CHANNELS, generator=torch.Generator().manual_seed(8))
        gradients.append(torch.autograd.grad((function(*leaves, segments) * weights).sum(), leaves))
    for found, expected in zip(*gradients, strict=True):
        assert found.isfinite().all()
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_logits_that_overflow_a_plain_exponential_are_no_problem():
    q, k, v = inputs()
    found = sparse_attend(100 * q, 100 * k, v, ((9, 1), (27, 3)))
    torch.testing.assert_close(found, dense_reference(100 * q, 100 * k, v, ((9, 1), (27, 3))), atol=1e-3, rtol=1e-3)


def test_half_precision_comes_back_as_half_precision():
    exact = sparse_attend(*inputs(), PAIRS[2])
    found = sparse_attend(*(part.bfloat16() for part in inputs()), PAIRS[2])
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), exact, atol=0.05, rtol=0.05)


class _Products(TorchDispatchMode):
    """Counts batched matrix products."""

    def __init__(self) -> None:
        super().__init__()
        self.count = self.operations = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.operations += 1
        self.count += func.overloadpacket in (torch.ops.aten.bmm, torch.ops.aten.mm, torch.ops.aten.baddbmm)
        return func(*args, **(kwargs or {}))


def test_all_segments_are_computed_in_one_batched_call():
    figures = []
    for segments in (((512, 1),), native_config().segments, ((8, 1), (16, 2), (512, 3))):
        segment_index(512, HEADS, segments)  # once for each configuration, then remembered
        with _Products() as products:
            sparse_attend(*inputs(1, 512), segments)
        figures.append((products.count, products.operations))
    assert figures[0][0] == 2  # queries with keys, weights with values
    assert figures == [figures[0]] * 3


def test_heads_start_at_their_own_offsets():
    index, valid = segment_index(8, 3, ((4, 2),))
    rows = [[row[ok].tolist() for row, ok in zip(*head, strict=True)] for head in zip(index, valid, strict=True)]
    assert rows == [[[0, 2], [4, 6]], [[1, 3], [5, 7]], [[0, 2], [4, 6]]]


@pytest.mark.parametrize("segments", [(), ((0, 1),), ((4, 0),), ((-4, 1),)])
def test_pairs_that_are_not_positive_are_refused(segments):
    with pytest.raises(ValueError, match="positive"):
        segment_index(8, 2, segments)


def test_pairs_that_leave_a_token_out_in_every_head_are_refused():
    with pytest.raises(ValueError, match="leave tokens out"):
        segment_index(8, 2, ((8, 3),))
