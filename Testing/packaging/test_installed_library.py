from __future__ import annotations

from pathlib import Path

from Testing.packaging.extension_build import library_modules, run_there


def needs_slicer(name):
    return name.startswith(("MemorizingSAM3DLib.scene", "MemorizingSAM3DLib.ui"))


def test_every_module_that_works_without_slicer_imports_from_the_installed_tree(an_installed_extension):
    installed = an_installed_extension
    report = run_there("import_everything", installed.modules, installed.work, [installed.modules])

    assert set(report["imported"]) == {name for name in library_modules(installed.needed) if not needs_slicer(name)}
    assert all(Path(file).is_relative_to(installed.modules) for file in report["files"])


def test_one_click_segments_a_ball_with_the_installed_weights(an_installed_extension):
    installed = an_installed_extension
    report = run_there("segment_a_ball", installed.modules, installed.work, [installed.modules])

    assert report["dice"] > 0.7
    assert report["models"]
