"""The work itself: package by package, so that it can be stopped in between and gone on with later.

An installation that goes on after a restart: a small record of what the user has agreed to.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from .condition import Condition, state_of
from .failures import explain, in_use, still_damaged
from .machine import Installer, InstallError, Machine
from .plan import Choice, Obstacle, Plan, Step, no_network
from .requirements import TORCH

Report = Callable[[int, Step], None]
"""Told before each step: how many are done, and which comes now."""


class Result(Enum):
    """How it ended."""

    DONE = "done"
    RESTART = "restart"
    DECLINED = "declined"
    CANCELLED = "cancelled"
    FAILED = "failed"


@dataclass(frozen=True)
class Outcome:
    """How it ended.

    Attributes:
        obstacle: what stood in the way, if it failed. installed: names of what was installed.
        goes_on: whether steps are left that a restart makes possible.
    """

    result: Result
    installed: tuple[str, ...] = ()
    obstacle: Obstacle | None = None
    goes_on: bool = False


class Installation:
    """Carries a plan out. What was installed when it is stopped or fails stays, and is not done again the next time."""

    def __init__(self, machine: Machine, installer: Installer, plan: Plan) -> None:
        self._machine = machine
        self._installer = installer
        self._plan = plan
        self._installed: list[str] = []
        self._restart = False

    def run(self, report: Report, cancelled: Callable[[], bool]) -> Outcome:
        """Does the steps. On the main thread, since installers show dialogs.

        Args:
            cancelled: asked before each step.
        """
        plan = self._plan
        if plan.obstacles:
            return self._ended(Result.FAILED, plan.obstacles[0])
        if plan.steps and plan.choice.folder is None and not self._machine.is_online():
            return self._ended(Result.FAILED, no_network())
        for number, step in enumerate(plan.steps):
            if cancelled():
                return self._ended(Result.CANCELLED)
            report(number, step)
            if step.anew and step.loaded:
                return self._ended(Result.RESTART, in_use(step), goes_on=True)
            ended = self._do(step)
            if ended is not None:
                return ended
        return self._ended(Result.RESTART if self._restart else Result.DONE)

    def _do(self, step: Step) -> Outcome | None:
        """One step; None if the next can follow."""
        try:
            if step.anew:
                self._installer.remove([step.requirement.name])
            if step.requirement == TORCH and self._plan.choice.folder is None:
                if not self._installer.install_torch(step.requirement.minimum, self._plan.choice.cpu_only):
                    return self._ended(Result.DECLINED)
            else:
                self._installer.install([str(step.requirement)], self._plan.choice.folder)
        except InstallError as error:
            obstacle = explain(self._machine, self._plan, step, str(error))
            is_in_use = obstacle == in_use(step)
            return self._ended(Result.RESTART if is_in_use else Result.FAILED, obstacle, goes_on=is_in_use)
        state = state_of(self._machine, step.requirement)
        if state.condition is Condition.MISSING:
            return self._ended(Result.FAILED, explain(self._machine, self._plan, step, ""))
        if not state.is_ready:
            return self._ended(Result.FAILED, still_damaged(step, state.detail))
        self._installed.append(step.name)
        self._restart |= step.loaded
        return None

    def _ended(self, result: Result, obstacle: Obstacle | None = None, goes_on: bool = False) -> Outcome:
        return Outcome(result, tuple(self._installed), obstacle, goes_on)


_LASTS = 7 * 24 * 3600.0  # seconds; later nobody remembers having agreed


class Store(Protocol):
    """Keeps a text over a restart, as Slicer's settings do."""

    def read(self) -> str:
        """The text; "" if there is none."""
        ...

    def write(self, text: str) -> None:
        """Keeps the text; "" removes it."""
        ...


def keep(store: Store, choice: Choice) -> None:
    """Remembers that the user has agreed to this, and that it is not finished."""
    store.write(json.dumps({"choice": choice.to_json(), "time": time.time()}))


def take(store: Store) -> Choice | None:
    """What is to be gone on with, or None. It is forgotten at once: what makes Slicer crash must not start again."""
    text = store.read()
    if not text:
        return None
    store.write("")
    try:
        record = json.loads(text)
        choice = Choice.from_json(record["choice"])
        age = time.time() - float(record["time"])
    except (ValueError, KeyError, TypeError):  # written by another version
        return None
    return choice if 0 <= age < _LASTS else None
