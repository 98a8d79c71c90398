"""A computer and an installer that do what the test says, and nothing to this one."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

from MemorizingSAM3DLib.installation.machine import InstallError

SLICER = {"numpy": "2.4.0", "SimpleITK": "2.5.0", "scipy": "1.16.3", "requests": "2.32.3"}
"""What comes with Slicer 5.12."""

EVERYTHING = {
    **SLICER,
    "safetensors": "0.8.0",
    "jsonschema": "4.26.0",
    "nibabel": "5.4.2",
    "pooch": "1.9.0",
    "rich": "15.0.0",
    "typer": "0.29.2",
    "torch": "2.13.0+cu130",
}


class FakeMachine:
    """A Windows with Slicer 5.12, enough room, a network and an NVIDIA GPU; nothing installed but what Slicer has.

    Attributes:
        versions: what is installed. damages: why packages are only half there. loaded: what Slicer has imported.
        modules: importable without metadata. import_problems: what an import says.
    """

    def __init__(self, versions: dict[str, str] | None = None) -> None:
        self.python = (3, 12)
        self.system = "Windows"
        self.architecture = "x86_64"
        self.folder = Path("C:/Slicer/lib/Python/Lib/site-packages")
        self.versions = dict(SLICER if versions is None else versions)
        self.damages: dict[str, str] = {}
        self.import_problems: dict[str, str] = {}
        self.loaded: set[str] = set()
        self.modules: set[str] = set()
        self.free = 200e9
        self.online = True
        self.writable = True
        self.long_paths = True
        self.nvidia = True

    def version(self, package: str) -> str | None:
        return self.versions.get(package)

    def damage(self, package: str) -> str | None:
        return self.damages.get(package)

    def is_there(self, module: str) -> bool:
        return module in self.modules

    def is_loaded(self, module: str) -> bool:
        return module in self.loaded

    def import_problem(self, module: str) -> str | None:
        return self.import_problems.get(module)

    def free_bytes(self) -> int:
        return int(self.free)

    def is_online(self) -> bool:
        return self.online

    def can_write(self) -> bool:
        return self.writable

    def allows_long_paths(self) -> bool:
        return self.long_paths

    def has_nvidia_driver(self) -> bool:
        return self.nvidia


class FakeInstaller:
    """Changes the fake machine.

    Attributes:
        done: what was asked of it, in order. before: called with a package's name before it is installed, and may
            raise. declines: whether the user declines PyTorch. breaks: packages that come without some of their files.
    """

    def __init__(self, machine: FakeMachine) -> None:
        self.machine = machine
        self.has_torch_extension = True
        self.done: list[str] = []
        self.before: Callable[[str], None] = lambda name: None
        self.declines = False
        self.breaks: set[str] = set()

    def install(self, requirements: Sequence[str], folder: Path | None) -> None:
        for requirement in requirements:
            name, _, minimum = requirement.partition(">=")
            self._put(name, minimum, "" if folder is None else f" from {folder.name}")

    def install_torch(self, minimum: str, cpu_only: bool) -> bool:
        if self.declines:
            return False
        self._put("torch", minimum, " for the CPU" if cpu_only else "")
        return True

    def remove(self, packages: Sequence[str]) -> None:
        for name in packages:
            self.done.append(f"remove {name}")
            self.machine.versions.pop(name, None)
            self.machine.damages.pop(name, None)
            self.machine.import_problems.pop(name, None)

    def _put(self, name: str, version: str, how: str) -> None:
        self.before(name)
        self.done.append(f"{name}{how}")
        self.machine.versions[name] = version
        if name in self.breaks:
            self.machine.damages[name] = "3 of its files are missing, torch/lib/torch_cpu.dll for one"


class FakeStore:
    """A text in memory."""

    def __init__(self, text: str = "") -> None:
        self.text = text

    def read(self) -> str:
        return self.text

    def write(self, text: str) -> None:
        self.text = text


def failing(package: str, words: str) -> Callable[[str], None]:
    """For `FakeInstaller.before`: this package fails with these words."""

    def raise_(name: str) -> None:
        if name == package:
            raise InstallError(words)

    return raise_


def make_wheel(folder: Path, name: str, requires: Sequence[str] = ()) -> Path:
    """An empty wheel with this file name and these dependencies."""
    path = folder / name
    package, version = name.split("-")[:2]
    metadata = [
        "Metadata-Version: 2.1",
        f"Name: {package}",
        f"Version: {version}",
        *(f"Requires-Dist: {text}" for text in requires),
    ]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{package}-{version}.dist-info/METADATA", "\n".join(metadata) + "\n")
    return path


def make_complete_folder(folder: Path) -> Path:
    """A folder of wheels with all that a Windows without internet needs, and a model."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, requires in (
        ("safetensors-0.8.0-cp310-abi3-win_amd64.whl", ()),
        ("nibabel-5.4.2-py3-none-any.whl", ()),
        ("jsonschema-4.26.0-py3-none-any.whl", ("attrs>=22.2.0", "rpds-py>=0.25.0")),
        ("attrs-26.1.0-py3-none-any.whl", ()),
        ("rpds_py-2026.9.1-cp312-cp312-win_amd64.whl", ()),
        ("pooch-1.9.0-py3-none-any.whl", ("requests>=2.19.0", 'tqdm>=4.41; extra == "progress"')),
        ("rich-15.0.0-py3-none-any.whl", ("pygments (>=2.13.0,<3.0.0)",)),
        ("pygments-2.21.0-py3-none-any.whl", ()),
        ("typer-0.29.2-py3-none-any.whl", ("rich>=13.8.0",)),
        ("torch-2.13.0+cu130-cp312-cp312-win_amd64.whl", ("filelock",)),
        ("filelock-4.2.11-py3-none-any.whl", ()),
    ):
        make_wheel(folder, name, requires)
    (folder / "our_model.safetensors").write_bytes(b"")
    return folder
