"""Weights of an interaction memory: what is saved is what is loaded, and nothing else is."""

from __future__ import annotations

import copy
import json
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from MemorizingSAM3DLib.engine.errors import CheckpointError
from MemorizingSAM3DLib.engine.interaction_memory import conditioning
from MemorizingSAM3DLib.engine.interaction_memory.conditioning import (
    InteractionMemory,
    load_default_interaction_memory,
    load_interaction_memory,
    save_interaction_memory,
)
from MemorizingSAM3DLib.engine.models.weights_file import PRECISIONS, encoder_fingerprint, write_weights
from MemorizingSAM3DLib.engine.networks.memory_attention import InteractionConfig
from MemorizingSAM3DLib.engine.networks.sam3d import build_network
from Testing.engine.small_memories import ALL_KINDS, a_memory, a_network, an_attention
from Testing.engine.small_networks import SMALL_NATIVE

NETWORK = a_network()


def another_network():
    """Of the same architecture, with other weights."""
    torch.manual_seed(99)
    return build_network(NETWORK.config)


def of_the_same_encoder():
    """Another decoder behind the same image encoder."""
    network = another_network()
    network.image_encoder.load_state_dict(NETWORK.image_encoder.state_dict())
    return network


def states_of(memory: InteractionMemory) -> dict[str, torch.Tensor]:
    parts = {"": memory.attention.state_dict(), "p.": memory.prompt_encoder or {}, "m.": memory.mask_decoder or {}}
    return {prefix + name: tensor for prefix, part in parts.items() for name, tensor in part.items()}


@pytest.fixture
def a_path(tmp_path):
    return tmp_path / "interaction_memory_small.safetensors"


@pytest.fixture
def a_file(a_path):
    save_interaction_memory(a_path, a_memory(NETWORK, tuned=True), NETWORK, "float32")
    return a_path


def rewritten(path, **changes) -> None:
    """The file with other metadata; None leaves a key out."""
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() | changes
    save_file(load_file(path), path, {key: value for key, value in metadata.items() if value is not None})


# There and back


@pytest.mark.parametrize("tuned", [False, True])
@pytest.mark.parametrize("kinds", ALL_KINDS)
def test_in_float32_it_comes_back_bit_for_bit(a_path, kinds, tuned):
    memory = replace(a_memory(NETWORK, kinds, tuned=tuned, from_first_click=tuned), modalities=("CT", "PT"))
    save_interaction_memory(a_path, memory, NETWORK, "float32")
    loaded = load_interaction_memory(a_path, NETWORK)
    before, after = states_of(memory), states_of(loaded)
    assert before.keys() == after.keys()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert (loaded.config, loaded.facts, loaded.from_first_click) == (memory.config, memory.facts, tuned)
    assert loaded.modalities == ("CT", "PT")
    assert (loaded.prompt_encoder is None, loaded.mask_decoder is None) == (not tuned, not tuned)


@pytest.mark.parametrize("family", ["native", "published"])
@pytest.mark.parametrize(("precision", "error"), [("float32", 0), ("float16", 1e-3), ("int8", 1e-2)])
def test_every_precision_comes_back_close(a_path, family, precision, error):
    network = a_network(family)
    memory = a_memory(network, tuned=True)
    save_interaction_memory(a_path, memory, network, precision)
    after = states_of(load_interaction_memory(a_path, network))
    for name, tensor in states_of(memory).items():
        assert after[name].dtype == torch.float32
        assert (after[name] - tensor).abs().max() <= error * tensor.abs().max(), name


def test_every_precision_takes_less_room_than_the_last(a_path):
    sizes = []
    for precision in PRECISIONS:
        save_interaction_memory(a_path, a_memory(NETWORK, tuned=True), NETWORK, precision)
        sizes.append(a_path.stat().st_size)
    assert sizes == sorted(sizes, reverse=True) and sizes[0] > 2 * sizes[2]


