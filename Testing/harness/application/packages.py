"""`slicer.packaging` (Slicer 5.11): checks requirements truly, and records instead of installing."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from packaging.requirements import Requirement


class Packages:
    """
    Attributes:
        installed: the requirements that would have been installed, as text.
        missing: names of packages that are to be regarded as not installed.
    """

    def __init__(self) -> None:
        self.installed: list[str] = []
        self.missing: set[str] = set()

    def load_requirements(self, path: str | Path) -> list[Requirement]:
        lines = (line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines())
        return [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]

    def pip_check(self, req: str | Requirement | Sequence[str | Requirement]) -> bool:
        return all(self._isSatisfied(requirement) for requirement in _requirements(req))

    def _isSatisfied(self, requirement: Requirement) -> bool:
        if requirement.marker is not None and not requirement.marker.evaluate():
            return True
        if requirement.name in self.missing and str(requirement) not in self.installed:
            return False
        try:
            return importlib.metadata.version(requirement.name) in requirement.specifier
        except importlib.metadata.PackageNotFoundError:
            return str(requirement) in self.installed

    def pip_ensure(
        self,
        requirements: str | Requirement | Sequence[str | Requirement],
        constraints: str | Path | None = None,
        skip_packages: list[str] | None = None,
        prompt_install: bool = True,
        prompt_restart: bool = True,
        requester: str | None = None,
        skip_in_testing: bool = True,
        show_progress: bool = True,
    ) -> list[str] | None:
        """Asks first, through `slicer.util`. Raises RuntimeError when the user declines."""
        import slicer

        absent = [str(item) for item in _requirements(requirements) if not self.pip_check(item)]
        if not absent or (skip_in_testing and slicer.app.testingEnabled()):
            return None
        question = f"{requester or 'A module'} needs Python packages: {', '.join(absent)}. Install them?"
        if prompt_install and not slicer.util.confirmOkCancelDisplay(question):
            raise RuntimeError("The user declined the installation.")
        self.installed.extend(absent)
        return [] if skip_packages else None

    def pip_install(self, requirements: Any = None, *arguments: Any, **keywords: Any) -> None:
        self.installed.extend(str(item) for item in _requirements(requirements or []))

    def pip_uninstall(self, requirements: Any, *arguments: Any, **keywords: Any) -> None:
        for item in _requirements(requirements):
            self.installed = [text for text in self.installed if Requirement(text).name != item.name]

    def isPipInstallInProgress(self) -> bool:
        return False

    def module(self) -> ModuleType:
        module = ModuleType("slicer.packaging")
        functions = ("load_requirements", "pip_check", "pip_ensure", "pip_install", "pip_uninstall")
        for name in (*functions, "isPipInstallInProgress"):
            setattr(module, name, getattr(self, name))
        return module


def _requirements(given: str | Requirement | Sequence[str | Requirement]) -> list[Requirement]:
    if isinstance(given, Requirement):
        return [given]
    items = (
        given.split() if isinstance(given, str) and ";" not in given else [given] if isinstance(given, str) else given
    )
    return [item if isinstance(item, Requirement) else Requirement(item) for item in items]
