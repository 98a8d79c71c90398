from __future__ import annotations

import json

import pytest
import torch

from MemorizingSAM3DLib.engine.checkpoints import load, save_native
from MemorizingSAM3DLib.engine.memory.case_gates import CaseGates
from MemorizingSAM3DLib.engine.memory.case_memory import CaseMemory
from MemorizingSAM3DLib.engine.networks.sam3d import build_network
from MemorizingSAM3DLib.learning.gate_objective import BEGIN
from Testing.cli.test_train import run
from Testing.engine.small_networks import SMALL_NATIVE
from Testing.learning.small_files import a_manifest

QUICK = ("--attention-layers", 1, "--remembered", 1, "--batch", 2, "--workers", 0, "--device", "cpu")


@pytest.fixture
def a_start(tmp_path):
    torch.manual_seed(1)
    save_native(build_network(SMALL_NATIVE), tmp_path / "start.safetensors", {"steps": 9}, "float32")
    return tmp_path / "start.safetensors"


def train_gates(manifest, start, out, *arguments: object):
    return run("train-gates", "--manifest", manifest, "--from", start, "--out", out, *QUICK, *arguments)


def test_gates_alone_are_learned_on_cases_that_are_not_remembered(tmp_path, a_start):
    manifest = a_manifest(tmp_path)
    result = train_gates(manifest, a_start, tmp_path / "run", "--steps", 3)
    assert result.exit_code == 0, result.output
    network = load(str(a_start)).network
    gates = CaseGates.load(tmp_path / "run" / "case_gates.safetensors", network)
    assert list(gates.gates) == [1] and gates.gates[1].shape == (2,)
    assert (gates.gates[1] != BEGIN).all()
    facts = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert facts["cases"] == 1 and facts["remembered"] == "1"  # of two
    assert len(CaseMemory.open(tmp_path / "run" / "memory")) == 2  # structures of the other one

    arguments = ("--case-memory", tmp_path / "run" / "memory", "--attention-layers", 1, "--attention-only",
                 "--fusion", "joint", "--clicks", 1, "--minimum-ml", 0.1, "--split", "train", "--model", a_start,
                 "--device", "cpu", "--manifest", manifest)  # fmt: skip
    shut = run("evaluate", *arguments, "--out", tmp_path / "shut")
    opened = run("evaluate", *arguments, "--gates", tmp_path / "run" / "case_gates.safetensors", "--out",
                 tmp_path / "opened")  # fmt: skip
    assert shut.exit_code == opened.exit_code == 0, opened.output
    about = json.loads((tmp_path / "opened" / "results.json").read_text())["model"]["case_memory"]["attention"]
    assert about["fusion"] == "joint" and len(about["gates"]) == 64


def test_a_stopped_training_goes_on(tmp_path, a_start):
    manifest = a_manifest(tmp_path)
    assert (
        "Stopped at step 1 of 2"
        in train_gates(manifest, a_start, tmp_path / "run", "--steps", 2, "--minutes", 0).output
    )
    assert "after 2 steps" in train_gates(manifest, a_start, tmp_path / "run", "--steps", 2).output


def test_wrong_usage_is_told(tmp_path, a_start):
    manifest = a_manifest(tmp_path)
    result = train_gates(manifest, a_start, tmp_path / "run", "--remembered", "100%")
    assert result.exit_code == 1 and "none is left to learn on" in result.output
    result = train_gates(manifest, a_start, tmp_path / "run", "--attention-layers", "0")
    assert result.exit_code == 1 and "has no attention" in result.output
    result = run("evaluate", "--manifest", manifest, "--out", tmp_path / "e", "--gates", tmp_path / "gates")
    assert result.exit_code == 2 and "--fusion joint" in result.output
