"""What state each package is in.

What a user is told of each package: why it is needed and how large it is.

Sizes are those of the wheels for Python 3.12 of November 2026, with what they bring along, in MB; on the disk they are
about three times as large. PyTorch's differ by system and by GPU support.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from .machine import Machine
from .requirements import TORCH, Requirement, required_packages

SLICERS_OWN = frozenset({"numpy", "SimpleITK", "scipy", "requests"})
"""Come with Slicer, in builds of its own; its modules need these very versions."""
_IMPORTED = frozenset({"torch", "safetensors", "jsonschema"})


class Condition(Enum):
    """How usable a package is."""

    READY = "ready"
    MISSING = "missing"
    TOO_OLD = "too old"
    DAMAGED = "damaged"


@dataclass(frozen=True)
class PackageState:
    """A package, its condition, the version that is there, and what is wrong with it in words."""

    requirement: Requirement
    condition: Condition
    version: str | None = None
    detail: str = ""

    @property
    def name(self) -> str:
        """The package's name."""
        return self.requirement.name

    @property
    def is_ready(self) -> bool:
        """Whether it can be used."""
        return self.condition is Condition.READY


def examine(machine: Machine, requirements: Sequence[Requirement] | None = None) -> list[PackageState]:
    """The state of each package, PyTorch last. Takes milliseconds: metadata and files are looked at, nothing is loaded.

    Args:
        requirements: what to look for; all that the extension needs if it is None.
    """
    wanted = [*required_packages(), TORCH] if requirements is None else requirements
    return [state_of(machine, requirement) for requirement in wanted]


def examine_by_import(machine: Machine) -> list[PackageState]:
    """As `examine`, and what is there with libraries of its own is imported too, in another process; takes seconds."""
    states = []
    for state in examine(machine):
        problem = machine.import_problem(state.name) if state.is_ready and state.name in _IMPORTED else None
        if problem is not None:
            state = PackageState(
                state.requirement, Condition.DAMAGED, state.version, f"it cannot be imported: {problem}"
            )
        states.append(state)
    return states


def state_of(machine: Machine, requirement: Requirement) -> PackageState:
    """The state of one package."""
    name = requirement.name
    damage = machine.damage(name)
    version = machine.version(name)
    if damage is not None:
        return PackageState(requirement, Condition.DAMAGED, version, damage)
    if version is None:
        # Slicer builds SimpleITK without metadata.
        there = name in SLICERS_OWN and machine.is_there(name)
        return PackageState(requirement, Condition.READY if there else Condition.MISSING)
    if not requirement.is_met_by(version):
        detail = f"version {version}, {requirement.minimum} or later is needed"
        return PackageState(requirement, Condition.TOO_OLD, version, detail)
    return PackageState(requirement, Condition.READY, version)


INDEX = "pypi.org"
TORCH_SOURCE = "download.pytorch.org"
_UNPACKED = 3.0


class PackageFacts(NamedTuple):
    """why: one short sentence. megabytes: of the download."""

    why: str
    megabytes: float


_FACTS = {
    "safetensors": PackageFacts("Reads models without running code from them.", 0.5),
    "jsonschema": PackageFacts("Checks the lists of models and results.", 0.5),
    "nibabel": PackageFacts("Reads and writes NIfTI files.", 3.5),
    "pooch": PackageFacts("Downloads models and verifies them.", 0.3),
    "rich": PackageFacts("Progress and tables of the command line.", 1.7),
    "typer": PackageFacts("The command line.", 3.0),
    "numpy": PackageFacts("Arrays.", 15.0),
    "scipy": PackageFacts("Distances and filters.", 40.0),
    "SimpleITK": PackageFacts("Reads and resamples scans.", 50.0),
    "requests": PackageFacts("Downloads models.", 0.7),
    "flash-attn": PackageFacts("Optional: faster attention on NVIDIA GPUs.", 250.0),
    "faiss-gpu": PackageFacts("Optional: faster search in very large case memories.", 200.0),
}
_WHY_TORCH = "Computes the networks."


def facts_of(package: str, machine: Machine, cpu_only: bool = False) -> PackageFacts:
    """What is known of a package."""
    if package == "torch":
        return PackageFacts(_WHY_TORCH, _torch_megabytes(machine, cpu_only))
    return _FACTS[package]


def unpacked(megabytes: float) -> float:
    """What a download takes on the disk at most, itself included while it is unpacked."""
    return (_UNPACKED + 1) * megabytes


def _torch_megabytes(machine: Machine, cpu_only: bool) -> float:
    if machine.system == "Darwin":
        return 90.0
    if cpu_only or not machine.has_nvidia_driver():
        return 200.0
    return 2500.0
