from __future__ import annotations

import hashlib
import json
import re
from fnmatch import fnmatchcase

import pytest

from Testing.packaging.extension_build import files_below
from Testing.packaging.opened_resources import calls, opened_resources, source_files, texts


@pytest.fixture(scope="module")
def installed(an_installed_extension):
    return files_below(an_installed_extension.modules / "Resources")


def test_every_resource_that_the_sources_open_is_installed(installed):
    opened = opened_resources()

    assert {"UI/MemorizingSAM3D.ui", "Models/registry.json", "Icons/*.png", "Icons/NextSegment.png"} <= set(opened)
    missing = {
        pattern: where
        for pattern, where in opened.items()
        if not any(fnmatchcase(name, pattern) or name.startswith(f"{pattern}/") for name in installed)
    }
    assert missing == {}


def test_the_registrys_shipped_models_are_installed_as_they_were_registered(an_installed_extension):
    folder = an_installed_extension.modules / "Resources" / "Models"
    shipped = [m for m in json.loads((folder / "registry.json").read_text(encoding="utf-8"))["models"] if not m["url"]]

    assert shipped
    for model in shipped:
        assert hashlib.sha256((folder / model["file"]).read_bytes()).hexdigest() == model["sha256"]


def test_forms_name_no_picture_that_is_not_installed(an_installed_extension, installed):
    forms = [name for name in installed if name.endswith(".ui")]
    named = {
        picture
        for form in forms
        for picture in re.findall(
            r"[\w./@-]+\.(?:png|svg)", (an_installed_extension.modules / "Resources" / form).read_text(encoding="utf-8")
        )
    }

    assert forms
    assert {picture for picture in named if not any(name.endswith(picture.lstrip("./")) for name in installed)} == set()


def test_nothing_opens_a_resource_otherwise_than_through_resource_path():
    # Slicer's own resourcePath looks beside the module's file, where in a checkout there is nothing.
    assert [path.name for path in source_files() if any(calls(path, "resourcePath"))] == []
    assert [path.name for path in source_files() if "Resources" in texts(path)] == ["files.py"]
