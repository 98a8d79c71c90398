from __future__ import annotations

import pytest
import torch

from MemorizingSAM3DLib.benchmarks.parts.memories import measure_case_memory
from MemorizingSAM3DLib.engine.networks.sam3d import build_network
from MemorizingSAM3DLib.engine.session.predictor import Predictor
from studies.cases import write_case_costs
from Testing.engine.small_networks import SMALL_FASTSAM3D, SMALL_NATIVE
from Testing.engine.small_retrievals import CPU


@pytest.mark.parametrize("config", [SMALL_NATIVE, SMALL_FASTSAM3D], ids=["native", "published"])
def test_encodings_and_questions_are_timed(config, tmp_path):
    torch.manual_seed(0)
    found = measure_case_memory(Predictor(build_network(config), CPU), (1,), sizes=(2, 5), repeats=2)
    assert found["plain_ms"] > 0 and found["attending_ms"] > 0 and list(found["recall_ms"]) == ["2", "5"]
    assert found["added"] == pytest.approx(found["attending_ms"] / found["plain_ms"] - 1, abs=0.05)
    files = write_case_costs(tmp_path, {**found, "device": "CPU"})
    assert all(file.stat().st_size > 0 for file in files)
    assert (tmp_path / "overhead.csv").read_text(encoding="utf-8").splitlines()[0] == "what,ms"
