"""Installing with Slicer's own means: `slicer.packaging`, and the PyTorch extension for PyTorch."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any

import slicer

from MemorizingSAM3DLib.engine.files import resource_path
from MemorizingSAM3DLib.installation.condition import SLICERS_OWN
from MemorizingSAM3DLib.installation.machine import InstallError, Machine
from MemorizingSAM3DLib.installation.this_python import ThisPython

_REQUESTER = "MemorizingSAM3D"
_TORCH_MODULE = "PyTorchUtils"
_WHEELS_ONLY = {"PIP_ONLY_BINARY": ":all:"}  # nobody at a hospital's computer has a compiler
# What pip, Slicer, and the import of a PyTorch that lacks libraries raise.
_ERRORS = (CalledProcessError, RuntimeError, ImportError, OSError, ValueError, TypeError, AttributeError)


class SlicerInstaller:
    """An `installation.machine.Installer`, which says what each member does. It asks nothing: the user has agreed.

    Args:
        machine: whose packages must stay as they are.
    """

    def __init__(self, machine: Machine | None = None) -> None:
        self._machine = machine or ThisPython()

    @property
    def has_torch_extension(self) -> bool:
        # Slicer loads its modules by their files: one that is loaded has no spec that could be found.
        return _TORCH_MODULE in sys.modules or importlib.util.find_spec(_TORCH_MODULE) is not None

    def install(self, requirements: Sequence[str], folder: Path | None) -> None:
        with _environment(_WHEELS_ONLY), self._constraints() as constraints, _raisingInstallError():
            packaging = _packaging()
            if folder is not None:
                # The one way that never touches the network; the PyTorch extension's asks download.pytorch.org.
                slicer.util.pip_install(
                    ["--no-index", "--find-links", str(folder), "-c", str(constraints), *requirements]
                )
            elif packaging is None:
                slicer.util.pip_install(["-c", str(constraints), *requirements])
            else:
                listed = {str(item): item for item in packaging.load_requirements(resource_path("requirements.txt"))}
                packaging.pip_ensure(
                    [listed.get(text, text) for text in requirements],
                    constraints=constraints,
                    prompt_install=False,
                    prompt_restart=False,
                    requester=_REQUESTER,
                    show_progress=False,
                )

    def install_torch(self, minimum: str, cpu_only: bool) -> bool:
        with _raisingInstallError():
            logic = importlib.import_module(_TORCH_MODULE).PyTorchUtilsLogic()
            torch = logic.installTorch(
                askConfirmation=False,
                forceComputationBackend="cpu" if cpu_only else None,
                torchVersionRequirement=f">={minimum}",
            )
            return torch is not None

    def remove(self, packages: Sequence[str]) -> None:
        names = list(packages)
        if "torch" in names:
            names.append("torchvision")  # built for one version of PyTorch, and the PyTorch extension brings both
        with _raisingInstallError():
            slicer.util.pip_uninstall(names)

    @contextmanager
    def _constraints(self) -> Iterator[Path]:
        """A file that holds what came with Slicer at the version it has."""
        versions = {name: self._machine.version(name) for name in sorted(SLICERS_OWN)}
        lines = [f"{name}=={version}" for name, version in versions.items() if version]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "constraints.txt")
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
            yield path


def _packaging() -> Any:
    """`slicer.packaging`; None before Slicer 5.11."""
    try:
        return importlib.import_module("slicer.packaging")
    except ImportError:
        return None


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Sets variables for the processes that are started meanwhile."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _raisingInstallError() -> Iterator[None]:
    try:
        yield
    except _ERRORS as error:
        said = [str(error)]
        if isinstance(error, CalledProcessError):
            said += [str(text) for text in (error.output, error.stderr) if text]
        raise InstallError(" ".join(" ".join(said).split())) from error
