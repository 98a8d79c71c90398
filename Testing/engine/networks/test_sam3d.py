from __future__ import annotations

import pytest
import torch

from MemorizingSAM3DLib.engine.networks.sam3d import NativeSAM3D, PublishedSAM3D, build_network, upsample_logits
from Testing.engine.small_networks import SMALL_FASTSAM3D, SMALL_NATIVE, SMALL_SAM_MED3D

NATIVE = SMALL_NATIVE.with_(image_size=64)


@pytest.fixture(scope="module")
def a_native_network():
    torch.manual_seed(0)
    network = build_network(NATIVE).eval()
    torch.nn.init.normal_(network.mask_decoder.hyper.layers[-1].weight, std=1)  # logits that are not nearly zero
    return network


@pytest.fixture(scope="module")
def a_native_encoding(a_native_network):
    with torch.no_grad():
        return a_native_network.encode(torch.randn(1, 1, 64, 64, 64))


def clicks(count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(1, count, 3, generator=generator) * 63, torch.randint(0, 2, (1, count), generator=generator)


def test_a_configuration_makes_the_network_of_its_family():
    assert isinstance(build_network(SMALL_SAM_MED3D), PublishedSAM3D)
    assert isinstance(build_network(SMALL_FASTSAM3D), PublishedSAM3D)
    assert isinstance(build_network(NATIVE), NativeSAM3D)


@torch.no_grad()
def test_native_logits_do_not_depend_on_the_order_of_150_clicks(a_native_network, a_native_encoding):
    coords, labels = clicks(150)
    order = torch.randperm(150)
    logits = a_native_network.decode(a_native_encoding, coords, labels)
    assert logits.isfinite().all()
    shuffled = a_native_network.decode(a_native_encoding, coords[:, order], labels[:, order])
    torch.testing.assert_close(shuffled, logits, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_padded_native_clicks_change_nothing(a_native_network, a_native_encoding):
    coords, labels = clicks(3)
    previous = torch.randn(1, 1, 32, 32, 32)
    expected = a_native_network.decode(a_native_encoding, coords, labels, previous)
    padded = torch.cat([coords, clicks(4, 1)[0]], 1), torch.cat([labels, torch.full((1, 4), -1)], 1)
    found = a_native_network.decode(a_native_encoding, *padded, previous)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_sign_place_and_previous_logits_all_matter(a_native_network, a_native_encoding):
    coords, labels = clicks(2)
    logits = a_native_network.decode(a_native_encoding, coords, labels)
    for changed in (
        a_native_network.decode(a_native_encoding, coords, 1 - labels),
        a_native_network.decode(a_native_encoding, coords.flip(-1), labels),
        a_native_network.decode(a_native_encoding, coords, labels, torch.ones_like(logits)),
    ):
        assert (changed - logits).abs().max() > 1e-3


@torch.no_grad()
def test_a_native_network_is_deterministic(a_native_network, a_native_encoding):
    first, second = (a_native_network.decode(a_native_encoding, *clicks(5)) for _ in range(2))
    assert torch.equal(first, second)


@torch.no_grad()
def test_fresh_native_logits_are_calm():
    network = build_network(NATIVE)
    logits = network.decode(network.encode(torch.randn(1, 1, 64, 64, 64)), *clicks(1))
    assert 0 < logits.abs().max() < 3


@torch.no_grad()
def test_a_sparse_native_network_has_the_tensors_of_a_dense_one_and_gives_finite_logits():
    torch.manual_seed(0)
    sparse = build_network(NATIVE.with_(attention="sparse", segments=((16, 1), (64, 2))))
    dense = build_network(NATIVE)
    dense.load_state_dict(sparse.state_dict())
    image = torch.randn(1, 1, 64, 64, 64)
    found, full = (net.decode(net.encode(image), *clicks(2)) for net in (sparse, dense))
    assert found.isfinite().all()
    assert not torch.equal(found, full)


@torch.no_grad()
def test_published_networks_take_zeros_for_the_logits_before_the_first_click():
    network = build_network(SMALL_FASTSAM3D).eval()
    features = network.encode(torch.randn(1, 1, 32, 32, 32))
    coords, labels = torch.rand(1, 1, 3) * 31, torch.ones(1, 1, dtype=torch.long)
    first = network.decode(features, coords, labels)
    torch.testing.assert_close(first, network.decode(features, coords, labels, torch.zeros(1, 1, 16, 16, 16)))
    sparse, no_mask = network.prompt_encoder(points=(coords, labels))
    encoding = network.prompt_encoder.dense_positional_encoding()
    unmasked, _ = network.mask_decoder(features.embedding, encoding, sparse, no_mask)
    assert (unmasked - first).abs().max() > 1e-4


def test_only_native_networks_were_trained_on_the_whole_history():
    assert build_network(NATIVE).uses_click_history
    assert not build_network(NATIVE.with_(click_history=False)).uses_click_history
    assert not build_network(SMALL_SAM_MED3D).uses_click_history


def test_upsampled_logits_keep_their_field_of_view():
    coarse = torch.arange(4.0)[None, None, :, None, None].expand(1, 1, 4, 4, 4)
    fine = upsample_logits(coarse, 8)
    assert fine.shape == (1, 1, 8, 8, 8)
    expected = torch.tensor([0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3])  # centres of half the width: no shift
    torch.testing.assert_close(fine[0, 0, :, 3, 3], expected)
