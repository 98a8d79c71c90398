"""What is to be installed, and what stands in the way: known before anything is changed.

What the user chose in the dialog.

What stands in the way, and what the user can do about it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from .accelerators import accelerators
from .condition import INDEX, SLICERS_OWN, TORCH_SOURCE, Condition, PackageState, examine, facts_of, unpacked
from .machine import Installer, Machine
from .requirements import TORCH, Requirement
from .wheels import WheelFolder


@dataclass(frozen=True)
class Choice:
    """
    Args:
        folder: of wheels, for a computer without internet; None for the internet.
        cpu_only: PyTorch without GPU support, which is much smaller.
        extras: optional packages.
        repair: packages to install anew although they look whole.
    """

    folder: Path | None = None
    cpu_only: bool = False
    extras: tuple[str, ...] = ()
    repair: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {**asdict(self), "folder": None if self.folder is None else str(self.folder)}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Choice:
        """From what `to_json` gave. Raises KeyError, TypeError or ValueError for anything else."""
        folder = values["folder"]
        return cls(
            folder=None if folder is None else Path(folder),
            cpu_only=bool(values["cpu_only"]),
            extras=tuple(str(name) for name in values["extras"]),
            repair=tuple(str(name) for name in values["repair"]),
        )


class Obstacle(NamedTuple):
    """problem: what is wrong, one sentence. remedy: what the user can do, one or two sentences."""

    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.problem} {self.remedy}"


def no_room(needed: float, free: float, folder: object) -> Obstacle:
    """The disk is too full. needed, free: MB."""
    return Obstacle(
        f"The disk of {folder} has {size_text(free)} left; {size_text(needed)} are needed.",
        "Make room there, or choose PyTorch without GPU support, which is smaller.",
    )


def no_network() -> Obstacle:
    """The package index does not answer."""
    return Obstacle(
        "The package index (pypi.org, or the one that pip is set up for) cannot be reached.",
        "Check the network and its proxy, or install from a folder of wheels (docs/offline.md says how to make one).",
    )


def path_too_long(folder: object) -> Obstacle:
    """Windows refuses paths of 260 characters and more, and PyTorch has long ones."""
    return Obstacle(
        f"Paths below {folder} get longer than Windows allows (259 characters).",
        "Install Slicer in a folder with a short path such as C:\\Slicer, or let an administrator enable long paths "
        "(registry: LongPathsEnabled = 1).",
    )


def no_torch_extension() -> Obstacle:
    """PyTorch comes through another extension."""
    return Obstacle(
        "The PyTorch extension is not installed; it finds the PyTorch that fits this computer.",
        "Open the Extensions Manager (menu View), search for PyTorch, press Install, restart Slicer, and come back.",
    )


def size_text(megabytes: float) -> str:
    """A size as people say it, in two digits."""
    if megabytes >= 1000:
        return f"{megabytes / 1000:.1f} GB"
    return f"{megabytes:.0f} MB" if megabytes >= 10 else f"{megabytes:.1f} MB"


OLDEST_PYTHON, NEWEST_PYTHON = (3, 10), (3, 14)
"""PyTorch 2.10 and later have wheels for these; Slicer 5.10 and 5.12 have 3.12."""
_LONGEST_IN_TORCH = 175  # characters from site-packages on: measured 171 in 2.13, a licence
_WINDOWS_LIMIT = 259


@dataclass(frozen=True)
class Step:
    """One package.

    Attributes:
        why, megabytes, source: what the user is told of it; the size is that of the download.
        anew: it is there in part or too old, and goes first. loaded: this process has imported it.
    """

    requirement: Requirement
    why: str
    megabytes: float
    source: str
    anew: bool = False
    loaded: bool = False

    @property
    def name(self) -> str:
        """As the package's authors write it."""
        return "PyTorch" if self.requirement == TORCH else self.requirement.name


@dataclass(frozen=True)
class Plan:
    """Steps in their order, the largest last.

    Attributes:
        obstacles: what has to be removed before anything can start. destination: where it all goes.
        folder: of wheels, or None for the internet.
    """

    steps: tuple[Step, ...]
    obstacles: tuple[Obstacle, ...]
    destination: Path
    choice: Choice = field(default_factory=Choice)

    @property
    def can_start(self) -> bool:
        """Whether there is something to do, and nothing in the way."""
        return bool(self.steps) and not self.obstacles

    @property
    def megabytes(self) -> float:
        """Of the download."""
        return sum(step.megabytes for step in self.steps)

    @property
    def megabytes_on_disk(self) -> float:
        """At most, while it is being unpacked."""
        return unpacked(self.megabytes)


