from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from MemorizingSAM3DLib.engine.networks.full_grid import MOST_TOKENS, REGION_MAPS
from MemorizingSAM3DLib.engine.networks.image_encoder import channels_to_voxels, voxels_to_channels
from MemorizingSAM3DLib.engine.networks.prompt_maps import BOX_IN, KINDS, PADDING, POINT_IN, POINT_OUT
from MemorizingSAM3DLib.engine.networks.sam3d import NativeSAM3D, build_network
from Testing.engine.small_networks import SMALL_FULL_GRID

SIZE = SMALL_FULL_GRID.image_size
HALF = SIZE // 2


@pytest.fixture(scope="module")
def a_full_grid_network() -> NativeSAM3D:
    torch.manual_seed(0)
    network = build_network(SMALL_FULL_GRID).eval().requires_grad_(False)
    assert isinstance(network, NativeSAM3D)
    # Logits that are not nearly zero, of prompts that are not nearly alike.
    torch.nn.init.normal_(network.mask_decoder.hyper.layers[-1].weight, std=0.5)
    torch.nn.init.normal_(network.prompt_encoder.kind_embeddings.weight, std=0.5)
    return network


def some_images(count: int = 1) -> torch.Tensor:
    """Blocks of one brightness each, so that some of it is alike and hangs together."""
    blocks = torch.rand(count, 1, 4, 4, 4, generator=torch.Generator().manual_seed(5)) * 2 - 1
    return torch.nn.functional.interpolate(blocks, scale_factor=SIZE // 4, mode="nearest")


@pytest.fixture(scope="module")
def an_encoding(a_full_grid_network):
    return a_full_grid_network.encode(some_images())


def some_prompts(count: int, seed: int = 0, batch: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    kinds = torch.randint(0, 4, (batch, count), generator=generator)
    return torch.rand(batch, count, 3, generator=generator) * (SIZE - 1), kinds


def some_logits(batch: int = 1, seed: int = 3) -> torch.Tensor:
    return torch.randn(batch, 1, SIZE, SIZE, SIZE, generator=torch.Generator().manual_seed(seed)) * 4


def some_regions(batch: int = 1) -> torch.Tensor:
    regions = torch.zeros(batch, REGION_MAPS, HALF, HALF, HALF)
    regions[:, 0, 2:9, 3:7, 4:8] = 1
    regions[:, 1, 5, 2:6, 2:6] = -1
    return regions


# Voxels and cells


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4))
def test_channels_to_voxels_inverts_voxels_to_channels(batch, cells, edge):
    voxels = torch.arange(batch * (cells * edge) ** 3).view(batch, 1, *[cells * edge] * 3)
    channels = voxels_to_channels(voxels, edge)
    assert channels.shape == (batch, cells, cells, cells, edge**3)
    assert torch.equal(channels_to_voxels(channels, edge), voxels)


def test_the_channels_of_a_cell_are_its_voxels():
    voxels = torch.rand(1, 1, 6, 6, 6)
    cell = voxels_to_channels(voxels, 2)[0, 1, 0, 2]
    assert torch.equal(cell, voxels[0, 0, 2:4, 0:2, 4:6].flatten())


# What the prompts do


def test_logits_do_not_depend_on_the_order_of_as_many_prompts_as_are_tokens(a_full_grid_network, an_encoding):
    coords, kinds = some_prompts(MOST_TOKENS)
    order = torch.randperm(MOST_TOKENS, generator=torch.Generator().manual_seed(1))
    logits = a_full_grid_network.decode(an_encoding, coords, kinds)
    assert logits.isfinite().all() and logits.shape == (1, 1, SIZE, SIZE, SIZE)
    shuffled = a_full_grid_network.decode(an_encoding, coords[:, order], kinds[:, order])
    torch.testing.assert_close(shuffled, logits, atol=1e-3, rtol=1e-3)


def test_of_more_prompts_the_newest_are_tokens_and_the_maps_show_all(a_full_grid_network):
    encoder, image = a_full_grid_network.prompt_encoder, some_images()
    coords, kinds = some_prompts(MOST_TOKENS + 9)
    found = encoder(coords, kinds, image)
    newest = encoder(coords[:, 9:], kinds[:, 9:], image)
    assert found.sparse.shape[1] == MOST_TOKENS and torch.equal(found.sparse, newest.sparse)
    assert (found.dense - newest.dense).abs().max() > 1e-3


@pytest.mark.parametrize("place", ["before", "behind"])
def test_padded_prompts_change_nothing(a_full_grid_network, an_encoding, place):
    coords, kinds = some_prompts(3)
    previous = some_logits()
    expected = a_full_grid_network.decode(an_encoding, coords, kinds, previous)
    padding = some_prompts(4, seed=1)[0], torch.full((1, 4), PADDING)
    parts = [(coords, kinds), padding] if place == "behind" else [padding, (coords, kinds)]
    found = a_full_grid_network.decode(
        an_encoding, *(torch.cat(part, 1) for part in zip(*parts, strict=True)), previous
    )
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)


def test_that_there_may_be_padding_changes_nothing_where_there_is_none(a_full_grid_network, an_encoding):
    found, expected = (a_full_grid_network.decode(an_encoding, *some_prompts(3), padding=p) for p in (True, None))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)


