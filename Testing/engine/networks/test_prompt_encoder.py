from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from MemorizingSAM3DLib.engine.networks import prompt_encoder
from MemorizingSAM3DLib.engine.networks.config import fastsam3d_config, native_config
from MemorizingSAM3DLib.engine.networks.prompt_encoder import (
    NativePromptEncoder,
    PositionalEncoding,
    PromptEncoder,
    nearest_distance,
)
from Testing.engine.small_networks import SMALL_FASTSAM3D, SMALL_NATIVE

NATIVE = SMALL_NATIVE.with_(image_size=64)  # tokens of 16 voxels, logits of 2 voxels
IMAGE = torch.randn(1, 1, 32, 32, 32, generator=torch.Generator().manual_seed(0))
TOKENS = list(product(range(4), repeat=3))


def token_centres(patch: int) -> torch.Tensor:
    """Voxel indices of the centres of all tokens: between two voxels, as patches are even."""
    return (torch.tensor(TOKENS) * patch + (patch - 1) / 2)[None]


def test_native_points_and_the_dense_grid_share_one_encoding():
    encoder = NativePromptEncoder(NATIVE)
    position = (token_centres(16) + 0.5) / 64
    dense = encoder.dense_positional_encoding()
    points = encoder.pe_layer(position)[0]
    for (r, a, s), point in zip(TOKENS, points, strict=True):
        torch.testing.assert_close(dense[0, :, r, a, s], point, atol=1e-5, rtol=1e-5)


def test_published_points_and_the_dense_grid_differ_by_the_swapped_axes():
    encoder = PromptEncoder(SMALL_FASTSAM3D)
    labels = torch.ones(1, len(TOKENS), dtype=torch.long)
    sparse, _ = encoder((token_centres(8), labels))
    points = sparse[0, :-1] - encoder.point_embeddings[1].weight
    dense = encoder.dense_positional_encoding()
    for (a, b, c), point in zip(TOKENS, points, strict=True):
        torch.testing.assert_close(dense[0, :, b, a, c], point, atol=1e-5, rtol=1e-5)
    aligned = [(dense[0, :, a, b, c] - point).abs().max() for (a, b, c), point in zip(TOKENS, points, strict=True)]
    assert max(aligned) > 0.1


