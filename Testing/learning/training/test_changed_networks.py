from __future__ import annotations

import pytest
import torch

from MemorizingSAM3DLib.engine.networks.sam3d import NativeSAM3D
from MemorizingSAM3DLib.learning.processes import TrainingError
from MemorizingSAM3DLib.learning.training.changed_networks import for_other_crops
from Testing.engine.small_networks import SMALL_NATIVE


@pytest.fixture
def a_network() -> NativeSAM3D:
    torch.manual_seed(2)
    network = NativeSAM3D(SMALL_NATIVE.with_(image_size=64))
    for name, parameter in network.named_parameters():
        if "rel_pos" in name or "pos_embed" in name:
            torch.nn.init.normal_(parameter)
    return network


@pytest.mark.parametrize("size", [32, 48, 64, 128])
def test_a_network_for_other_crops_encodes_and_decodes_them(a_network, size):
    other = for_other_crops(a_network, a_network.config.with_(image_size=size))
    features = other.encode(torch.randn(1, 1, size, size, size))
    logits = other.decode(features, torch.full((1, 1, 3), size / 2), torch.tensor([[1]]))
    assert logits.shape == (1, 1, size // 2, size // 2, size // 2)
    assert torch.isfinite(logits).all()


def test_for_the_same_crops_it_is_the_same_network(a_network):
    other = for_other_crops(a_network, a_network.config)
    for (name, a), b in zip(a_network.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_all_but_positions_is_taken_over_as_it_is(a_network):
    other = for_other_crops(a_network, a_network.config.with_(image_size=96)).state_dict()
    for name, tensor in a_network.state_dict().items():
        if "rel_pos" not in name and "pos_embed" not in name:
            assert torch.equal(tensor, other[name]), name


def test_relative_positions_mean_the_same_distance_in_tokens(a_network):
    old = a_network.image_encoder.blocks[1].attn.rel_pos_d
    smaller = for_other_crops(a_network, a_network.config.with_(image_size=32)).image_encoder.blocks[1].attn.rel_pos_d
    larger = for_other_crops(a_network, a_network.config.with_(image_size=96)).image_encoder.blocks[1].attn.rel_pos_d
    assert torch.equal(smaller, old[2:5])  # -1, 0, 1 of -3 to 3
    assert torch.equal(larger[2:9], old)
    assert torch.equal(larger[:2], old[:1].expand(2, -1)) and torch.equal(larger[-2:], old[-1:].expand(2, -1))


def test_absolute_positions_are_interpolated_over_the_crop(a_network):
    table = a_network.image_encoder.pos_embed
    half = for_other_crops(a_network, a_network.config.with_(image_size=32)).image_encoder.pos_embed
    assert half.shape[1:4] == (2, 2, 2)
    torch.testing.assert_close(half[0, 0, 0, 0], table[0, :2, :2, :2].mean((0, 1, 2)))


def test_what_would_need_other_weights_is_refused(a_network):
    with pytest.raises(TrainingError, match="keeps its depth, width"):
        for_other_crops(a_network, a_network.config.with_(width=96, depth=5))
