from __future__ import annotations

import json

import pytest
import torch
from safetensors import safe_open

from MemorizingSAM3DLib.engine.interaction_memory.conditioning import (
    load_default_interaction_memory,
    load_interaction_memory,
)
from MemorizingSAM3DLib.engine.models.checkpoints import load, save_native
from MemorizingSAM3DLib.engine.networks.sam3d import build_network
from MemorizingSAM3DLib.learning.training.log import read_log
from Testing.cli.test_train import QUICK, run
from Testing.engine.small_networks import SMALL_NATIVE
from Testing.learning.small_files import a_manifest

SHORT = ("--longest", 6, "--window", 2)


@pytest.fixture
def a_start(tmp_path):
    torch.manual_seed(1)
    save_native(build_network(SMALL_NATIVE), tmp_path / "start.safetensors", {"steps": 9}, "float32")
    return tmp_path / "start.safetensors"


@pytest.fixture
def train_memory(tmp_path, a_start):
    manifest = a_manifest(tmp_path)
    common = ("train-memory", "--from", a_start, "--manifest", manifest, *QUICK, *SHORT)
    return lambda *arguments, out="run": run(*common, "--out", tmp_path / out, *arguments)


def test_train_memory_writes_the_memory_with_its_decoder_and_how_it_was_made(tmp_path, a_start, train_memory):
    result = train_memory("--steps", 2, "--bank-size", 5, "--seed", 3)
    assert result.exit_code == 0, result.output
    assert "interaction_memory.safetensors after 2 steps" in result.output
    network = load(a_start).network
    memory = load_interaction_memory(tmp_path / "run" / "interaction_memory.safetensors", network)
    assert (memory.config.capacity, memory.config.kinds, memory.from_first_click) == (5, "both", False)
    facts = dict(memory.facts)
    assert facts.pop("from")["training"] == {"steps": 9} and facts.pop("hours") >= 0
    assert facts == {
        "steps": 2, "batch": 2, "memory": "both", "bank_size": 5, "window": 2, "longest": 6, "stay": 1,
        "decoder_frozen": False, "transformer_frozen": False, "from_first_click": False, "datasets": ["one"],
        "cases": 2, "synthetic_share": 0.0, "seed": 3,
    }  # fmt: skip
    tuned, own = memory.mask_decoder, network.mask_decoder.state_dict()
    assert any(not torch.equal(tuned[name], value) for name, value in own.items())
    assert [line["step"] for line in read_log(tmp_path / "run" / "log.csv")] == [1, 2]
    assert (tmp_path / "run" / "curves.png").read_bytes().startswith(b"\x89PNG")
    about = json.loads((tmp_path / "run" / "run.json").read_text())
    assert about["options"]["schedule"] == "steps" and about["network"]["interaction"]["capacity"] == 5


def test_the_same_command_goes_on_where_time_was_up(tmp_path, train_memory):
    assert "Stopped at step 1 of 2" in train_memory("--steps", 2, "--minutes", 0).output
    assert "after 2 steps" in train_memory("--steps", 2).output
    assert [line["step"] for line in read_log(tmp_path / "run" / "log.csv")] == [1, 2]
    result = train_memory("--steps", 3, "--memory-types", "sparse")
    assert result.exit_code == 1 and "another network" in result.output


def test_without_memory_a_model_is_written_whose_encoder_is_the_old_one(tmp_path, a_start, train_memory):
    result = train_memory("--steps", 1, "--without-memory", "--cases", "1")
    assert result.exit_code == 0, result.output
    old, new = load(a_start), load(tmp_path / "run" / "model.safetensors")
    assert new.training["memory"] is None and new.training["cases"] == 1
    for name, value in old.network.state_dict().items():
        if name.startswith("image_encoder."):
            assert torch.equal(new.network.state_dict()[name], value), name


def test_a_frozen_decoder_is_not_written(tmp_path, a_start, train_memory):
    result = train_memory("--steps", 1, "--freeze-decoder", "--memory-types", "sparse", "--from-first-click")
    assert result.exit_code == 0, result.output
    memory = load_interaction_memory(tmp_path / "run" / "interaction_memory.safetensors", load(a_start).network)
    assert memory.prompt_encoder is None and memory.mask_decoder is None
    assert memory.config.kinds == "sparse" and memory.from_first_click


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--memory-types", "some"), 2, "both, sparse, dense"),
        (("--without-memory", "--freeze-decoder"), 2, "nothing is left to train"),
        (("--window", 9), 2, "--longest"),
        (("--window", 2, "--updates-per-batch", 4), 2, "--longest"),
        (("--cases", "120%"), 1, "no amount of cases"),
        (("--cases", "few"), 1, "no amount of cases"),
    ],
)
def test_what_cannot_be_trained_is_said(train_memory, arguments, code, words):
    result = train_memory("--steps", 1, *arguments)
    assert result.exit_code == code and words in result.output, result.output


def test_a_frozen_transformer_stays_and_the_upscaling_is_tuned(tmp_path, a_start, train_memory):
    result = train_memory("--steps", 3, "--freeze-transformer", "--updates-per-batch", 3)
    assert result.exit_code == 0, result.output
    network = load(a_start).network
    memory = load_interaction_memory(tmp_path / "run" / "interaction_memory.safetensors", network)
    assert memory.facts["transformer_frozen"] and memory.facts["stay"] == 3
    own = network.mask_decoder.state_dict()
    changed = {name for name, value in memory.mask_decoder.items() if not torch.equal(value, own[name])}
    assert changed and not any(name.startswith("transformer.") for name in changed)


def test_what_was_trained_is_the_default_of_the_model_that_was_begun_with(tmp_path, a_start, train_memory):
    assert train_memory("--steps", 1).exit_code == 0
    (tmp_path / "run" / "interaction_memory.safetensors").rename(tmp_path / "run" / "interaction_memory_1.safetensors")
    assert load_default_interaction_memory(load(a_start).network, tmp_path / "run") is not None


def test_a_trained_memory_is_packed_with_fewer_levels(tmp_path, a_start, train_memory):
    assert train_memory("--steps", 1).exit_code == 0
    packed = tmp_path / "packed.safetensors"
    given = (
        "--from",
        a_start,
        "--levels",
        "memory_attention=7",
        "--modality",
        "CT",
        "--modality",
        "PT",
    )
    done = run("checkpoint", "pack", tmp_path / "run", packed, *given)
    assert done.exit_code == 0, done.output
    network = load(a_start).network
    memories = [
        load_interaction_memory(path, network) for path in (packed, tmp_path / "run" / "interaction_memory.safetensors")
    ]
    assert memories[0].facts == memories[1].facts
    assert [memory.modalities for memory in memories] == [("CT", "PT"), ()]
    rounded, whole = (memory.attention.mlp.lin1.weight for memory in memories)
    assert 0 < (rounded - whole).norm() < 0.15 * whole.norm()
    with safe_open(packed, framework="pt") as file:
        weight = file.get_tensor("memory_attention.mlp.lin1.weight")
    assert weight.dtype == torch.int8 and weight.abs().max() == 7
