from __future__ import annotations

import sys
from itertools import product
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import Tensor

from MemorizingSAM3DLib.engine.networks import attention
from MemorizingSAM3DLib.engine.networks.attention import (
    attend,
    backend_for,
    dense_decomposed_bias,
    dense_published_bias,
    relative_table,
    rotary_tables,
    turned,
)
from MemorizingSAM3DLib.engine.networks.config import sam_med3d_config
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
