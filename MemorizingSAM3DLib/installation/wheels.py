"""The names of wheels: which package, which version, and whether it fits a machine."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from .machine import Machine

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
