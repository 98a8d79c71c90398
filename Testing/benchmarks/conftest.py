"""A small model and a small scan, in place of those that are measured."""

from __future__ import annotations

import pytest

from MemorizingSAM3DLib.benchmarks import fixtures
from MemorizingSAM3DLib.benchmarks.harness.benchmark_case import Setting
from MemorizingSAM3DLib.engine.models.checkpoints import save_native
from MemorizingSAM3DLib.engine.networks.sam3d import build_network
from Testing.engine.small_networks import SMALL_NATIVE


@pytest.fixture(scope="session")
def a_small_setting(tmp_path_factory) -> Setting:
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    save_native(build_network(SMALL_NATIVE), path, {"steps": 0})
    return Setting("cpu", 1, str(path))


@pytest.fixture
def a_small_hospital(monkeypatch) -> None:
    monkeypatch.setattr(fixtures, "SHAPE", (24, 40, 40))
    monkeypatch.setattr(fixtures, "SPACING_MM", (4.0, 4.0, 6.0))
    monkeypatch.setattr(fixtures, "CROP_SPACING_MM", 6.0)  # the small network's crop then holds the organ
