"""flash-attn and faiss-gpu: used where they are, offered only where a wheel exists, never required."""

from __future__ import annotations

from dataclasses import dataclass

from .machine import Machine
from .requirements import Requirement
from .wheels import WheelFolder


@dataclass(frozen=True)
class Accelerator:
    """An optional package.

    Attributes:
        module: what is imported. is_there: installed already, in whatever build. offered: it can be installed here.
        reason: why it is not offered; "" if it is.
    """

    requirement: Requirement
    module: str
    is_there: bool
    offered: bool
    reason: str = ""


FLASH_ATTENTION = Requirement("flash-attn", "2.7")
FAISS_GPU = Requirement("faiss-gpu", "1.14")


def accelerators(machine: Machine, folder: WheelFolder | None = None) -> list[Accelerator]:
    """What there is of the two, and what can be had from the internet, or from a folder of wheels."""
    return [
        _accelerator(machine, folder, FLASH_ATTENTION, "flash_attn", _why_no_flash_attention(machine)),
        _accelerator(machine, folder, FAISS_GPU, "faiss", _why_no_faiss_gpu(machine)),
    ]


def _accelerator(
    machine: Machine, folder: WheelFolder | None, requirement: Requirement, module: str, reason: str
) -> Accelerator:
    if machine.is_there(module):
        return Accelerator(requirement, module, True, False, "It is installed.")
    if not machine.has_nvidia_driver():
        return Accelerator(requirement, module, False, False, "It needs an NVIDIA GPU.")
    if folder is not None:
        reason = "" if folder.best(requirement, machine) is not None else "The folder has no wheel of it that fits."
    return Accelerator(requirement, module, False, not reason, reason)


def _why_no_flash_attention(machine: Machine) -> str:
    if machine.system == "Windows":
        return "There is no wheel of it for Windows."
    return "Its authors publish no wheels on pypi.org; built ones can be installed from a folder."


def _why_no_faiss_gpu(machine: Machine) -> str:
    if (machine.system, machine.architecture) != ("Linux", "x86_64"):
        return "There are wheels of it for Linux on x86-64 only."
    return ""
