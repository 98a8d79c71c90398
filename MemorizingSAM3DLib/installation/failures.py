"""Why a step failed, in words that help."""

from __future__ import annotations

import tempfile

from .machine import Machine
from .plan import Obstacle, Plan, Step, no_network, no_room, path_too_long, size_text

_FULL = ("no space left", "errno 28", "winerror 112", "not enough space", "disk full")
_LONG = ("winerror 206", "filename or extension is too long", "path too long", "file name too long")
_IN_USE = ("winerror 5", "winerror 32", "being used by another process", "text file busy")
_RIGHTS = ("permission denied", "errno 13", "access is denied")
_NETWORK = ("name resolution", "getaddrinfo", "connection", "timed out", "proxy", "ssl", "max retries", "unreachable")
_NO_WHEEL = ("no matching distribution", "could not find a version")
_LITTLE = 100e6  # bytes


def explain(machine: Machine, plan: Plan, step: Step, words: str) -> Obstacle:
    """Problem and remedy of a step that failed.

    pip's exit code does not say why, and Slicer keeps pip's words in its console: so the words are looked through if
    there are any, and else the disk and the network are asked.

    Args:
        words: what the installer said.
    """
    said = words.lower()
    free = machine.free_bytes()
    if free < _LITTLE:
        return no_room(plan.megabytes_on_disk, free / 1e6, plan.destination)
    if _any(_FULL, said):
        return Obstacle(
            f"A disk is full. Packages are unpacked in the folder for temporary files, {tempfile.gettempdir()}.",
            f"Make room there for {size_text(plan.megabytes_on_disk)}, or set TMPDIR (on Windows TEMP) to another disk "
            "and restart Slicer.",
        )
    if _any(_LONG, said):
        return path_too_long(plan.destination)
    if _any(_IN_USE, said):
        return in_use(step)
    if _any(_RIGHTS, said):
        return Obstacle(
            f"{step.name} could not be written to {plan.destination}.",
            "Close other Slicer windows and programs that watch that folder, or ask whoever installed Slicer.",
        )
    if plan.choice.folder is None and (_any(_NETWORK, said) or not machine.is_online()):
        return no_network()
    if _any(_NO_WHEEL, said):
        return Obstacle(
            f"There is no {step.name} {step.requirement.minimum} or later for this Slicer's Python "
            f"{machine.python[0]}.{machine.python[1]} on {machine.system} {machine.architecture}.",
            "Use the current stable Slicer.",
        )
    return Obstacle(
        f"{step.name} was not installed: {words or 'pip reported an error'}.",
        "The whole report is in Slicer's Python console. Try again; if that fails too, press Repair in the settings.",
    )


def in_use(step: Step) -> Obstacle:
    """A package that this process has loaded cannot be replaced."""
    return Obstacle(
        f"{step.name} is in use by this Slicer and cannot be replaced now.",
        "Restart Slicer; the installation goes on by itself.",
    )


def still_damaged(step: Step, detail: str) -> Obstacle:
    """Installed without a complaint, and yet not whole."""
    module = step.requirement.name.replace("-", "_")
    return Obstacle(
        f"{step.name} was installed, but it is not whole: {detail}.",
        f"Close Slicer, delete the folders {module} and {module}-*.dist-info in Slicer's site-packages, start Slicer "
        "and install again. A virus scanner may have removed files: let it leave that folder alone.",
    )


def _any(phrases: tuple[str, ...], said: str) -> bool:
    return any(phrase in said for phrase in phrases)
