from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from MemorizingSAM3DLib.engine.errors import CheckpointError
from MemorizingSAM3DLib.engine.geometry import CropGrid
from MemorizingSAM3DLib.engine.interaction_memory.conditioning import InteractionConditioner
from MemorizingSAM3DLib.engine.networks.memory_attention import conditioned
from MemorizingSAM3DLib.engine.networks.sam3d import build_network
from MemorizingSAM3DLib.engine.prompts import Click
from MemorizingSAM3DLib.engine.runtime.device import choose_runtime
from Testing.engine.small_memories import a_memory, a_network, seeded, some_interactions
from Testing.engine.small_networks import SMALL_NATIVE

FAMILIES = ("native", "published")


def a_recall(network, size: int = 4, **options) -> InteractionConditioner:
    return InteractionConditioner(network, a_memory(network, **options), choose_runtime("cpu"), size)


def a_crop(network) -> CropGrid:
    return CropGrid((1.0, -2.0, 3.0), 1.5, network.config.image_size)


def features_of(network):
    size = network.config.image_size
    return network.encode(torch.randn(1, 1, size, size, size, generator=seeded(1)))


def some_logits(network) -> np.ndarray:
    return np.random.default_rng(2).normal(size=[network.config.output_size] * 3).astype(np.float32)