def test_place_kind_previous_logits_and_regions_all_matter(a_full_grid_network, an_encoding):
    coords, kinds = some_prompts(2)
    decode = a_full_grid_network.decode
    logits = decode(an_encoding, coords, kinds)
    for changed in (
        decode(an_encoding, coords, kinds ^ 1),  # the other sign
        decode(an_encoding, coords, (kinds + 2) % 4),  # scribbles for points
        decode(an_encoding, coords.flip(-1), kinds),
        decode(an_encoding, coords, kinds, some_logits()),
        decode(an_encoding, coords, kinds, regions=some_regions()),
        decode(an_encoding, coords, kinds, regions=-some_regions()),
    ):
        assert (changed - logits).abs().max() > 1e-3


def test_every_kind_has_a_token_of_its_own(a_full_grid_network):
    coords = torch.full((1, 1, 3), 9.0)
    tokens = [a_full_grid_network.prompt_encoder.token_of(coords, torch.tensor([[kind]])) for kind in range(KINDS)]
    assert len({tuple(token[0].tolist()) for token in tokens}) == KINDS


def test_the_corners_of_a_box_draw_no_map(a_full_grid_network):
    encoder, image = a_full_grid_network.prompt_encoder, some_images()
    corners = encoder(some_prompts(2)[0], torch.full((1, 2), BOX_IN), image)
    padding = encoder(some_prompts(2)[0], torch.full((1, 2), PADDING), image)
    assert torch.equal(corners.dense, padding.dense)
    assert (corners.sparse - padding.sparse).abs().max() > 1e-3


def test_logits_of_no_regions_are_those_of_empty_ones(a_full_grid_network, an_encoding):
    prompts = some_prompts(2)
    without = a_full_grid_network.decode(an_encoding, *prompts)
    empty = torch.zeros(1, REGION_MAPS, HALF, HALF, HALF)
    assert torch.equal(a_full_grid_network.decode(an_encoding, *prompts, regions=empty), without)


def test_logits_beyond_certainty_say_nothing_more(a_full_grid_network, an_encoding):
    prompts, sure = some_prompts(1), some_logits().sign() * 60
    found, expected = (a_full_grid_network.decode(an_encoding, *prompts, logits) for logits in (sure, 10 * sure))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


# Several crops, several targets


def test_several_targets_of_one_crop_get_what_each_gets_alone(a_full_grid_network):
    """Two crops with three targets each, which follow one another."""
    images = some_images(2)
    coords, kinds = some_prompts(4, batch=6)
    kinds[2, 0] = PADDING
    logits, regions = some_logits(6), some_regions(6)
    regions[::2] = 0
    features = a_full_grid_network.encode(images)
    together = a_full_grid_network.decode(features, coords, kinds, logits, regions=regions)
    for number in range(6):
        part = slice(number, number + 1)
        own = a_full_grid_network.encode(images[number // 3 : number // 3 + 1])
        alone = a_full_grid_network.decode(own, coords[part], kinds[part], logits[part], regions=regions[part])
        torch.testing.assert_close(together[part], alone, atol=1e-3, rtol=1e-3)


def test_a_network_without_a_stem_gives_logits_for_every_voxel_too():
    torch.manual_seed(0)
    network = build_network(SMALL_FULL_GRID.with_(stem_channels=())).eval().requires_grad_(False)
    logits = network.decode(network.encode(some_images()), *some_prompts(1))
    assert logits.shape == (1, 1, SIZE, SIZE, SIZE) and logits.isfinite().all()


def test_a_network_without_token_blocks_has_fewer_tensors_and_gives_other_logits(a_full_grid_network, an_encoding):
    network = build_network(SMALL_FULL_GRID.with_(token_blocks=0)).eval().requires_grad_(False)
    state = a_full_grid_network.state_dict()
    missing = set(state) - set(network.state_dict())
    assert missing and all("token_blocks" in name for name in missing)
    network.load_state_dict({name: value for name, value in state.items() if name not in missing})
    found, expected = (net.decode(an_encoding, *some_prompts(1)) for net in (network, a_full_grid_network))
    assert (found - expected).abs().max() > 1e-3


def test_fresh_logits_are_calm():
    torch.manual_seed(0)
    network = build_network(SMALL_FULL_GRID)
    with torch.no_grad():
        logits = network.decode(network.encode(some_images()), *some_prompts(1))
    assert 0 < logits.abs().max() < 3


def test_what_an_interaction_memory_keeps_is_a_token_and_the_mask_it_led_to(a_full_grid_network):
    encoder, image = a_full_grid_network.prompt_encoder, some_images()
    coords, kinds = torch.full((1, 1, 3), 12.0), torch.tensor([[POINT_IN]])
    token, mask = encoder.memory_of(coords, kinds, image, some_logits())
    channels, grid = SMALL_FULL_GRID.embedding_channels, SMALL_FULL_GRID.grid
    assert token.shape == (1, channels) and mask.shape == (1, channels, grid, grid, grid)
    assert torch.equal(token, encoder.token_of(coords, kinds))
    assert not torch.equal(mask, encoder.memory_of(coords, kinds, image, -some_logits())[1])
    assert not torch.equal(token, encoder.token_of(coords, torch.tensor([[POINT_OUT]])))


def test_what_is_drawn_for_a_click_serves_a_training_after_it(a_full_grid_network):
    """Tables that are kept between calls may be made under inference mode first."""
    network = build_network(SMALL_FULL_GRID.with_(heads=4))  # rotary tables that no other test has made
    with torch.inference_mode():
        network.decode(network.encode(some_images()), *some_prompts(1))
    network.decode(network.encode(some_images()), *some_prompts(1)).mean().backward()
    assert network.image_encoder.blocks[1].attn.qkv.weight.grad.abs().max() > 0
