"""The packages that the extension needs, as Resources/requirements.txt lists them.

Conditions that a wheel puts on a dependency, such as `sys_platform == "win32"`.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from MemorizingSAM3DLib.engine.files import resource_path

_LINE = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*>=\s*([0-9][0-9.]*)")
_RELEASE = re.compile(r"(?:\d+!)?(\d+(?:\.\d+)*)")


class Requirement(NamedTuple):
    """A package and the oldest version of it that will do. As text it is what pip understands."""

    name: str
    minimum: str

    def __str__(self) -> str:
        return f"{self.name}>={self.minimum}"

    def is_met_by(self, version: str) -> bool:
        """Whether this version will do. Release candidates and builds of one's own count as the release they name."""
        return release(version) >= release(self.minimum)


TORCH = Requirement("torch", "2.10")
"""Not in requirements.txt, from which pip would take it: which build of PyTorch fits is for the PyTorch extension."""


def required_packages() -> list[Requirement]:
    """The packages of Resources/requirements.txt, in its order."""
    return parse_requirements(resource_path("requirements.txt").read_text(encoding="utf-8"))


def parse_requirements(text: str) -> list[Requirement]:
    """Reads `name>=version` lines; empty lines and comments are left out.

    Raises:
        ValueError: a line is something else. Other extensions share this Python: nothing may be pinned.
    """
    found = []
    for line in text.splitlines():
        line = line.partition("#")[0].strip()
        if not line:
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise ValueError(f"requirements.txt: {line!r} is not of the form name>=version.")
        found.append(Requirement(*match.groups()))
    return found


def release(version: str) -> tuple[int, ...]:
    """The numbers of a version, without trailing zeros: (2, 10) for `2.10.0+cu130`; empty if it has none."""
    match = _RELEASE.match(version)
    numbers = [int(part) for part in match.group(1).split(".")] if match else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def applies(marker: str) -> bool:
    """Whether a dependency with this marker (PEP 508) is needed here; extras that nobody asked for are not.

    Evaluated by `packaging`, which Slicer has since 5.11, or by pip's copy of it; without either, a marker that is not
    about extras is taken to apply on this machine only if it is empty, so that nothing is asked for in vain.
    """
    if not marker:
        return True
    markers = _library()
    if markers is None:
        return False
    try:
        return bool(markers.Marker(marker).evaluate({"extra": ""}))
    except markers.InvalidMarker:
        return False


def _library() -> Any:
    try:
        from packaging import markers
    except ImportError:
        try:
            from pip._vendor.packaging import markers  # type: ignore[no-redef]
        except ImportError:
            return None
    return markers
