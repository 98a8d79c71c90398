from __future__ import annotations

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from MemorizingSAM3DLib.cli import app
from MemorizingSAM3DLib.engine.checkpoints import load, save_native
from MemorizingSAM3DLib.engine.fingerprint import encoder_fingerprint
from MemorizingSAM3DLib.engine.memory.case_memory import CaseMemory
from MemorizingSAM3DLib.engine.networks.sam3d import build_network
from MemorizingSAM3DLib.engine.recall.calibration import Calibration
from Testing.engine.small_networks import SMALL_NATIVE
from Testing.learning.small_evaluations import two_blocks
from Testing.learning.small_files import a_manifest, write_case, write_volume


def run(*arguments: object):
    return CliRunner(env={"COLUMNS": "300"}).invoke(app, ["memory", *map(str, arguments)])


@pytest.fixture
def a_model(tmp_path):
    torch.manual_seed(1)
    save_native(build_network(SMALL_NATIVE), tmp_path / "small.safetensors", {"steps": 9}, "float32")
    return tmp_path / "small.safetensors"


@pytest.fixture
def a_case(tmp_path):
    """--scan and --mask of a scan of one Jane Doe."""
    folder = tmp_path / "jane_doe"
    write_case(folder / "scan.nii.gz", folder / "label.nii.gz", two_blocks())
    return "--scan", folder / "scan.nii.gz", "--mask", folder / "label.nii.gz"


def test_a_memory_is_built_of_training_cases_and_resumed(tmp_path, a_model):
    manifest, memory = a_manifest(tmp_path / "data"), tmp_path / "memory"
    build = ("build", memory, "--manifest", manifest, "--model", a_model, "--minimum-ml", 0.1, "--device", "cpu")
    label = tmp_path / "data" / "one" / "1" / "label.nii.gz"
    aside = label.rename(label.with_name("aside.nii.gz"))
    result = run(*build)
    assert result.exit_code == 1 and "2 structures are new" in result.output
    assert "one/1: " in result.output and "1 of 2 cases failed" in result.output
    aside.rename(label)
    result = run(*build)
    assert result.exit_code == 0, result.output
    assert "2 structures are new, 0 were there already" in result.output
    memory = CaseMemory.open(memory)
    assert sorted(case.facts.structure for case in memory.cases) == ["bright", "bright", "dark", "dark"]
    assert not list(tmp_path.glob("*.building.json"))


def test_keys_and_values_are_kept_when_they_are_asked_for(tmp_path, a_model):
    arguments = ("--manifest", a_manifest(tmp_path / "data"), "--model", a_model, "--minimum-ml", 0.1, "--cases", 1)
    result = run("build", tmp_path / "memory", *arguments, "--attention-layers", "1", "--structures", "dark")
    assert result.exit_code == 0, result.output
    memory = CaseMemory.open(tmp_path / "memory")
    assert memory.layout.layers == ("1",) and memory.stacked("keys.1").shape == (1, 2, 8, 24)
    result = run("build", tmp_path / "other", *arguments, "--attention-layers", "0")
    assert result.exit_code == 1 and "Block 0" in result.output
    result = run("build", tmp_path / "plain", *arguments)
    assert result.exit_code == 0
    result = run("build", tmp_path / "plain", *arguments, "--attention-layers", "1")
    assert result.exit_code == 1 and "keeps no keys and values of block 1" in result.output


def test_no_case_to_remember_is_told(tmp_path, a_model):
    result = run("build", tmp_path / "memory", "--manifest", a_manifest(tmp_path / "data"), "--model", a_model,
                 "--split", "nothing")  # fmt: skip
    assert result.exit_code == 1 and "--split" in result.output


def test_a_finished_structure_is_added_once(tmp_path, a_model, a_case):
    add = ("add", tmp_path / "memory", *a_case, "--structure", "left block", "--label", 1, "--model", a_model)
    result = run(*add)
    assert result.exit_code == 0, result.output
    assert "remembered (" in result.output
    assert "was there already" in run(*add).output
    (case,) = CaseMemory.open(tmp_path / "memory").cases
    assert (case.facts.structure, case.facts.source) == ("left block", "user")
    for path in (tmp_path / "memory").rglob("*.*"):
        assert b"jane" not in path.read_bytes().lower() and b"scan.nii" not in path.read_bytes()


def test_the_kind_of_scan_is_remembered_when_it_is_told(tmp_path, a_model, a_case):
    assert run("add", tmp_path / "memory", *a_case, "--model", a_model, "--modality", "CT").exit_code == 0
    (case,) = CaseMemory.open(tmp_path / "memory").cases
    assert case.facts.modality == "CT"


def test_without_a_label_everything_that_is_not_zero_counts(tmp_path, a_model, a_case):
    for options in ((), ("--label", 1)):
        assert run("add", tmp_path / "memory", *a_case, "--model", a_model, *options).exit_code == 0
    small, large = sorted(CaseMemory.open(tmp_path / "memory").stacked("prior.cell")[:, 0].tolist())
    assert large > 1.5 * small


def test_masks_that_cannot_be_remembered_are_told(tmp_path, a_model, a_case):
    add = ("add", tmp_path / "memory", *a_case, "--model", a_model)
    result = run(*add, "--label", 9)
    assert result.exit_code == 1 and "empty" in result.output
    result = run(*add, "--structure", "x" * 65)
    assert result.exit_code == 1 and "64" in result.output
    write_volume(tmp_path / "other.nii.gz", np.eye(20, dtype=np.uint8)[:, :, None].repeat(9, 2))
    result = run("add", tmp_path / "memory", *a_case[:3], tmp_path / "other.nii.gz", "--model", a_model)
    assert result.exit_code == 1 and "another grid" in result.output


def test_another_models_memory_is_refused(tmp_path, a_model, a_case):
    assert run("add", tmp_path / "memory", *a_case, "--model", a_model).exit_code == 0
    torch.manual_seed(2)
    save_native(build_network(SMALL_NATIVE), tmp_path / "other.safetensors", {"steps": 9}, "float32")
    result = run("add", tmp_path / "memory", *a_case, "--model", tmp_path / "other.safetensors")
    assert result.exit_code == 1 and "another image encoder" in result.output


def test_a_calibration_is_written(tmp_path, a_model):
    out = tmp_path / "recall.safetensors"
    manifest = a_manifest(tmp_path / "data", 3)
    result = run("calibrate", out, "--manifest", manifest, "--model", a_model, "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert "12 places" in result.output
    assert Calibration.load(out, SMALL_NATIVE).encoder == encoder_fingerprint(load(a_model).network)


@pytest.mark.parametrize("command", ["build", "add", "calibrate"])
def test_the_help_of_every_command_has_an_example(command):
    done = run(command, "--help")
    assert done.exit_code == 0 and f"memorizing-sam3d memory {command}" in done.output
