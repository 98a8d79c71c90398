"""What state each package is in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

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