@pytest.mark.parametrize("part", ["prompt_encoder", "mask_decoder"])
def test_one_part_may_be_replaced_alone(a_path, part):
    tuned = a_memory(NETWORK, tuned=True)
    memory = InteractionMemory(tuned.attention, **{part: getattr(tuned, part)})
    save_interaction_memory(a_path, memory, NETWORK, "float32")
    network = load_interaction_memory(a_path, NETWORK).decoding_network(NETWORK)
    other = {"prompt_encoder": "mask_decoder", "mask_decoder": "prompt_encoder"}[part]
    assert getattr(network, other) is getattr(NETWORK, other)
    assert network.image_encoder is NETWORK.image_encoder
    replaced = getattr(network, part).state_dict()
    assert all(torch.equal(replaced[name], tensor) for name, tensor in getattr(tuned, part).items())


def test_tensors_that_were_not_tuned_are_left_out_and_taken_from_the_network(a_path):
    memory = a_memory(NETWORK, tuned=True)
    own = NETWORK.mask_decoder.state_dict()
    tuned = {name: tensor if "upscaling" in name else own[name] for name, tensor in memory.mask_decoder.items()}
    memory = InteractionMemory(memory.attention, None, tuned)
    save_interaction_memory(a_path, memory, NETWORK, "float32")
    stored = {name for name in load_file(a_path) if name.startswith("mask_decoder.")}
    left_out = {name for name, tensor in own.items() if "upscaling" not in name and tensor.numel() >= 4096}
    assert left_out and stored == {f"mask_decoder.{name}" for name in own if name not in left_out}
    loaded = load_interaction_memory(a_path, NETWORK).mask_decoder
    assert all(torch.equal(loaded[name], tensor) for name, tensor in tuned.items())
    with pytest.raises(CheckpointError, match="another decoder"):
        load_interaction_memory(a_path, of_the_same_encoder())


def test_where_nothing_was_tuned_the_network_itself_decodes():
    assert a_memory(NETWORK).decoding_network(NETWORK) is NETWORK


def test_the_decoding_network_leaves_the_plain_one_and_the_memory_alone():
    memory = a_memory(NETWORK, tuned=True)
    plain = {name: tensor.clone() for name, tensor in NETWORK.state_dict().items()}
    network = memory.decoding_network(NETWORK)
    for parameter in [*network.prompt_encoder.parameters(), *network.mask_decoder.parameters()]:
        parameter.data.fill_(3)
    assert all(torch.equal(NETWORK.state_dict()[name], tensor) for name, tensor in plain.items())
    assert all(torch.equal(one, other) for one, other in zip(
        states_of(memory).values(), states_of(a_memory(NETWORK, tuned=True)).values(), strict=True))  # fmt: skip


def test_loaded_it_is_ready_to_hear_and_not_to_learn(a_file):
    attention = load_interaction_memory(a_file, NETWORK).attention
    assert not attention.training
    assert not any(parameter.requires_grad for parameter in attention.parameters())


def test_it_fits_every_network_with_the_same_image_encoder(a_file):
    assert load_interaction_memory(a_file, of_the_same_encoder()).facts == {"cases": 3}


# Refusals


def test_a_memory_of_another_encoder_is_refused(a_file):
    with pytest.raises(CheckpointError, match="trained with another model") as error:
        load_interaction_memory(a_file, another_network())
    assert "train-memory" in error.value.remedy


def test_a_memory_for_other_embeddings_is_refused(a_path):
    memory = a_memory(build_network(SMALL_NATIVE))  # two tokens an edge, not four
    for refused in (memory.check_fit, memory.decoding_network):
        with pytest.raises(CheckpointError, match="64 channels on 2 tokens an edge; this model has 64 on 4"):
            refused(NETWORK)
    with pytest.raises(CheckpointError, match="64 channels on 2 tokens"):
        save_interaction_memory(a_path, memory, NETWORK)
    assert not a_path.exists()


def test_a_file_that_says_it_fits_but_does_not_is_refused(a_file):
    rewritten(a_file, config=json.dumps(InteractionConfig(64, 5, 2, 8).to_dict()))
    with pytest.raises(CheckpointError, match="64 channels on 5 tokens"):
        load_interaction_memory(a_file, NETWORK)


def test_what_is_not_there_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_interaction_memory(tmp_path / "nothing.safetensors", NETWORK)


@pytest.mark.parametrize("kept", [0, 5, 200, -7])
def test_a_damaged_file_is_refused(a_file, kept):
    a_file.write_bytes(a_file.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match="empty|truncated|not a safetensors"):
        load_interaction_memory(a_file, NETWORK)


