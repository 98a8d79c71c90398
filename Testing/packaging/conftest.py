"""The extension, installed once for all tests here from a checkout that is gone afterwards."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from Testing.packaging.extension_build import REPOSITORY, ExtensionBuild, copy_checkout, needed_files


@dataclass(frozen=True)
class InstalledExtension:
    """
    Attributes:
        modules: the installed folder of scripted modules.
        needed: the files that have to be in it.
        metadata: `EXTENSION_...` as Slicer got them.
        tests: the commands of the tests that CTest would run.
        work: an empty folder elsewhere.
    """

    modules: Path
    needed: set[str]
    metadata: dict[str, str]
    tests: dict[str, list[str]]
    work: Path


@pytest.fixture(scope="session")
def an_installed_extension(tmp_path_factory: pytest.TempPathFactory) -> InstalledExtension:
    """Neither its sources nor its build are there any more."""
    folder = tmp_path_factory.mktemp("extension")
    checkout = copy_checkout(folder / "checkout")
    needed = needed_files(checkout)
    _usage(checkout)
    build = ExtensionBuild(checkout, folder / "build", folder / "installed").run()
    metadata, tests = build.metadata, build.tests
    shutil.rmtree(checkout)
    shutil.rmtree(build.build)
    work = folder / "work"
    work.mkdir()
    return InstalledExtension(build.modules, needed, metadata, tests, work)


@pytest.fixture(scope="session")
def a_checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources alone, elsewhere than the repository."""
    return copy_checkout(tmp_path_factory.mktemp("sources") / "checkout")


@pytest.fixture(scope="session")
def the_harness(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to import `Testing.harness` from, without the sources beside it."""
    folder = tmp_path_factory.mktemp("harness")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(REPOSITORY / "Testing" / "harness", folder / "Testing" / "harness", ignore=ignored)
    return folder


def _usage(checkout: Path) -> None:
    """Leaves what Python, editors and file managers leave in a checkout; none of it is to be shipped."""
    for name in (
        "MemorizingSAM3D/__pycache__/MemorizingSAM3D.cpython-312.pyc",
        "MemorizingSAM3DLib/engine/__pycache__/session.cpython-312.pyc",
        "MemorizingSAM3DLib/engine/__pycache__/not_even.py",
        "MemorizingSAM3DLib/.ipynb_checkpoints/session.py",
        "MemorizingSAM3DLib/engine/.#session.py",
        "MemorizingSAM3DLib/engine/session/session.py.orig",
        "Resources/.DS_Store",
        "Resources/Icons/.thumbnail.png",
        "Resources/Models/native.safetensors.part",
        "Resources/Models/README.md~",
        "Resources/Schemas/evaluation.schema.json.orig",
    ):
        path = checkout / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
