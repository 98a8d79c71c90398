from __future__ import annotations

import pytest
import torch

from MemorizingSAM3DLib.engine.errors import CheckpointError
from MemorizingSAM3DLib.engine.fingerprint import encoder_fingerprint
from MemorizingSAM3DLib.engine.memory.case_gates import CaseGates
from MemorizingSAM3DLib.engine.networks.sam3d import build_network
from Testing.engine.small_networks import SMALL_NATIVE


@pytest.fixture
def a_network():
    torch.manual_seed(3)
    return build_network(SMALL_NATIVE)


def test_gates_are_read_as_they_were_written(tmp_path, a_network):
    gates = CaseGates({1: torch.tensor([-3.5, 0.25])}, encoder_fingerprint(a_network))
    gates.save(tmp_path / "gates.safetensors")
    read = CaseGates.load(tmp_path / "gates.safetensors", a_network)
    assert read.encoder == gates.encoder and list(read.gates) == [1]
    assert torch.equal(read.gates[1], gates.gates[1])


def test_gates_of_another_encoder_are_refused(tmp_path, a_network):
    CaseGates({1: torch.zeros(2)}, "0" * 64).save(tmp_path / "gates.safetensors")
    with pytest.raises(CheckpointError, match="another image encoder"):
        CaseGates.load(tmp_path / "gates.safetensors", a_network)


@pytest.mark.parametrize("content", [b"", b"poem", b"\x08\0\0\0\0\0\0\0{}      "])
def test_what_holds_no_gates_is_refused(tmp_path, a_network, content):
    (tmp_path / "gates.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError):
        CaseGates.load(tmp_path / "gates.safetensors", a_network)


def test_gates_of_other_heads_are_refused(tmp_path, a_network):
    CaseGates({1: torch.zeros(5)}, encoder_fingerprint(a_network)).save(tmp_path / "gates.safetensors")
    with pytest.raises(CheckpointError, match="of another shape"):
        CaseGates.load(tmp_path / "gates.safetensors", a_network)
