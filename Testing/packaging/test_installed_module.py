"""The panel, without the repository: from where CMake installs it, and from a checkout as an additional module path."""

from __future__ import annotations

from pathlib import Path

import pytest

from Testing.packaging.extension_build import REPOSITORY, library_modules, needed_files, run_there


@pytest.fixture(params=["installed", "checkout"])
def a_tree(request, an_installed_extension, a_checkout):
    """The folder of modules that is in Slicer's settings, and the folder that all its files have to come from."""
    if request.param == "installed":
        return an_installed_extension.modules, an_installed_extension.modules
    return a_checkout / "MemorizingSAM3D", a_checkout


def test_the_panel_opens_and_segments(a_tree, a_checkout, the_harness, tmp_path):
    modules, root = a_tree

    report = run_there("open_the_panel", modules, tmp_path, [the_harness], REPOSITORY)

    needed = library_modules(needed_files(a_checkout))
    need_slicer = {name for name in needed if name.split(".")[1:2] in (["scene"], ["ui"])}
    assert report["errors"] == []
    assert {24, 128} <= set(report["moduleIconSizes"])
    assert report["buttonsWithoutIcon"] == []
    assert need_slicer - set(report["imported"]) == set()
    assert [file for file in report["files"] if not Path(file).is_relative_to(root)] == []
    assert (tmp_path / "panel.png").stat().st_size > 10_000