def make_plan(
    machine: Machine, installer: Installer, choice: Choice | None = None, states: Sequence[PackageState] | None = None
) -> Plan:
    """What has to be done so that everything is there.

    Packages that came with Slicer are never replaced: one that is too old is an obstacle, not a step.

    Args:
        states: from `examine`, which is asked if it is None.
    """
    choice = choice or Choice()
    states = examine(machine) if states is None else states
    folder = None if choice.folder is None else WheelFolder(choice.folder)
    steps = [_step(machine, choice, folder, state) for state in states if _is_wanted(state, choice)]
    extras = {offer.requirement.name: offer.requirement for offer in accelerators(machine, folder) if offer.offered}
    steps += [
        _step(machine, choice, folder, PackageState(extras[name], Condition.MISSING))
        for name in choice.extras
        if name in extras
    ]
    plan = Plan(tuple(steps), (), machine.folder, choice)
    obstacles = tuple(_obstacles(machine, installer, plan, states, folder))
    return Plan(plan.steps, obstacles, plan.destination, choice)


def _is_wanted(state: PackageState, choice: Choice) -> bool:
    if state.name in SLICERS_OWN:
        return state.condition is Condition.MISSING
    return not state.is_ready or state.name in choice.repair


def _step(machine: Machine, choice: Choice, folder: WheelFolder | None, state: PackageState) -> Step:
    facts = facts_of(state.name, machine, choice.cpu_only)
    source = TORCH_SOURCE if state.requirement == TORCH else INDEX
    if folder is not None:
        facts = facts._replace(megabytes=folder.megabytes(state.requirement, machine))
        source = folder.path.name
    return Step(
        requirement=state.requirement,
        why=facts.why,
        megabytes=facts.megabytes,
        source=source,
        anew=state.condition is not Condition.MISSING,
        loaded=machine.is_loaded(state.name.replace("-", "_")),
    )


def _obstacles(
    machine: Machine, installer: Installer, plan: Plan, states: Sequence[PackageState], folder: WheelFolder | None
) -> list[Obstacle]:
    found = [*_about_python(machine), *_about_slicer(states)]
    if not plan.steps:
        return found
    with_torch = any(step.requirement == TORCH for step in plan.steps)
    if with_torch and folder is None and not installer.has_torch_extension:
        found.append(no_torch_extension())
    if folder is not None:
        found += _about_folder(machine, plan, folder)
    if not machine.can_write():
        found.append(
            Obstacle(
                f"You may not write to {plan.destination}.",
                "Let whoever installed Slicer install these packages, or install Slicer again in a folder of your own.",
            )
        )
    free = machine.free_bytes() / 1e6
    if free < plan.megabytes_on_disk:
        found.append(no_room(plan.megabytes_on_disk, free, plan.destination))
    if with_torch and machine.system == "Windows" and not machine.allows_long_paths():
        if len(str(plan.destination)) + 1 + _LONGEST_IN_TORCH > _WINDOWS_LIMIT:
            found.append(path_too_long(plan.destination))
    return found


def _about_python(machine: Machine) -> list[Obstacle]:
    python = f"This Slicer has Python {machine.python[0]}.{machine.python[1]}"
    if machine.python < OLDEST_PYTHON:
        return [Obstacle(f"{python}; 3.10 or later is needed.", "Install Slicer 5.10 or later.")]
    if machine.python > NEWEST_PYTHON:
        remedy = "Use the current stable Slicer, or look whether there is a newer version of this extension."
        return [Obstacle(f"{python}, for which PyTorch may have no wheels yet.", remedy)]
    return []


def _about_slicer(states: Sequence[PackageState]) -> list[Obstacle]:
    bad = [
        state
        for state in states
        if state.name in SLICERS_OWN and state.condition in (Condition.TOO_OLD, Condition.DAMAGED)
    ]
    remedy = "Install Slicer 5.10 or later, anew if you have it: the extension does not replace what came with Slicer."
    return [Obstacle(f"{state.name} came with this Slicer, but {state.detail}.", remedy) for state in bad]


def _about_folder(machine: Machine, plan: Plan, folder: WheelFolder) -> list[Obstacle]:
    if not folder.path.is_dir():
        return [Obstacle(f"There is no folder {folder.path}.", "Choose the folder that holds the wheels.")]
    missing = folder.missing([step.requirement for step in plan.steps], machine)
    if not missing:
        return []
    return [
        Obstacle(
            f"The folder lacks wheels: {'; '.join(missing)}.",
            f"Download them for Python {machine.python[0]}.{machine.python[1]} on {machine.system} "
            f"{machine.architecture}, as docs/offline.md says, and put them into that folder.",
        )
    ]
