from __future__ import annotations

import pytest
import torch
from typer.testing import CliRunner

from MemorizingSAM3DLib.cli import app
from MemorizingSAM3DLib.engine.models.checkpoints import load, save_native
from MemorizingSAM3DLib.engine.networks.sam3d import build_network
from MemorizingSAM3DLib.learning.training.log import read_log
from Testing.engine.small_networks import SMALL_NATIVE, SMALL_SAM_MED3D
from Testing.learning.small_files import a_manifest


@pytest.fixture(autouse=True)
def a_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MEMORIZING_SAM3D_CACHE", str(tmp_path / "cache"))


def distill(tmp_path, teacher, *arguments: object):
    options = ("--batch", 2, "--workers", 0, "--device", "cpu", "--layer-steps", 2, "--logit-steps", 2, "--clicks", 2)
    given = ("distill", "--teacher", teacher, "--out", tmp_path / "run", *options, *arguments)
    return CliRunner(env={"COLUMNS": "300"}).invoke(app, [*map(str, given)])


def test_a_native_teacher_of_twice_the_depth(tmp_path):
    torch.manual_seed(0)
    save_native(build_network(SMALL_NATIVE.with_(depth=4)), tmp_path / "teacher.safetensors", {"steps": 5})
    result = distill(tmp_path, tmp_path / "teacher.safetensors", "--manifest", a_manifest(tmp_path))
    assert result.exit_code == 0, result.output
    student = load(tmp_path / "run" / "model.safetensors")
    assert student.config == SMALL_NATIVE
    assert student.training["teacher"]["training"] == {"steps": 5}
    assert [line["layers"] for line in read_log(tmp_path / "run" / "log.csv")] == [1, 2, 0, 0]


def test_a_published_teacher(tmp_path):
    torch.manual_seed(0)
    state = build_network(SMALL_SAM_MED3D).state_dict()
    torch.save({"model_state_dict": state}, tmp_path / "sam_med3d.pth")
    result = distill(tmp_path, tmp_path / "sam_med3d.pth", "--manifest", a_manifest(tmp_path))
    assert result.exit_code == 0, result.output
    student = load(tmp_path / "run" / "model.safetensors", family="fastsam3d")
    assert (student.config.depth, student.config.residual) == (2, "normed_stream")


def test_a_teacher_of_odd_depth_is_told(tmp_path):
    save_native(build_network(SMALL_NATIVE.with_(depth=3)), tmp_path / "teacher.safetensors", {})
    result = distill(tmp_path, tmp_path / "teacher.safetensors")
    assert result.exit_code == 1 and "3 blocks has no half" in result.output
