from __future__ import annotations

import sys
from pathlib import Path

import pytest

from MemorizingSAM3DLib.engine.errors import CheckpointError
from MemorizingSAM3DLib.engine.runtime.device import DeviceError
from MemorizingSAM3DLib.scene.compute.model_choice import MissingTorchError, ModelChoice


def test_a_choice_is_named_without_the_folders_of_this_computer():
    assert ModelChoice().name == "shipped"
    assert ModelChoice("sam-med3d-turbo").name == "sam-med3d-turbo"
    assert ModelChoice(str(Path("/home/someone") / "mine.safetensors")).name == "mine.safetensors"


def test_equal_choices_are_equal():
    assert ModelChoice(device="cpu") == ModelChoice(device="cpu")
    assert ModelChoice(device="cpu") != ModelChoice(device="cpu", threads=2)


def test_the_shipped_model_says_what_it_is_and_where_it_runs():
    loaded = ModelChoice(device="cpu").load()

    assert loaded.title
    assert loaded.device.startswith("CPU")
    assert loaded.predictor.runtime.device.type == "cpu"


def test_automatic_threads_are_as_many_as_before_anyone_chose():
    import torch

    ModelChoice(device="cpu").load()
    before = torch.get_num_threads()
    try:
        ModelChoice(device="cpu", threads=before + 2).load()
        assert torch.get_num_threads() == before + 2
        ModelChoice(device="cpu").load()
        assert torch.get_num_threads() == before
    finally:
        torch.set_num_threads(before)


def test_without_pytorch_the_user_is_told_where_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)

    with pytest.raises(MissingTorchError, match="Extensions Manager"):
        ModelChoice().load()


def test_a_model_that_is_not_there_and_a_device_that_is_none_are_refused(tmp_path):
    with pytest.raises(CheckpointError):
        ModelChoice(str(tmp_path / "nothing.safetensors"), device="cpu").load()
    with pytest.raises(DeviceError, match="Choose auto"):
        ModelChoice(device="toaster").load()


def test_a_package_that_is_missing_beside_pytorch_is_no_riddle_either(monkeypatch):
    monkeypatch.setitem(sys.modules, "MemorizingSAM3DLib.engine.models.checkpoints", None)

    with pytest.raises(MissingTorchError, match="Press 'Install"):
        ModelChoice().load()
