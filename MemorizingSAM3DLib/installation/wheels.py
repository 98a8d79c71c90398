"""The names of wheels: which package, which version, and whether it fits a machine.

A folder with all that a computer without internet needs: wheels, and perhaps a model.
"""

from __future__ import annotations

import email.parser
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .machine import Machine
from .requirements import Requirement, applies, release

_PLATFORMS = {"Windows": "win", "Darwin": "macosx", "Linux": "linux"}
_ARCHITECTURES = {"x86_64": ("x86_64", "amd64", "universal2", "intel"), "arm64": ("arm64", "aarch64", "universal2")}


@dataclass(frozen=True)
class Wheel:
    """A wheel by its file's name (PEP 427): name, version and tags."""

    path: Path
    name: str
    version: str
    pythons: tuple[str, ...]
    abis: tuple[str, ...]
    platforms: tuple[str, ...]

    def fits(self, machine: Machine) -> bool:
        """Whether pip would take it. How old a Linux or macOS may be is left to pip."""
        return self._fits_python(machine.python) and self._fits_platform(machine)

    def _fits_python(self, python: tuple[int, int]) -> bool:
        major, minor = python
        for tag in self.pythons:
            match = re.fullmatch(r"(py|cp)(\d)(\d*)", tag)
            if match is None or int(match[2]) != major:
                continue
            since = int(match[3] or 0)
            exact = match[1] == "cp" and "abi3" not in self.abis
            if since == minor if exact else since <= minor:
                return True
        return False

    def _fits_platform(self, machine: Machine) -> bool:
        system = _PLATFORMS.get(machine.system, machine.system.lower())
        names = _ARCHITECTURES.get(machine.architecture, (machine.architecture,))
        return any(
            tag == "any" or (system in tag and tag.endswith(names) and "musl" not in tag) for tag in self.platforms
        )


def wheel_of(path: Path) -> Wheel | None:
    """The wheel that a file is, by its name; None for any other file."""
    parts = path.name.removesuffix(".whl").split("-")
    if path.suffix != ".whl" or len(parts) not in (5, 6):
        return None
    python, abi, platform = (tuple(part.split(".")) for part in parts[-3:])
    return Wheel(path, canonical(parts[0]), parts[1], python, abi, platform)


def canonical(name: str) -> str:
    """A package's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


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
