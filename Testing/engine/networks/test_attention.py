from __future__ import annotations

import sys
from itertools import product
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from MemorizingSAM3DLib.engine.networks import attention
from MemorizingSAM3DLib.engine.networks.attention import (
    attend,
    backend_for,
    decomposed_bias,
    dense_decomposed_bias,
    dense_published_bias,
    relative_table,
    rotary_tables,
    segment_index,
    sparse_attend,
    turned,
)
from MemorizingSAM3DLib.engine.networks.config import native_config, sam_med3d_config
from MemorizingSAM3DLib.engine.networks.image_encoder import Attention


def tables(length: int, channels: int, seed: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    d, h, w = torch.randn(3, 2 * length - 1, channels, generator=generator)
    return d, h, w


@pytest.fixture
def a_query_key_value():
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(2, 3, tokens, 8, generator=generator) for tokens in (10, 17, 17))


@pytest.fixture
def without_flash_attn(monkeypatch):
    monkeypatch.setitem(sys.modules, "flash_attn", None)
    attention.flash_attn_function.cache_clear()
    yield
    attention.flash_attn_function.cache_clear()


@pytest.fixture
def a_flash_attn(monkeypatch):
    """A stand-in with flash-attn's interface: (B, S, H, D), scaled by D^-0.5, no bias; it records what it was given."""
    calls = []

    def flash_attn_func(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        calls.append((q.shape, k.shape, v.shape))
        weights = torch.einsum("bshd,bthd->bhst", q, k).mul(q.shape[-1] ** -0.5).softmax(-1)
        return torch.einsum("bhst,bthd->bshd", weights, v)

    module = ModuleType("flash_attn")
    module.flash_attn_func = flash_attn_func  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "flash_attn", module)
    attention.flash_attn_function.cache_clear()
    yield calls
    attention.flash_attn_function.cache_clear()


@pytest.mark.parametrize("biased", [False, True])
def test_sdpa_gives_what_the_formula_gives(a_query_key_value, biased):
    bias = torch.randn(2, 3, 10, 17) if biased else None
    found, literal = (attend(*a_query_key_value, bias, backend) for backend in ("sdpa", "math"))
    torch.testing.assert_close(found, literal, atol=1e-6, rtol=1e-5)


def test_flash_attn_gets_its_own_layout_and_gives_what_the_formula_gives(a_query_key_value, a_flash_attn):
    found = attend(*a_query_key_value, backend="flash_attn")
    assert a_flash_attn == [((2, 10, 3, 8), (2, 17, 3, 8), (2, 17, 3, 8))]
    torch.testing.assert_close(found, attend(*a_query_key_value, backend="math"), atol=1e-6, rtol=1e-5)


def test_flash_attn_by_name_without_the_package_raises(a_query_key_value, without_flash_attn):
    with pytest.raises(RuntimeError, match="flash-attn is not installed"):
        attend(*a_query_key_value, backend="flash_attn")


def test_flash_attn_by_name_with_a_bias_raises(a_query_key_value, a_flash_attn):
    with pytest.raises(RuntimeError, match="bias"):
        attend(*a_query_key_value, bias=torch.zeros(10, 17), backend="flash_attn")
    assert not a_flash_attn


def on_cuda(dtype: torch.dtype = torch.bfloat16, channels: int = 64, is_cuda: bool = True) -> Tensor:
    return SimpleNamespace(is_cuda=is_cuda, dtype=dtype, shape=(1, 2, 9, channels))  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("query", "bias", "chosen"),
    [
        (on_cuda(), None, "flash_attn"),
        (on_cuda(torch.float16), None, "flash_attn"),
        (on_cuda(torch.float32), None, "sdpa"),
        (on_cuda(channels=257), None, "sdpa"),
        (on_cuda(), torch.zeros(1), "sdpa"),
        (on_cuda(is_cuda=False), None, "sdpa"),
    ],
)
def test_flash_attn_is_chosen_where_the_tensors_suit_it(a_flash_attn, query, bias, chosen):
    assert backend_for(query, bias) == chosen


def test_sdpa_is_chosen_where_flash_attn_is_not_installed(without_flash_attn):
    assert backend_for(on_cuda(), None) == "sdpa"