@pytest.mark.parametrize("tuned", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_where_nothing_is_remembered_the_plain_network_decodes_what_it_encoded(family, tuned):
    network = a_network(family)
    features = features_of(network)
    decoder, attended = a_recall(network, tuned=tuned).attended(features, a_crop(network), ())
    assert decoder is network
    assert attended is features


def test_tuned_weights_decode_a_first_click_too_where_the_file_says_so():
    network = a_network()
    retrieval, features = a_recall(network, tuned=True, from_first_click=True), features_of(network)
    decoder, attended = retrieval.attended(features, a_crop(network), ())
    assert decoder is retrieval.network and decoder is not network
    assert attended is features


@pytest.mark.parametrize("tuned", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_memories_condition_the_embedding_and_the_tuned_network_decodes(family, tuned):
    network, crop = a_network(family), None
    retrieval, features, crop = a_recall(network, tuned=tuned), features_of(network), a_crop(network)
    past = some_interactions(3, retrieval.memory.config, crop)
    decoder, attended = retrieval.attended(features, crop, past)
    stack = retrieval.attention.stack([retrieval.attention.project(one.sparse, one.dense) for one in past])
    torch.testing.assert_close(attended, conditioned(retrieval.network, retrieval.attention, features, stack))
    assert decoder is retrieval.network and (decoder is network) == (not tuned)
    assert decoder.image_encoder is network.image_encoder


@pytest.mark.parametrize("tuned", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_it_remembers_the_click_and_the_mask_as_the_network_that_hears_embeds_them(family, tuned):
    network = a_network(family)
    retrieval, features, crop = a_recall(network, tuned=tuned), features_of(network), a_crop(network)
    click, logits = Click((5.0, 1.0, -4.0), positive=False), some_logits(network)
    (one,) = retrieval.remember(features, crop, click, logits, ())
    index = torch.tensor(crop.ras_to_index(click.ras)).float()[None, None]
    encoder = retrieval.network.prompt_encoder
    token, dense = encoder.memory_of(index, torch.tensor([[0]]), features.image, torch.tensor(logits)[None, None])
    assert (one.number, one.click, one.grid) == (0, click, crop)
    assert torch.equal(one.sparse, token) and torch.equal(one.dense, dense)
    assert dense.shape == features.embedding.shape and token.shape == dense.shape[:2]


def test_it_remembers_the_last_ones_and_counts_on():
    network = a_network()
    retrieval, features, crop, logits = (
        a_recall(network, size=3),
        features_of(network),
        a_crop(network),
        some_logits(network),
    )
    past, states = (), []
    for _ in range(5):
        past = retrieval.remember(features, crop, Click((0.0, 0.0, 0.0)), logits, past)
        states.append(past)
    assert [[one.number for one in state] for state in states] == [[0], [0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 4]]
    assert states[4][0] is states[3][1] is states[2][2]  # shared, not copied


def test_another_size_hears_another_number():
    network = a_network()
    retrieval, features, crop = a_recall(network, size=2), features_of(network), a_crop(network)
    past = some_interactions(4, retrieval.memory.config, crop)
    of_two = retrieval.attended(features, crop, past)[1].embedding
    retrieval.resize(3)
    of_three = retrieval.attended(features, crop, past)[1].embedding
    assert torch.equal(of_three, a_recall(network, size=3).attended(features, crop, past)[1].embedding)
    assert not torch.equal(of_two, of_three)


@pytest.mark.parametrize("size", [0, 257])
def test_a_size_that_cannot_be_is_refused_and_the_bank_stays(size):
    retrieval = a_recall(a_network())
    bank = retrieval.bank
    with pytest.raises(ValueError, match="1 to 256"):
        retrieval.resize(size)
    assert retrieval.bank is bank


def test_a_memory_for_other_embeddings_is_refused():
    memory = a_memory(build_network(SMALL_NATIVE))
    with pytest.raises(CheckpointError, match="2 tokens an edge"):
        InteractionConditioner(a_network(), memory, choose_runtime("cpu"), 4)


def test_its_modules_are_all_that_compute():
    network = a_network()
    retrieval = a_recall(network, tuned=True)
    modules = retrieval.modules()
    assert {retrieval.attention.mlp.lin2, retrieval.network.mask_decoder.hyper, network.image_encoder} <= modules
    assert not any(module.training for module in modules)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_was_prepared_is_heard_to_the_same_bits_without_being_computed_again(family, monkeypatch):
    network = a_network(family)
    retrieval, features, crop = a_recall(network), features_of(network), a_crop(network)
    past = some_interactions(3, retrieval.memory.config, crop)
    expected = retrieval.attended(features, crop, past)[1].embedding
    retrieval.prepare(features, crop, past)
    calls = []
    monkeypatch.setattr(retrieval.attention, "forward", lambda *given: calls.append(given))
    assert torch.equal(retrieval.attended(features, crop, list(past))[1].embedding, expected)
    assert calls == []


@pytest.mark.parametrize("change", ["memories", "crop", "size", "forgotten"])
def test_what_was_prepared_for_something_else_is_not_heard(change):
    network = a_network()
    retrieval, features, crop = a_recall(network, size=3), features_of(network), a_crop(network)
    past = some_interactions(3, retrieval.memory.config, crop)
    retrieval.prepare(features, crop, past)
    if change == "memories":
        past = past[:2]
    elif change == "crop":
        features = features._replace(embedding=features.embedding * 2)
    elif change == "size":
        retrieval.resize(2)
    else:
        retrieval.forget()
        assert retrieval._prepared is None
    fresh = a_recall(network, size=retrieval.bank.size).attended(features, crop, past)[1].embedding
    assert torch.equal(retrieval.attended(features, crop, past)[1].embedding, fresh)


def test_without_memories_nothing_is_prepared():
    network = a_network()
    retrieval = a_recall(network)
    retrieval.prepare(features_of(network), a_crop(network), ())
    assert retrieval._prepared is None


def test_of_other_crops_the_newest_few_in_view_are_heard():
    network = a_network()
    retrieval, features, crop = a_recall(network, size=20), features_of(network), a_crop(network)
    other = CropGrid((3.0, -2.0, 3.0), 1.5, crop.size)
    own = some_interactions(10, retrieval.memory.config, crop)
    inside, outside = Click((1.0, -2.0, 3.0)), Click((1000.0, 0.0, 0.0))
    past = [replace(one, grid=other, click=inside) for one in own[:6]]
    past += [replace(own[6], grid=other, click=outside), own[7], replace(own[8], grid=other, click=inside), own[9]]
    assert [one.number for one in retrieval._near(past, crop)] == [3, 4, 5, 7, 8, 9]

    far = [replace(one, grid=other, click=outside) for one in own]
    decoder, attended = retrieval.attended(features, crop, far)
    assert decoder is network and attended is features
    retrieval.prepare(features, crop, far)
    assert retrieval._prepared is None
