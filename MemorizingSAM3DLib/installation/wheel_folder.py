"""A folder with all that a computer without internet needs: wheels, and perhaps a model."""

from __future__ import annotations

import email.parser
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path

from .machine import Machine
from .markers import applies
from .requirements import Requirement, release
from .wheels import Wheel, canonical, wheel_of

_MODELS = (".safetensors", ".pth", ".pt")
_DEPENDENCY = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)")
_MINIMUM = re.compile(r">=\s*([0-9][0-9.]*)")


class WheelFolder:
    """What is in a folder, by its files' names.

    Args:
        path: the folder; subfolders are not looked at, as pip does not.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        files = sorted(path.iterdir()) if path.is_dir() else []
        self.models = [file for file in files if file.suffix.lower() in _MODELS]
        self.wheels = [wheel for file in files if (wheel := wheel_of(file)) is not None]

    def best(self, requirement: Requirement, machine: Machine) -> Wheel | None:
        """The newest wheel that satisfies the requirement on this machine."""
        fitting = [
            wheel
            for wheel in self.wheels
            if wheel.name == canonical(requirement.name)
            and wheel.fits(machine)
            and requirement.is_met_by(wheel.version)
        ]
        return max(fitting, key=lambda wheel: release(wheel.version), default=None)

    def missing(self, requirements: Sequence[Requirement], machine: Machine) -> list[str]:
        """What the folder lacks, dependencies of dependencies included: a line for each, with what is there instead."""
        return self._collect(requirements, machine)[1]

    def megabytes(self, requirement: Requirement, machine: Machine) -> float:
        """The size of the package's wheel and of those that it needs itself, as far as they are there."""
        return sum(wheel.path.stat().st_size for wheel in self._collect([requirement], machine)[0]) / 1e6

    def _collect(self, requirements: Sequence[Requirement], machine: Machine) -> tuple[list[Wheel], list[str]]:
        """The wheels that would be installed, and what is missing."""
        found: list[Wheel] = []
        lacking: list[str] = []
        seen: set[str] = set()
        waiting = list(requirements)
        while waiting:
            requirement = waiting.pop(0)
            name = canonical(requirement.name)
            if name in seen:
                continue
            seen.add(name)
            wheel = self.best(requirement, machine)
            needed = None if wheel is None else dependencies(wheel)
            if wheel is None or needed is None:
                lacking.append(self._instead(requirement, wheel))
            else:
                found.append(wheel)
                waiting += [other for other in needed if not _is_there(other, machine)]
        return found, lacking

    def _instead(self, requirement: Requirement, unreadable: Wheel | None) -> str:
        wanted = (
            requirement.name if requirement.minimum == "0" else f"{requirement.name} {requirement.minimum} or later"
        )
        if unreadable is not None:
            return f"{wanted} (the file {unreadable.path.name} is no wheel; download it again)"
        others = [wheel.path.name for wheel in self.wheels if wheel.name == canonical(requirement.name)]
        return f"{wanted} (there is {others[0]}, which does not fit this Slicer)" if others else wanted


def dependencies(wheel: Wheel) -> list[Requirement] | None:
    """What a wheel asks for on this machine; None for a file that is no wheel, say the login page of a proxy."""
    try:
        with zipfile.ZipFile(wheel.path) as archive:
            name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
            metadata = email.parser.BytesParser().parsebytes(archive.read(name))
    except (OSError, zipfile.BadZipFile, StopIteration):
        return None
    found = []
    for text in metadata.get_all("Requires-Dist", []):
        specification, _, marker = text.partition(";")
        match = _DEPENDENCY.match(specification.strip())
        if match is not None and applies(marker.strip()):
            minimum = _MINIMUM.search(specification)
            found.append(Requirement(match.group(1), minimum.group(1) if minimum else "0"))
    return found


def _is_there(requirement: Requirement, machine: Machine) -> bool:
    version = machine.version(requirement.name)
    return version is not None and requirement.is_met_by(version)