def test_the_backend_that_is_reported_is_the_one_that_runs(a_query_key_value, a_flash_attn, monkeypatch):
    attend(*a_query_key_value)  # float32 on the CPU
    assert not a_flash_attn
    monkeypatch.setattr(attention, "backend_for", lambda query, bias: "flash_attn")
    attend(*a_query_key_value)
    assert len(a_flash_attn) == 1


def test_a_relative_table_holds_the_difference_of_the_positions():
    table = torch.arange(-4, 5)[:, None].float()
    found = relative_table(table, 3)
    assert all(found[i, j, 0] == i - j for i, j in product(range(3), range(3)))


def positions(grid: int) -> list[tuple[int, int, int]]:
    return list(product(range(grid), repeat=3))


def test_the_decomposed_bias_is_the_sum_over_the_axes():
    grid, channels = 3, 4
    query = torch.randn(2, 2, grid**3, channels)
    rd, rh, rw = tables(grid, channels)
    expected = torch.empty(2, 2, grid**3, grid**3)
    for i, (d, h, w) in enumerate(positions(grid)):
        for j, (kd, kh, kw) in enumerate(positions(grid)):
            table = rd[d - kd + grid - 1] + rh[h - kh + grid - 1] + rw[w - kw + grid - 1]
            expected[:, :, i, j] = query[:, :, i] @ table
    torch.testing.assert_close(dense_decomposed_bias(query, (rd, rh, rw), grid), expected, atol=1e-5, rtol=1e-5)


def published_bias(query: Tensor, relative: tuple[Tensor, Tensor, Tensor], grid: int) -> Tensor:
    """The formula of the published code, one pair of positions at a time: query (B, heads, grid^3, c)."""
    number = {place: i for i, place in enumerate(positions(grid))}
    rd, rh, rw = relative
    bias = torch.empty(*query.shape[:2], grid**3, grid**3)
    for (d, h, _), i in number.items():
        for (kd, kh, kw), j in number.items():
            bias[:, :, i, j] = (
                query[:, :, i] @ rd[d - kw + grid - 1]
                + query[:, :, number[d, h, kd]] @ rh[h - kw + grid - 1]
                + query[:, :, number[d, h, kh]] @ rw[kh - kw + grid - 1]
            )
    return bias


def test_the_published_bias_has_the_quirk_of_the_published_code():
    query, relative = torch.randn(1, 2, 27, 4), tables(3, 4)
    torch.testing.assert_close(
        dense_published_bias(query, relative, 3), published_bias(query, relative, 3), atol=1e-5, rtol=1e-5
    )


def rotary_logits(grid: int, channels: int, query: Tensor, key: Tensor) -> Tensor:
    """What every token's query gives with every token's key, all queries alike and all keys alike: (grid^3, grid^3)."""
    cpu = torch.device("cpu")
    q, k = (turned(x.expand(1, 1, grid**3, channels), rotary_tables(grid, channels, cpu)) for x in (query, key))
    return (q @ k.transpose(2, 3))[0, 0]


@pytest.mark.parametrize(("grid", "channels"), [(3, 12), (4, 32), (2, 6), (3, 20)])
def test_rotary_attention_depends_on_the_offset_of_two_tokens_alone(grid, channels):
    generator = torch.Generator().manual_seed(0)
    query, key = torch.randn(2, channels, generator=generator)
    logits = rotary_logits(grid, channels, query, key)
    of_offset: dict[tuple, Tensor] = {}
    places = list(product(range(grid), repeat=3))
    for (i, one), (j, other) in product(enumerate(places), repeat=2):
        offset = tuple(b - a for a, b in zip(one, other, strict=True))
        torch.testing.assert_close(logits[i, j], of_offset.setdefault(offset, logits[i, j]), atol=1e-4, rtol=1e-4)
    # Along every axis it does depend on it.
    still = of_offset[0, 0, 0]
    torch.testing.assert_close(still, query @ key)
    assert all((of_offset[offset] - still).abs() > 1e-3 for offset in ((1, 0, 0), (0, 1, 0), (0, 0, 1)))
    assert len({round(float(of_offset[offset]), 4) for offset in ((1, 0, 0), (0, 1, 0), (0, 0, 1), (-1, 0, 0))}) == 4


