from __future__ import annotations

import numpy as np
import pytest
import torch

from MemorizingSAM3DLib.engine.memory.case_facts import CaseFacts
from MemorizingSAM3DLib.engine.memory.case_memory import CaseMemory
from MemorizingSAM3DLib.engine.networks.sam3d import NativeSAM3D
from MemorizingSAM3DLib.engine.recall.remembering import case_layout
from MemorizingSAM3DLib.learning.gate_objective import GatedSAM3D, GateObjective
from Testing.engine.small_networks import SMALL_NATIVE
from Testing.learning.small_trainings import a_batch


@pytest.fixture
def a_memory(tmp_path):
    """Two cases of random keys and values."""
    memory = CaseMemory.create(tmp_path / "memory", case_layout(SMALL_NATIVE, (1,)), "a" * 64)
    generator = torch.Generator().manual_seed(1)
    for number in range(2):
        arrays = {
            name: (torch.rand(tuple(shape), generator=generator) * 9 + number).numpy()
            for name, (_, shape) in memory.layout.items()
        }
        arrays["mask"] = arrays["mask"].astype("uint8")
        for name in ("descriptor", "features", "prior.descriptors"):
            arrays[name] = arrays[name] / np.linalg.norm(arrays[name], axis=-1, keepdims=True)
        memory.add(arrays, CaseFacts("ball", source="training"))
    return memory


@pytest.fixture
def a_network() -> NativeSAM3D:
    torch.manual_seed(4)
    return NativeSAM3D(SMALL_NATIVE)


def test_shut_gates_leave_the_encoder_what_it_is_and_open_ones_do_not(a_memory, a_network):
    gated = GatedSAM3D(a_network, a_memory, (1,))
    images = a_batch(0).images
    plain = torch.cat([a_network.encode(image[None]).embedding for image in images])
    with torch.no_grad():
        gated.gates["1"].fill_(-60.0)
        torch.testing.assert_close(gated.encode(images).embedding, plain, atol=1e-5, rtol=1e-5)
        gated.gates["1"].fill_(8.0)
        assert not torch.allclose(gated.encode(images).embedding, plain, atol=1e-2)


def test_the_gates_alone_learn(a_memory, a_network):
    gated = GatedSAM3D(a_network, a_memory, (1,))
    trained = [name for name, p in gated.named_parameters() if p.requires_grad]
    assert trained == ["gates.1"]
    loss, figures = GateObjective(gated, 0)(a_batch(0), 0)
    loss.backward()
    assert figures.shape == (3,) and figures[2] == pytest.approx(-4.0)
    assert (gated.gates["1"].grad != 0).all()
    assert all(p.grad is None for p in a_network.parameters())
