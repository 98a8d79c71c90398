"""What is to be installed, and what stands in the way: known before anything is changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .accelerators import accelerators
from .choice import Choice
from .condition import SLICERS_OWN, Condition, PackageState, examine
from .facts import INDEX, TORCH_SOURCE, facts_of, unpacked
from .machine import Installer, Machine
from .obstacle import Obstacle, no_room, no_torch_extension, path_too_long
from .requirements import TORCH, Requirement
from .wheel_folder import WheelFolder

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