def test_a_foreign_file_is_refused(a_path):
    a_path.write_text("patient data, say")
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        load_interaction_memory(a_path, NETWORK)
    write_weights(a_path, NETWORK.state_dict(), {"format": "memorizing-sam3d"})
    with pytest.raises(CheckpointError, match="no interaction memory") as error:
        load_interaction_memory(a_path, NETWORK)
    assert "train-memory" in error.value.remedy


@pytest.mark.parametrize(("version", "said"), [("2", "version 2"), (None, "version none")])
def test_another_version_is_refused(a_file, version, said):
    rewritten(a_file, format_version=version)
    with pytest.raises(CheckpointError, match=f"{said}; this program reads version 1") as error:
        load_interaction_memory(a_file, NETWORK)
    assert error.value.remedy == "Update MemorizingSAM3D."


@pytest.mark.parametrize("key", ["config", "training", "replaces", "from_first_click"])
@pytest.mark.parametrize("value", [None, "", "{", "7", '"text"', "[" * 100_000, "null"], ids=lambda v: repr(v)[:9])
def test_a_file_that_describes_itself_wrongly_is_refused(a_file, key, value):
    rewritten(a_file, **{key: value})
    with pytest.raises(CheckpointError, match="describes itself wrongly"):
        load_interaction_memory(a_file, NETWORK)


@pytest.mark.parametrize("replaces", [["image_encoder"], ["config"], ["__class__"], [3], [["mask_decoder"]]], ids=str)
def test_a_file_replaces_nothing_but_prompt_encoder_and_mask_decoder(a_file, replaces):
    rewritten(a_file, replaces=json.dumps(replaces))
    with pytest.raises(CheckpointError, match="describes itself wrongly"):
        load_interaction_memory(a_file, NETWORK)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"replaces": "[]"}, "unknown"),
        ({"config": json.dumps(InteractionConfig(64, 4, 2, 9).to_dict())}, r"click_times is \(8, 64\), not \(9, 64\)"),
        ({"config": json.dumps(InteractionConfig(64, 4, 2, 8, "dense").to_dict())}, "unknown"),
        ({"config": json.dumps(InteractionConfig(4096, 4, 2, 256).to_dict())}, "of another shape"),
        ({"config": json.dumps({"channels": 64})}, "other fields"),
        ({"config": json.dumps(InteractionConfig(64, 4).to_dict() | {"heads": 0})}, "heads = 0"),
    ],
    ids=["fewer parts", "a longer table", "another kind", "huge", "fields", "heads"],
)
def test_tensors_other_than_the_configurations_are_refused(a_file, changes, message):
    rewritten(a_file, **changes)
    with pytest.raises(CheckpointError, match=message):
        load_interaction_memory(a_file, NETWORK)


@pytest.mark.parametrize("change", ["missing", "left over", "shape"])
def test_wrong_tensors_are_refused(a_file, change):
    tensors = load_file(a_file)
    with safe_open(a_file, framework="pt") as file:
        metadata = file.metadata()
    name = "memory_attention.mlp.lin1.bias"
    if change == "missing":
        del tensors[name]
    elif change == "left over":
        tensors["memory_attention.more"] = torch.zeros(2)
    else:
        tensors[name] = tensors[name][1:].clone()
    save_file(tensors, a_file, metadata)
    with pytest.raises(CheckpointError, match="do not fit"):
        load_interaction_memory(a_file, NETWORK)


def test_a_training_that_diverged_is_not_saved_and_the_file_before_survives(a_file):
    before = a_file.read_bytes()
    memory = a_memory(NETWORK)
    memory.attention.mlp.lin2.weight[0, 0] = float("nan")
    with pytest.raises(CheckpointError, match="not finite"):
        save_interaction_memory(a_file, memory, NETWORK)
    assert a_file.read_bytes() == before


# The memory that comes with the package


@pytest.fixture
def the_models(tmp_path, monkeypatch):
    """The package's own folder of models, empty."""
    asked = []

    def resource_path(name):
        asked.append(name)
        return tmp_path

    monkeypatch.setattr(conditioning, "resource_path", resource_path)
    yield tmp_path
    assert set(asked) <= {"Models"}


