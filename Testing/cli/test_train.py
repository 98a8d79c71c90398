from __future__ import annotations

import json

import pytest
import torch
from typer.testing import CliRunner

from MemorizingSAM3DLib.cli import app
from MemorizingSAM3DLib.engine.models.checkpoints import load, save_native
from MemorizingSAM3DLib.engine.networks.config import NetworkConfig
from MemorizingSAM3DLib.engine.networks.sam3d import build_network
from MemorizingSAM3DLib.engine.session.remember_case import open_case_retrieval
from MemorizingSAM3DLib.learning.data.manifest import read_manifest
from MemorizingSAM3DLib.learning.data.pack import write_pack
from MemorizingSAM3DLib.learning.training.log import read_log
from MemorizingSAM3DLib.learning.training.trainer import read_state
from Testing.engine.small_networks import SMALL_FASTSAM3D, SMALL_FULL_GRID, SMALL_NATIVE, small_state
from Testing.learning.small_cases import a_case
from Testing.learning.small_files import a_manifest, write_volume


def fields_of(config: NetworkConfig) -> list[str]:
    fields = {name: value for name, value in config.to_dict().items() if name != "family"}
    return [part for name, value in fields.items() for part in ("--set", f"{name}={json.dumps(value)}")]


SMALL, SMALL_FULL = fields_of(SMALL_NATIVE), fields_of(SMALL_FULL_GRID)
QUICK = ("--batch", 2, "--workers", 0, "--device", "cpu")


def run(*arguments: object):
    return CliRunner(env={"COLUMNS": "300"}).invoke(app, [*map(str, arguments)])


def train(manifest, out, *arguments: object, network=SMALL):
    return run("train", "--manifest", manifest, "--out", out, *network, *QUICK, *arguments)


@pytest.fixture
def a_start(tmp_path):
    torch.manual_seed(1)
    save_native(build_network(SMALL_NATIVE), tmp_path / "start.safetensors", {"steps": 9}, "float32")
    return tmp_path / "start.safetensors"


def test_train_writes_a_model_a_log_curves_and_how_it_was_made(tmp_path):
    result = train(a_manifest(tmp_path), tmp_path / "run", "--steps", 2, "--seed", 3)
    assert result.exit_code == 0, result.output
    checkpoint = load(tmp_path / "run" / "model.safetensors")
    assert checkpoint.config == SMALL_NATIVE
    assert checkpoint.training | {"hours": 0} == {
        "steps": 2, "batch": 2, "hours": 0, "from": None, "encoder_frozen": False, "datasets": ["one"], "cases": 2,
        "synthetic_share": 0.22, "skip_dropout": 0.0, "token_loss": 0.0, "seed": 3,
    }  # fmt: skip
    assert [line["step"] for line in read_log(tmp_path / "run" / "log.csv")] == [1, 2]
    assert (tmp_path / "run" / "curves.png").read_bytes().startswith(b"\x89PNG")
    about = json.loads((tmp_path / "run" / "run.json").read_text())
    assert about["options"]["steps"] == 2 and about["network"]["depth"] == 2 and about["device"] == "cpu"


