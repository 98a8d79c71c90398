"""Configures, builds and installs the extension as Slicer's build does, with the stub Slicer beside this file."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
STUB_SLICER = Path(__file__).resolve().parent / "stub_slicer"
SCRIPTS_TO_RUN_THERE = Path(__file__).resolve().parent / "there"
MODULES_FOLDER = "lib/Slicer-5.12/qt-scripted-modules"  # what the stub says

# What works without the panel, and stays away from Slicer.
NOT_FOR_SLICER = tuple(f"MemorizingSAM3DLib/{name}/" for name in ("benchmarks", "cli", "learning", "scene/headless"))

# What a build reads. Testing is not among them: that a build without it works is a part of the test.
_SOURCES = ("CMakeLists.txt", "MemorizingSAM3D", "MemorizingSAM3DLib", "Resources")


def copy_checkout(target: Path, without: str = "") -> Path:
    """The sources of the extension, as someone has them who cloned the repository.

    Args:
        target: a folder that is made.
        without: files to leave out, as a pattern: the weights are large.
    """
    target.mkdir(parents=True)
    for name in _SOURCES:
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__", ".*", without))
        else:
            shutil.copy2(source, target / name)
    return target


def needed_files(checkout: Path) -> set[str]:
    """What has to be in qt-scripted-modules, and nothing else: posix paths below it.

    Written down a second time, other than in CMake: of the package what the panel needs, all of Resources but the
    screenshots.
    """
    package = [path for path in (checkout / "MemorizingSAM3DLib").rglob("*") if path.is_file()]
    resources = [path for path in (checkout / "Resources").rglob("*") if path.is_file()]
    names = {path.relative_to(checkout).as_posix() for path in (*package, *resources)}
    names = {name for name in names if not name.startswith(("Resources/Screenshots/", *NOT_FOR_SLICER))}
    return {"MemorizingSAM3D.py"} | names


def library_modules(files: Iterable[str]) -> set[str]:
    """The names by which the package's files are imported; `__main__`, which runs the program, is not among them."""
    scripts = {name.removesuffix(".py") for name in files if name.startswith("MemorizingSAM3DLib/")}
    names = {name.removesuffix("/__init__").replace("/", ".") for name in scripts}
    return {name for name in names if not name.endswith(".__main__")}


def files_below(folder: Path) -> set[str]:
    """Posix paths of all files."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@dataclass(frozen=True)
class ExtensionBuild:
    """
    Attributes:
        source: a checkout.
        build: CMake's folder.
        prefix: where it is installed.
    """

    source: Path
    build: Path
    prefix: Path

    @property
    def modules(self) -> Path:
        """The installed folder of scripted modules, as Slicer has it among its module paths."""
        return self.prefix / MODULES_FOLDER

    def configure(self) -> subprocess.CompletedProcess[str]:
        arguments = [
            *("-S", str(self.source), "-B", str(self.build)),
            f"-DSlicer_DIR={STUB_SLICER.as_posix()}",
            f"-DCMAKE_TOOLCHAIN_FILE={(STUB_SLICER / 'no_compiler.cmake').as_posix()}",
        ]
        if ninja := _program("ninja"):  # else CMake's own choice, which on Windows asks for Visual Studio
            arguments += ["-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={Path(ninja).as_posix()}"]
        return _run([_required("cmake"), *arguments])

    def make(self) -> None:
        """Builds, which copies the files, and installs them."""
        for step in (["--build", str(self.build)], ["--install", str(self.build), "--prefix", str(self.prefix)]):
            _check(_run([_required("cmake"), *step, "--config", "Release"]))

    def run(self) -> ExtensionBuild:
        """All three steps.

        Raises:
            AssertionError: one of them failed; with what CMake wrote.
        """
        _check(self.configure())
        self.make()
        return self

    @property
    def metadata(self) -> dict[str, str]:
        """`EXTENSION_...` as Slicer got them."""
        lines = (self.build / "extension_metadata.txt").read_text(encoding="utf-8").splitlines()
        return dict(line.split("=", 1) for line in lines)

    @property
    def tests(self) -> dict[str, list[str]]:
        """The commands of the tests that CTest would run, by their names."""
        asked = _run([_required("ctest"), "-C", "Release", "--show-only=json-v1"], self.build)
        _check(asked)
        return {test["name"]: test["command"] for test in json.loads(asked.stdout)["tests"]}


def run_there(script: str, modules: Path, work: Path, paths: Sequence[Path], *more: Path) -> Any:
    """Runs a script of the folder `there` in a Python that has no source tree.

    `sys.path` is `paths`, Python's own, and the installed packages; .pth files are not read, through which an editable
    installation would bring the source tree back.

    Args:
        script: its name, without .py; it gets the folder of modules as its argument, and what else is given.
        modules: a folder of Slicer's scripted modules.
        work: the current folder, which is not on the path.
        paths: go first on `sys.path`.

    Returns:
        what the script printed last, read as JSON.

    Raises:
        AssertionError: the script failed; with what it wrote.
    """
    start = (
        f"import runpy, sys; sys.path[:0] = {list(map(str, paths))!r}; sys.path += {_installed_packages()!r}; "
        f"sys.argv[1:] = {[str(modules), *map(str, more)]!r}; "
        f"runpy.run_path({str(SCRIPTS_TO_RUN_THERE / f'{script}.py')!r}, run_name='__main__')"
    )
    done = _run([sys.executable, "-I", "-S", "-B", "-c", start], work)
    _check(done)
    return json.loads(done.stdout.splitlines()[-1])


def _installed_packages() -> list[str]:
    names = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    # As pytest found them: a virtual environment may borrow packages from the Python below it.
    return [path for path in sys.path if path in names or path.endswith(("site-packages", "dist-packages"))]


def _program(name: str) -> str | None:
    # A wheel's programs are beside Python, which is on no PATH as long as the environment is not activated.
    folders = [sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)]
    return shutil.which(name, path=os.pathsep.join(folders))


def _required(name: str) -> str:
    found = _program(name)
    assert found, f"{name} is missing: pip install cmake ninja"
    return found


def _run(command: list[str], folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, encoding="utf-8", errors="replace", timeout=170
    )


def _check(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, f"{done.args[:4]} failed:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
