from __future__ import annotations

import pytest

from MemorizingSAM3DLib.installation.accelerators import accelerators
from MemorizingSAM3DLib.installation.wheels import WheelFolder
from Testing.installation.fake_world import make_wheel


def offers(machine, folder=None):
    return {offer.requirement.name: offer for offer in accelerators(machine, folder)}


def test_windows_has_wheels_of_neither(machine):
    assert not any(offer.offered for offer in offers(machine).values())
    assert "Windows" in offers(machine)["flash-attn"].reason
    assert "Linux" in offers(machine)["faiss-gpu"].reason


@pytest.mark.parametrize(
    "system, architecture, offered",
    [("Linux", "x86_64", True), ("Linux", "arm64", False), ("Darwin", "arm64", False)],
)
def test_faiss_gpu_is_offered_on_linux_on_x86_64(machine, system, architecture, offered):
    machine.system, machine.architecture = system, architecture

    assert offers(machine)["faiss-gpu"].offered is offered
    assert not offers(machine)["flash-attn"].offered


def test_without_an_nvidia_gpu_neither_is_offered(machine):
    machine.system, machine.nvidia = "Linux", False

    assert {offer.reason for offer in offers(machine).values()} == {"It needs an NVIDIA GPU."}


def test_what_is_there_is_found_and_not_offered(machine):
    machine.system = "Linux"
    machine.modules.update({"flash_attn", "faiss"})

    for offer in offers(machine).values():
        assert offer.is_there
        assert not offer.offered


def test_a_wheel_that_someone_built_can_be_had_from_a_folder(machine, tmp_path):
    machine.system = "Linux"
    make_wheel(tmp_path, "flash_attn-2.8.3-cp312-cp312-linux_x86_64.whl")
    found = offers(machine, WheelFolder(tmp_path))

    assert found["flash-attn"].offered
    assert not found["faiss-gpu"].offered