def shipped(folder, name: str, network, cases: int = 1) -> None:
    memory = InteractionMemory(an_attention(InteractionConfig(64, network.config.grid, 2)), facts={"cases": cases})
    save_interaction_memory(folder / f"interaction_memory_{name}.safetensors", memory, network)


def test_without_shipped_files_there_is_none(the_models):
    assert load_default_interaction_memory(NETWORK) is None


def test_a_shipped_memory_of_another_encoder_is_none_of_ours(the_models):
    shipped(the_models, "other", another_network())
    assert load_default_interaction_memory(NETWORK) is None


def test_the_shipped_memory_of_this_encoder_is_found_among_others(the_models):
    shipped(the_models, "a", another_network(), cases=1)
    shipped(the_models, "b", NETWORK, cases=2)
    shipped(the_models, "c", build_network(SMALL_NATIVE), cases=3)
    assert load_default_interaction_memory(NETWORK).facts == {"cases": 2}


def test_a_model_with_another_decoder_keeps_it(the_models):
    # Fine-tuned with its encoder frozen, as train --freeze-encoder does.
    memory = a_memory(NETWORK, tuned=True)
    save_interaction_memory(the_models / "interaction_memory_x.safetensors", memory, NETWORK)
    tuned = copy.deepcopy(NETWORK)
    for parameter in tuned.mask_decoder.parameters():
        parameter.data += 0.1
    assert load_default_interaction_memory(NETWORK) is not None
    assert load_default_interaction_memory(tuned) is None
    save_interaction_memory(the_models / "interaction_memory_x.safetensors", a_memory(NETWORK), NETWORK)
    assert load_default_interaction_memory(tuned) is not None  # which replaces nothing


def test_of_several_the_last_by_name_is_taken(the_models):
    for cases, name in enumerate(("v1", "v3", "v2")):
        shipped(the_models, name, NETWORK, cases)
    assert load_default_interaction_memory(NETWORK).facts == {"cases": 1}


def test_files_of_another_name_are_not_looked_at(the_models):
    (the_models / "interaction_memory_notes.txt").write_text("notes")
    (the_models / "native.safetensors").write_text("no weights")
    assert load_default_interaction_memory(NETWORK) is None


def test_a_damaged_shipped_file_is_said(the_models):
    (the_models / "interaction_memory_x.safetensors").write_text("")
    with pytest.raises(CheckpointError, match="empty"):
        load_default_interaction_memory(NETWORK)


def test_another_folder_may_be_looked_in(the_models, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("models")
    shipped(elsewhere, "x", NETWORK)
    assert load_default_interaction_memory(NETWORK) is None
    assert load_default_interaction_memory(NETWORK, elsewhere).facts == {"cases": 1}


def test_a_fingerprint_is_of_the_image_encoder_alone():
    assert encoder_fingerprint(of_the_same_encoder()) == encoder_fingerprint(NETWORK)
    assert encoder_fingerprint(another_network()) != encoder_fingerprint(NETWORK)


def test_a_file_that_does_not_say_in_which_scans_it_is_heard_is_heard_in_all(a_file):
    rewritten(a_file, modalities=None)
    assert load_interaction_memory(a_file, NETWORK).modalities == ()


def test_in_int8_a_tuned_decoder_is_told_by_what_was_added_to_the_networks_own(a_path):
    """With few levels: rounding the weights themselves would cost more than a training changes."""
    own = NETWORK.mask_decoder.state_dict()
    generator = torch.Generator().manual_seed(3)
    tuned = {name: tensor + 1e-3 * torch.randn(tensor.shape, generator=generator) for name, tensor in own.items()}
    memory = InteractionMemory(an_attention(a_memory(NETWORK).config), None, tuned)
    save_interaction_memory(a_path, memory, NETWORK, "int8", {"": 7})
    loaded = load_interaction_memory(a_path, NETWORK).mask_decoder
    for name, tensor in tuned.items():
        assert (loaded[name] - tensor).norm() < 0.3 * (tensor - own[name]).norm(), name
    with pytest.raises(CheckpointError, match="another decoder"):
        load_interaction_memory(a_path, of_the_same_encoder())
