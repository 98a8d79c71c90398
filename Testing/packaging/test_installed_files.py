from __future__ import annotations

import json
import re

import pytest

from Testing.packaging.extension_build import (
    MODULES_FOLDER,
    NOT_FOR_SLICER,
    REPOSITORY,
    ExtensionBuild,
    copy_checkout,
    files_below,
    needed_files,
)


def test_everything_needed_is_installed_and_nothing_else(an_installed_extension):
    installed = files_below(an_installed_extension.modules)

    assert sorted(an_installed_extension.needed - installed) == []
    assert sorted(installed - an_installed_extension.needed) == []


def test_the_module_lies_flat_in_the_folder_of_scripted_modules(an_installed_extension):
    modules = an_installed_extension.modules

    assert modules.as_posix().endswith(MODULES_FOLDER)
    assert {path.name for path in modules.iterdir()} == {"MemorizingSAM3D.py", "MemorizingSAM3DLib", "Resources"}


def test_what_a_user_needs_at_once_is_among_it(an_installed_extension):
    # Said by name, since a list that is made from the sources agrees with any mistake in them.
    registry = json.loads((REPOSITORY / "Resources/Models/registry.json").read_text(encoding="utf-8"))
    weights = [f"Resources/Models/{model['file']}" for model in registry["models"] if model["url"] is None]

    assert weights
    assert an_installed_extension.needed >= {
        *weights,
        "MemorizingSAM3DLib/__init__.py",
        "MemorizingSAM3DLib/engine/networks/sam3d.py",
        "Resources/Icons/MemorizingSAM3D.png",
        "Resources/Models/registry.json",
        "Resources/Models/registry.schema.json",
        "Resources/Models/README.md",
        "Resources/UI/MemorizingSAM3D.ui",
        "Resources/UI/Settings.ui",
        "Resources/requirements.txt",
    }


def test_what_works_without_the_panel_is_not_among_it(an_installed_extension):
    installed = files_below(an_installed_extension.modules)

    assert [name for name in installed if name.startswith(NOT_FOR_SLICER)] == []
    assert len([name for name in installed if name.startswith("MemorizingSAM3DLib/")]) > 50


def test_ctest_runs_the_modules_own_test_and_slicers_generic_one(an_installed_extension):
    tests = an_installed_extension.tests

    assert set(tests) == {"py_MemorizingSAM3D", "py_nomainwindow_qSlicerMemorizingSAM3DModuleGenericTest"}
    assert re.search(r"runUnitTest\(\[.*\bMemorizingSAM3D'\], 'MemorizingSAM3D'\)", tests["py_MemorizingSAM3D"][-1])


@pytest.fixture
def a_build(tmp_path):
    """Not configured yet."""
    return ExtensionBuild(
        copy_checkout(tmp_path / "checkout", "*.safetensors"), tmp_path / "build", tmp_path / "installed"
    )


def test_a_file_that_is_added_later_is_installed_by_the_next_build(a_build):
    a_build.run()
    for name in ("MemorizingSAM3DLib/scene/added_later.py", "Resources/Icons/AddedLater.png"):
        (a_build.source / name).write_bytes(b"")
        assert name not in files_below(a_build.modules)

    a_build.make()

    assert files_below(a_build.modules) == needed_files(a_build.source)
    assert "MemorizingSAM3DLib/scene/added_later.py" in files_below(a_build.modules)


def test_a_missing_module_file_stops_the_configuration(a_build):
    (a_build.source / "MemorizingSAM3D" / "MemorizingSAM3D.py").unlink()

    configured = a_build.configure()

    assert configured.returncode != 0
    assert "nonexistent file or directory 'MemorizingSAM3D.py'" in " ".join(configured.stderr.split())