@pytest.mark.parametrize("repeat_sine", [False, True])
def test_mixed_precision_does_not_spoil_the_phases(repeat_sine):
    encoding = PositionalEncoding(48, repeat_sine)
    exact = encoding.of_grid(8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(encoding.of_grid(8), exact)


def test_the_published_encoding_repeats_its_sine():
    sine, cosine, again = PositionalEncoding(48, repeat_sine=True)(torch.rand(5, 3)).split(16, dim=-1)
    torch.testing.assert_close(sine, again)
    torch.testing.assert_close(sine**2 + cosine**2, torch.ones(5, 16))


def test_a_published_padding_point_is_always_appended():
    encoder = PromptEncoder(SMALL_FASTSAM3D)
    coords, labels = torch.rand(2, 3, 3) * 32, torch.tensor([[1, 0, 1], [0, 0, 1]])
    sparse, _ = encoder((coords, labels))
    assert sparse.shape == (2, 4, 48)
    torch.testing.assert_close(sparse[:, -1], encoder.not_a_point_embed.weight.expand(2, -1))


def test_published_labels_choose_the_embedding_that_is_added():
    encoder = PromptEncoder(SMALL_FASTSAM3D)
    coords = torch.full((1, 3, 3), 11.0)
    sparse, _ = encoder((coords, torch.tensor([[0, 1, -1]])))
    negative, positive, padding = sparse[0, :3]
    place = encoder.pe_layer(torch.full((3,), 11.5 / 32))
    torch.testing.assert_close(negative, place + encoder.point_embeddings[0].weight[0])
    torch.testing.assert_close(positive, place + encoder.point_embeddings[1].weight[0])
    torch.testing.assert_close(padding, encoder.not_a_point_embed.weight[0])


def test_without_published_prompts_there_are_no_tokens_and_the_learnt_no_mask():
    encoder = PromptEncoder(SMALL_FASTSAM3D)
    sparse, dense = encoder()
    assert sparse.shape == (1, 0, 48)
    assert dense.shape == (1, 48, 4, 4, 4)
    torch.testing.assert_close(dense[0, :, 1, 2, 3], encoder.no_mask_embed.weight[0])


def test_a_published_mask_comes_to_the_token_grid_in_its_own_axes():
    encoder = PromptEncoder(SMALL_FASTSAM3D)
    masks = torch.zeros(2, 1, 16, 16, 16)
    empty = encoder(masks=masks)[1]
    masks[1, 0, 4, 9, 15] = 5  # cells of 4: token (1, 2, 3)
    sparse, dense = encoder(masks=masks)
    assert sparse.shape == (2, 0, 48) and dense.shape == (2, 48, 4, 4, 4)
    assert (dense - empty).abs().sum(1).nonzero().tolist() == [[1, 1, 2, 3]]


@pytest.mark.parametrize("config", [fastsam3d_config(), native_config()])
def test_the_fourier_features_of_the_full_size_fill_the_embedding(config):
    encoder = (PromptEncoder if config.published else NativePromptEncoder)(config)
    assert encoder.dense_positional_encoding().shape == (1, config.embedding_channels, 8, 8, 8)


def test_click_maps_are_bumps_at_the_clicks_apart_by_sign():
    encoder = NativePromptEncoder(NATIVE)
    coords = torch.tensor([[[40.5, 20.5, 10.5], [4.5, 50.5, 30.5]]])  # centres of cells (20, 10, 5) and (2, 25, 15)
    maps = encoder.click_maps(coords, torch.tensor([[1, 0]]))
    assert maps.shape == (1, 4, 32, 32, 32)
    assert maps.min() >= 0 and maps.max() <= 1
    for channel, cell in enumerate([(20, 10, 5), (20, 10, 5), (2, 25, 15), (2, 25, 15)]):
        assert torch.unravel_index(maps[0, channel].argmax(), maps.shape[2:]) == cell
        assert maps[0, channel][cell] == pytest.approx(1)
    narrow, wide = maps[0, :2].sum((1, 2, 3))
    assert wide > 10 * narrow
    sigma_1 = maps[0, 0, 20, 10, 3:8]
    torch.testing.assert_close(sigma_1, (torch.tensor([-4.0, -1, 0, -1, -4]) / 2).exp(), atol=1e-5, rtol=1e-5)


def test_padding_leaves_no_trace_in_the_click_maps():
    encoder = NativePromptEncoder(NATIVE)
    coords, labels = torch.rand(1, 2, 3) * 64, torch.tensor([[1, 0]])
    padded = torch.cat([coords, torch.rand(1, 3, 3) * 64], 1), torch.tensor([[1, 0, -1, -1, -1]])
    torch.testing.assert_close(encoder.click_maps(*padded), encoder.click_maps(coords, labels))
    torch.testing.assert_close(encoder.likeness_maps(*padded, IMAGE), encoder.likeness_maps(coords, labels, IMAGE))
    assert encoder(*padded, IMAGE).valid.tolist() == [[True, True, False, False, False]]


def test_many_clicks_at_one_place_do_not_pile_up():
    maps = NativePromptEncoder(NATIVE).click_maps(torch.full((1, 50, 3), 20.0), torch.ones(1, 50, dtype=torch.long))
    assert maps.max() <= 1


def test_likeness_maps_show_the_cells_that_are_as_bright_as_what_was_clicked():
    encoder = NativePromptEncoder(NATIVE)
    image = torch.zeros(1, 1, 32, 32, 32)
    image[:, :, 5:12, 5:12, 5:12] = 1.0
    image[:, :, 20:27, 20:27, 20:27] = 1.1
    coords = torch.tensor([[[16.0, 16.0, 16.0], [60.0, 60.0, 2.0]]])  # in the first cube; in the dark
    maps = encoder.likeness_maps(coords, torch.tensor([[1, 0]]), image)
    assert maps.shape == (1, 4, 32, 32, 32)
    strict, tolerant, strict_negative, _ = maps[0]
    assert strict[8, 8, 8] == pytest.approx(1) and strict[0, 0, 0] < 1e-3
    assert strict[23, 23, 23] == pytest.approx(np.exp(-1), abs=1e-4)  # a difference of 0.1 at a scale of 0.1
    assert tolerant[23, 23, 23] > 0.9
    assert strict_negative[0, 0, 0] == pytest.approx(1) and strict_negative[8, 8, 8] < 1e-3


def test_a_cell_is_as_like_as_to_the_clicked_one_it_is_most_like():
    encoder = NativePromptEncoder(NATIVE)
    coords = torch.rand(1, 6, 3) * 63
    together = encoder.likeness_maps(coords, torch.ones(1, 6, dtype=torch.long), IMAGE)
    alone = [encoder.likeness_maps(coords[:, i : i + 1], torch.ones(1, 1, dtype=torch.long), IMAGE) for i in range(6)]
    torch.testing.assert_close(together, torch.cat(alone).amax(0, keepdim=True))


def test_a_clicked_intensity_is_the_smoothed_crops():
    encoder = NativePromptEncoder(NATIVE)
    coords = torch.cat([torch.rand(1, 40, 3) * 64 - 0.5, torch.tensor([[[-0.5, 63.5, 63.5], [0, 0, 0]]])], 1)
    smooth = functional.avg_pool3d(IMAGE, 3, stride=1, padding=1, count_include_pad=False)[0, 0]
    r, a, s = ((coords[0] + 0.5) / 2).long().clamp(0, 31).unbind(1)
    torch.testing.assert_close(encoder._clicked_intensities(coords, IMAGE[:, 0])[0], smooth[r, a, s])


@pytest.mark.parametrize("count", [0, 1, 3, 40, 300])
def test_the_nearest_of_many_values_is_found_as_among_few(monkeypatch, count):
    values = torch.randn(2, count).masked_fill(torch.rand(2, count) < 0.3, float("inf"))
    image = torch.cat([IMAGE, -2 * IMAGE])[:, 0]
    found = []
    for few in (count, count - 1):
        monkeypatch.setitem(prompt_encoder._FEW_VALUES, "cpu", max(few, 0))
        found.append(nearest_distance(image, values))
    assert torch.equal(*found)
    assert found[0].isinf().all() == values.isinf().all()


def test_a_thousand_clicks_of_one_crop_are_what_they_are_in_a_batch():
    encoder = NativePromptEncoder(NATIVE)
    coords, labels = torch.rand(1, 1000, 3) * 64, torch.arange(1000)[None] % 3 - 1
    alone = encoder.click_maps(coords, labels), encoder.likeness_maps(coords, labels, IMAGE)
    twice = coords.repeat(2, 1, 1), labels.repeat(2, 1)
    torch.testing.assert_close(encoder.click_maps(*twice)[:1], alone[0])
    assert torch.equal(encoder.likeness_maps(*twice, IMAGE.repeat(2, 1, 1, 1, 1))[:1], alone[1])


@pytest.mark.parametrize(("labels", "padding", "valid"), [
    ([1, 0], None, None), ([1, -1], None, [[True, False]]), ([1, 0], True, [[True, True]]), ([1, 0], False, None),
])  # fmt: skip
def test_padding_is_looked_for_unless_it_is_known(labels, padding, valid):
    prompts = NativePromptEncoder(NATIVE)(torch.rand(1, 2, 3) * 64, torch.tensor([labels]), IMAGE, padding=padding)
    assert (None if prompts.valid is None else prompts.valid.tolist()) == valid


def test_of_very_many_clicks_the_newest_are_tokens_and_all_are_shown():
    encoder = NativePromptEncoder(NATIVE)
    coords, labels = torch.rand(1, 260, 3) * 64, torch.arange(260)[None] % 2
    prompts, fewer = (encoder(coords[:, first:], labels[:, first:], IMAGE) for first in (0, 4))
    assert prompts.sparse.shape[1] == 256
    torch.testing.assert_close(prompts.sparse, fewer.sparse)
    assert not torch.equal(prompts.dense, fewer.dense)


@pytest.mark.parametrize("labels", [[1], [0], [-1]])
def test_without_clicks_of_a_sign_its_likeness_is_zero(labels):
    maps = NativePromptEncoder(NATIVE).likeness_maps(torch.full((1, 1, 3), 20.0), torch.tensor([labels]), IMAGE)
    assert maps.isfinite().all()
    assert maps[:, :2].any() == (labels == [1]) and maps[:, 2:].any() == (labels == [0])


def test_clicks_at_the_borders_of_the_crop_have_a_likeness():
    encoder = NativePromptEncoder(NATIVE)
    coords = torch.tensor([[[-0.5, 0.0, 63.49]], [[63.5, 63.5, 63.5]]])
    maps = encoder.likeness_maps(coords, torch.ones(2, 1, dtype=torch.long), IMAGE.expand(2, -1, -1, -1, -1))
    assert maps.isfinite().all() and maps[:, :2].amax((1, 2, 3, 4)).min() > 0.5


def test_native_prompts_have_the_shapes_of_the_upscaling():
    prompts = NativePromptEncoder(NATIVE)(
        torch.rand(2, 5, 3) * 64, torch.ones(2, 5, dtype=torch.long), IMAGE.expand(2, -1, -1, -1, -1)
    )
    assert prompts.sparse.shape == (2, 5, 64)
    assert prompts.dense.shape == (2, 64, 4, 4, 4)
    assert [tuple(part.shape[1:]) for part in prompts.maps] == [(8, *[32] * 3), (8, *[16] * 3), (16, *[8] * 3)]


def test_no_previous_logits_are_logits_of_zero():
    encoder = NativePromptEncoder(NATIVE)
    clicks = torch.rand(1, 2, 3) * 64, torch.tensor([[1, 0]])
    none, zero = encoder(*clicks, IMAGE), encoder(*clicks, IMAGE, torch.zeros(1, 1, 32, 32, 32))
    torch.testing.assert_close(none.dense, zero.dense)


def test_huge_previous_logits_say_no_more_than_large_ones():
    encoder = NativePromptEncoder(NATIVE)
    clicks = torch.rand(1, 2, 3) * 64, torch.tensor([[1, 0]])
    logits = torch.randn(1, 1, 32, 32, 32).sign()
    large, huge = (encoder(*clicks, IMAGE, scale * logits) for scale in (100, 1e6))
    torch.testing.assert_close(large.dense, huge.dense)


# What an interaction memory keeps of a click


def test_a_native_token_is_the_clicks_own():
    encoder = NativePromptEncoder(NATIVE)
    coords, labels = torch.rand(3, 1, 3) * 64, torch.tensor([[1], [0], [1]])
    tokens = encoder(coords, labels, IMAGE.expand(3, -1, -1, -1, -1)).sparse
    torch.testing.assert_close(encoder.token_of(coords, labels), tokens[:, 0])


def test_a_published_token_is_the_clicks_own_without_the_padding_point():
    encoder = PromptEncoder(SMALL_FASTSAM3D)
    coords, labels = torch.rand(3, 1, 3) * 32, torch.tensor([[1], [0], [1]])
    tokens, _ = encoder((coords, labels))
    assert tokens.shape[1] == 2
    torch.testing.assert_close(encoder.token_of(coords, labels), tokens[:, 0])


@settings(max_examples=20, deadline=None)
@given(st.tuples(*[st.floats(-0.5, 63.5, width=32)] * 3), st.sampled_from([1, 0]))
def test_a_native_memory_is_what_the_encoder_makes_of_the_click_and_the_mask(place, label):
    """Over the whole crop, its faces and corners too, where a neighbourhood is cut."""
    encoder = NativePromptEncoder(NATIVE)
    click, logits = (torch.tensor([[place]]), torch.tensor([[label]])), 3 * IMAGE.flip(2)
    token, dense = encoder.memory_of(*click, IMAGE, logits)
    prompts = encoder(*click, IMAGE, logits)
    torch.testing.assert_close(token, prompts.sparse[:, 0])
    torch.testing.assert_close(dense, prompts.dense, atol=1e-5, rtol=1e-4)


def test_a_published_memory_is_the_click_and_the_mask_whatever_the_image():
    encoder = PromptEncoder(SMALL_FASTSAM3D)
    coords, labels, logits = torch.rand(2, 1, 3) * 32, torch.tensor([[1], [0]]), torch.randn(2, 1, 16, 16, 16)
    token, dense = encoder.memory_of(coords, labels, None, logits)
    assert torch.equal(token, encoder.token_of(coords, labels))
    assert torch.equal(dense, encoder(masks=logits)[1])


@pytest.mark.parametrize(
    "encoder", [NativePromptEncoder(NATIVE), PromptEncoder(SMALL_FASTSAM3D)], ids=["native", "published"]
)
def test_memories_of_a_batch_are_those_of_its_members(encoder):
    size = encoder.config.output_size
    coords = torch.rand(3, 1, 3) * encoder.config.image_size
    labels, image, logits = (
        torch.tensor([[1], [0], [1]]),
        torch.rand(3, 1, size, size, size),
        torch.randn(3, 1, *[size] * 3),
    )
    together = encoder.memory_of(coords, labels, image, logits)
    alone = [encoder.memory_of(*(part[n : n + 1] for part in (coords, labels, image, logits))) for n in range(3)]
    for whole, parts in zip(together, zip(*alone, strict=True), strict=True):
        torch.testing.assert_close(whole, torch.cat(parts), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "encoder", [NativePromptEncoder(NATIVE), PromptEncoder(SMALL_FASTSAM3D)], ids=["native", "published"]
)
def test_mixed_precision_does_not_spoil_where_a_remembered_click_lies(encoder):
    coords, labels = torch.tensor([[[30.25, 3.5, 17.75]]]), torch.tensor([[0]])
    exact = encoder.token_of(coords, labels)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(encoder.token_of(coords, labels), exact)


@settings(max_examples=20, deadline=None)
@given(st.tuples(*[st.floats(-0.5, 63.5, width=32)] * 3), st.sampled_from([1, 0, -1]))
def test_where_no_gradient_is_wanted_a_memory_is_drawn_without_the_maps_of_the_other_sign(place, label):
    encoder = NativePromptEncoder(NATIVE)
    asked = torch.tensor([[place]]), torch.tensor([[label]]), IMAGE, 3 * IMAGE.flip(2)
    expected = encoder.memory_of(*asked)
    with torch.no_grad():
        found = encoder.memory_of(*asked)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
