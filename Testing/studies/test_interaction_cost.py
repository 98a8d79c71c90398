from __future__ import annotations

import sys

import pytest
import torch

from MemorizingSAM3DLib.engine.models.checkpoints import save_native
from MemorizingSAM3DLib.engine.networks.sam3d import build_network
from studies.interaction_cost import cost_of, measure
from Testing.engine.small_networks import SMALL_NATIVE


@pytest.fixture
def a_model(tmp_path) -> str:
    save_native(build_network(SMALL_NATIVE), tmp_path / "small.safetensors", {"steps": 0})
    return str(tmp_path / "small.safetensors")


def test_a_process_of_its_own_tells_its_time_and_its_peak(a_model):
    found = cost_of("click", True, a_model, "cpu", 1, 3, 2)
    assert found["seconds"] > 0 and found["first"] > 0 and found["last"] > 0 and found["gpu_bytes"] is None
    assert found["peak_bytes"] > 50e6 if sys.platform == "linux" else True


@pytest.mark.parametrize("memory", [True, False])
def test_a_training_step_is_timed(a_model, memory):
    torch.manual_seed(0)
    assert measure("train", memory, a_model, "cpu", torch.get_num_threads(), 5, 3)["seconds"] > 0