def test_a_network_with_logits_on_the_full_grid_is_trained_with_every_kind_of_prompt_and_target(tmp_path):
    write_volume(tmp_path / "maps" / "label.nii.gz", a_case().labels)
    write_volume(tmp_path / "scans" / "image.nii.gz", a_case(seed=9).image)
    result = train(
        a_manifest(tmp_path), tmp_path / "run", "--steps", 2, "--optimizer", "muon", "--schedule", "constant",
        "--precision", "float32", "--average", 0.9, "--targets", 3, "--clicks", 1, "--supervoxels", 0.3,
        "--synthetic", 0.4, "--label-maps", tmp_path / "maps", "--unlabelled", tmp_path / "scans",
        network=SMALL_FULL,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    checkpoint = load(tmp_path / "run" / "model.safetensors")
    assert checkpoint.config == SMALL_FULL_GRID
    facts = {"steps": 2, "cases": 2, "synthetic_share": 0.4, "rounds": 1, "skip_dropout": 0.2, "token_loss": 0.3}
    assert checkpoint.training | facts == checkpoint.training
    options = json.loads((tmp_path / "run" / "run.json").read_text())["options"]
    chosen = {"optimizer": "muon", "schedule": "constant", "precision": "float32", "ema": 0.9}
    assert options | chosen == options


@pytest.mark.parametrize("option", ["schedule", "optimizer", "precision"])
def test_a_choice_that_there_is_not_is_told_with_those_that_there_are(tmp_path, option):
    result = train(a_manifest(tmp_path), tmp_path / "run", f"--{option}", "other")
    assert result.exit_code == 2 and "'other' is not one of" in result.output


@pytest.mark.parametrize(("option", "message"), [("label-maps", "no label map"), ("unlabelled", "no scan")])
def test_a_folder_with_nothing_to_train_on_is_told(tmp_path, option, message):
    (tmp_path / "empty").mkdir()
    given = (f"--{option}", tmp_path / "empty")
    result = train(a_manifest(tmp_path), tmp_path / "run", *given, network=SMALL_FULL)
    assert result.exit_code == 1 and message in result.output


def test_the_same_command_goes_on_where_time_was_up(tmp_path):
    manifest = a_manifest(tmp_path)
    result = train(manifest, tmp_path / "run", "--steps", 3, "--minutes", 0)
    assert result.exit_code == 0 and "Stopped at step 1 of 3" in result.output
    result = train(manifest, tmp_path / "run", "--steps", 3)
    assert result.exit_code == 0 and "after 3 steps" in result.output
    assert [line["step"] for line in read_log(tmp_path / "run" / "log.csv")] == [1, 2, 3]


@pytest.mark.parametrize("crops", ["device", "workers"])
def test_train_takes_a_pack_in_place_of_a_manifest(tmp_path, crops):
    manifest = a_manifest(tmp_path)
    write_pack(tmp_path, read_manifest(manifest), tmp_path / "all.pack")
    manifest.unlink()
    arguments = ("--steps", 1, "--cache", tmp_path / "cache", "--crops", crops)
    result = train(tmp_path / "all.pack", tmp_path / "run", *arguments)
    assert result.exit_code == 0, result.output
    assert load(tmp_path / "run" / "model.safetensors").training["cases"] == 2


def test_without_a_manifest_all_volumes_are_synthetic(tmp_path):
    result = run("train", "--out", tmp_path / "run", *SMALL, *QUICK, "--steps", 1)
    assert result.exit_code == 0, result.output
    training = load(tmp_path / "run" / "model.safetensors").training
    assert (training["cases"], training["synthetic_share"]) == (0, 1.0)


def test_a_model_is_fine_tuned_on_cases_of_ones_own_with_its_encoder_frozen(tmp_path, a_start):
    manifest = a_manifest(tmp_path, count=1)
    arguments = ("--from", a_start, "--freeze-encoder", "--steps", 2, "--synthetic", 0)
    result = train(manifest, tmp_path / "run", *arguments, network=[])
    assert result.exit_code == 0, result.output
    start, trained = load(a_start), read_state(tmp_path / "run")["network"]
    for name, value in start.network.named_parameters():
        assert torch.equal(trained[name], value) == name.startswith("image_encoder."), name
    training = load(tmp_path / "run" / "model.safetensors").training
    assert training["from"]["sha256"] == start.sha256 and training["from"]["training"] == {"steps": 9}
    options = json.loads((tmp_path / "run" / "run.json").read_text())["options"]
    assert options["learning_rate"] == 1e-4

    result = train(manifest, tmp_path / "run", "--from", a_start, "--steps", 3, network=[])
    assert result.exit_code == 1 and "trains other parameters" in result.output


def test_a_model_is_gone_on_from_with_crops_of_another_size(tmp_path, a_start):
    result = train(a_manifest(tmp_path), tmp_path / "run", "--from", a_start, "--steps", 1,
                   network=["--set", "image_size=48"])  # fmt: skip
    assert result.exit_code == 0, result.output
    assert load(tmp_path / "run" / "model.safetensors").config == SMALL_NATIVE.with_(image_size=48)
    other = train(a_manifest(tmp_path), tmp_path / "other", "--from", a_start, network=["--set", "depth=3"])
    assert other.exit_code == 1 and "keeps its depth" in other.output and "image_size" in other.output


def test_only_native_models_are_gone_on_from(tmp_path):
    torch.save({"model_state_dict": small_state(SMALL_FASTSAM3D)}, tmp_path / "published.pth")
    cache = {"MEMORIZING_SAM3D_CACHE": str(tmp_path / "cache")}
    arguments = ["train", "--from", str(tmp_path / "published.pth"), "--out", str(tmp_path / "run"), "--steps", "1"]
    result = CliRunner(env={"COLUMNS": "300", **cache}).invoke(app, arguments)
    assert result.exit_code == 1 and "published network (fastsam3d)" in result.output and "distill" in result.output
    result = train(a_manifest(tmp_path), tmp_path / "run", "--from", tmp_path / "missing.safetensors", network=[])
    assert result.exit_code == 1 and "There is no checkpoint" in result.output


@pytest.mark.parametrize(
    ("change", "message"),
    [("dpeth=4", "names no field"), ("depth", "names no field"), ("depth=0", "makes no network"),
     ("attention=fast", "one of dense, sparse, column")],
)  # fmt: skip
def test_changes_that_make_no_network_are_told(tmp_path, change, message):
    result = train(a_manifest(tmp_path), tmp_path / "run", network=["--set", change])
    assert result.exit_code == 1 and message in result.output


def test_wrong_usage_is_told(tmp_path, a_start):
    manifest = a_manifest(tmp_path)
    assert train(manifest, tmp_path / "run", "--crops", "elsewhere").exit_code == 2


def test_scans_of_non_commercial_licences_are_left_out_unless_asked_for(tmp_path):
    manifest = a_manifest(tmp_path, licence="CC BY-NC 4.0")
    result = train(manifest, tmp_path / "run", "--steps", 1)
    assert result.exit_code == 1 and "no training case" in result.output and "--include-nc" in result.output
    assert train(manifest, tmp_path / "run", "--steps", 1, "--include-nc").exit_code == 0


def test_a_case_that_cannot_be_used_is_told(tmp_path):
    manifest = a_manifest(tmp_path)
    (tmp_path / "one" / "1" / "label.nii.gz").unlink()
    result = train(manifest, tmp_path / "run", "--steps", 1)
    assert result.exit_code == 1 and "one/1 cannot be read: there is no file" in result.output


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_computed(tmp_path):
    (tmp_path / "run").write_text("a file where a folder should be")
    result = train(a_manifest(tmp_path), tmp_path / "run", "--steps", 1)
    assert result.exit_code == 2 and "is a file" in result.output
    assert "Training" not in result.output


def test_what_was_trained_on_is_remembered_when_the_training_is_finished(tmp_path):
    manifest, memory = a_manifest(tmp_path / "data"), tmp_path / "memory"
    told = train(manifest, tmp_path / "run", "--steps", 2, "--case-memory", memory, "--attention-layers", 1)
    assert told.exit_code == 0, told.output
    assert "structures are new" in told.output
    # The memory belongs to the model that is left.
    held = open_case_retrieval(memory, load(tmp_path / "run" / "model.safetensors").network).memory
    assert {case.facts.source for case in held.cases} == {"training"} and held.layout.layers


def test_a_memory_cannot_be_filled_without_cases(tmp_path):
    told = run("train", "--out", tmp_path / "run", "--steps", 1, "--case-memory", tmp_path / "memory")
    assert told.exit_code == 2 and "nothing to remember" in told.output


def test_a_memory_that_cannot_be_filled_is_told_before_the_training(tmp_path):
    manifest, memory = a_manifest(tmp_path / "data"), tmp_path / "memory"
    memory.mkdir()
    told = train(manifest, tmp_path / "run", "--steps", 1, "--case-memory", memory)
    assert told.exit_code == 2 and "for another model" in told.output
    told = train(manifest, tmp_path / "run", "--steps", 1, "--case-memory", tmp_path / "m", "--attention-layers", 0)
    assert told.exit_code == 1 and "has no attention" in told.output
    told = train(manifest, tmp_path / "run", "--steps", 1, "--attention-layers", 1)
    assert told.exit_code == 2 and "--attention-layers needs it" in told.output
    assert not (tmp_path / "run" / "state.pt").exists()
