from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import MemorizingSAM3DLib
from MemorizingSAM3DLib.engine.files import resource_path

PACKAGE = Path(MemorizingSAM3DLib.__file__).parent
REPOSITORY = PACKAGE.parent


def found_by_a_copy(site: Path) -> Path:
    """What ``resource_path`` answers in another process that imports the package from `site`."""
    code = "from MemorizingSAM3DLib.engine.files import resource_path as r; print(r('Models', 'registry.json'))"
    run = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(site)!r}); {code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return Path(run.stdout.strip())


def a_copy_of_the_resource_finder(site: Path) -> None:
    for part in ("__init__.py", "engine/__init__.py", "engine/errors.py", "engine/files.py"):
        target = site / "MemorizingSAM3DLib" / part
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PACKAGE / part, target)


def test_the_sources_have_their_registry():
    assert resource_path("Models", "registry.json").is_file()
    assert resource_path("Models").is_dir()


def test_a_flat_slicer_install_finds_resources_beside_the_package(tmp_path):
    a_copy_of_the_resource_finder(tmp_path)
    registry = tmp_path / "Resources" / "Models" / "registry.json"
    registry.parent.mkdir(parents=True)
    registry.write_text("{}")
    assert found_by_a_copy(tmp_path) == registry


def test_a_wheel_carries_the_resources_inside_the_package(tmp_path):
    source = tmp_path / "source"
    a_copy_of_the_resource_finder(source)
    (source / "Resources" / "Models").mkdir(parents=True)
    (source / "Resources" / "Models" / "registry.json").write_text("{}")
    for name in ("pyproject.toml", "LICENSE"):
        shutil.copy(REPOSITORY / name, source)
    (source / "README.md").write_text("A copy.")
    build = "import sys, hatchling.build as b; b.build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, str(tmp_path)], cwd=source, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "site")
    assert {name.split("/")[0].split("-")[0] for name in names} == {"MemorizingSAM3DLib", "memorizing_sam3d"}
    expected = tmp_path / "site" / "MemorizingSAM3DLib" / "Resources" / "Models" / "registry.json"
    assert found_by_a_copy(tmp_path / "site") == expected


def test_a_missing_resource_names_itself_and_where_it_was_looked_for():
    with pytest.raises(FileNotFoundError, match=r"Models/nothing\.bin did not come.*Resources"):
        resource_path("Models", "nothing.bin")