def test_turning_keeps_lengths_and_types_and_the_first_token():
    tables = rotary_tables(3, 16, torch.device("cpu"))
    assert all(table.shape == (27, 8) for table in tables)
    x = torch.randn(2, 3, 27, 16, generator=torch.Generator().manual_seed(1))
    found = turned(x, tables)
    torch.testing.assert_close(found.norm(dim=-1), x.norm(dim=-1))
    assert torch.equal(found[:, :, 0], x[:, :, 0]) and not torch.equal(found, x)
    assert turned(x.bfloat16(), tables).dtype == torch.bfloat16


def padded_attention(layer: Attention, x: Tensor, window: int) -> Tensor:
    """The published arithmetic, literally: zeros pad the normed tokens, and all window^3 tokens attend to all."""
    grid, heads = x.shape[1], layer.heads
    padded = x.new_zeros(x.shape[0], window, window, window, x.shape[-1])
    padded[:, :grid, :grid, :grid] = x
    q, k, v = layer.qkv(padded.flatten(1, 3)).unflatten(2, (3, heads, -1)).permute(2, 0, 3, 1, 4)
    steps = torch.arange(window)
    rd, rh, rw = (table[steps[:, None] - steps[None, :] + window - 1] for table in layer.tables)
    cube = q.unflatten(2, (window, window, window))
    logits = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    logits = logits.unflatten(3, (window, window, window)).unflatten(2, (window, window, window))
    logits = logits + torch.einsum("bndhwc,dzc->bndhwz", cube, rd)[:, :, :, :, :, None, None, :]
    logits = logits + torch.einsum("bndhxc,hzc->bndhxz", cube, rh)[:, :, :, :, None, :, None, :]
    logits = logits + torch.einsum("bndhyc,yzc->bndhyz", cube, rw)[:, :, :, :, None, None, :, :]
    weights = logits.flatten(5).flatten(2, 4).softmax(-1)
    out = layer.proj((weights @ v).transpose(1, 2).flatten(2)).unflatten(1, (window, window, window))
    return out[:, :grid, :grid, :grid]


def a_windowed_layer(grid: int, window: int) -> Attention:
    config = sam_med3d_config().with_(image_size=16 * grid, width=8, heads=2, window=window, global_blocks=())
    torch.manual_seed(3)
    layer = Attention(config, window)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return layer


def test_the_literal_padded_attention_of_these_tests_has_the_published_bias():
    # padded_attention without padding and with zeroed keys shows its bias alone, which the triple loop gives as well.
    layer, x = a_windowed_layer(3, 3), torch.randn(1, 3, 3, 3, 8)
    with torch.no_grad():
        layer.qkv.weight[8:16], layer.qkv.bias[8:16] = 0, 0
        q, _, v = layer.project(x.flatten(1, 3))
        weights = published_bias(q, layer.tables, 3).softmax(-1)
        expected = layer.proj((weights @ v).transpose(1, 2).flatten(2)).view_as(x)
        torch.testing.assert_close(padded_attention(layer, x, 3), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("grid", "window"), [(2, 3), (3, 5), (4, 5), (8, 14)])
@torch.no_grad()
def test_one_sink_key_does_what_all_the_padded_tokens_of_a_window_do(grid, window):
    layer = a_windowed_layer(grid, window).double()  # rounding depends on the processor
    x = torch.randn(1 if window == 14 else 2, grid, grid, grid, 8).double()
    torch.testing.assert_close(layer(x), padded_attention(layer, x, window), atol=1e-10, rtol=0)


@torch.no_grad()
def test_the_padded_tokens_matter():
    layer, x = a_windowed_layer(3, 5), torch.randn(1, 3, 3, 3, 8)
    layer.window = 3
    for name in ("rel_pos_d", "rel_pos_h", "rel_pos_w"):  # the same tables, without what reaches beyond the grid
        setattr(layer, name, torch.nn.Parameter(getattr(layer, name)[2:-2]))
    alone = layer(x)
    assert (alone - padded_attention(a_windowed_layer(3, 5), x, 5)).abs().max() > 0.01


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


def sparse_tables() -> tuple[Tensor, Tensor, Tensor]:
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
    terms = decomposed_bias(q, sparse_tables(), GRID) if relative else None
    bias = dense_decomposed_bias(q, sparse_tables(), GRID) if relative else None
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
    terms, bias = decomposed_bias(q, sparse_tables(), GRID), dense_decomposed_bias(q, sparse_tables(), GRID)
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
