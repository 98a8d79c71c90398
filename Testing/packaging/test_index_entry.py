"""The entry for Slicer's index of extensions, and the rules by which it is reviewed."""

from __future__ import annotations

import json
import re
from urllib.parse import urlsplit

import jsonschema
import pytest

from Testing.packaging.extension_build import REPOSITORY

ENTRY = REPOSITORY / "MemorizingSAM3D.json"

# What version 1.0.1 of the index's schema allows; no other key may be there, not even a description.
SCHEMA = {
    "type": "object",
    "required": ["$schema", "category", "scm_url"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"pattern": r"^https://.*/slicer-extension-catalog-entry-schema-v1\.0\.1\.json#$"},
        "category": {"const": "Segmentation"},
        "scm_url": {"type": "string"},
        "scm_revision": {"type": "string"},
        "scm_type": {"enum": ["git", "local"]},
        "build_dependencies": {"type": "array", "items": {"type": "string"}},
        "build_subdirectory": {"type": "string"},
        "enabled": {"type": "boolean"},
        "tier": {"type": "integer", "minimum": 1, "maximum": 5},
    },
}


@pytest.fixture(scope="module")
def entry():
    return json.loads(ENTRY.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def metadata(an_installed_extension):
    return an_installed_extension.metadata


def repository(url):
    """`owner/name` of an address at GitHub."""
    return "/".join(urlsplit(url).path.removesuffix(".git").split("/")[1:3])


def test_the_entry_follows_the_schema(entry):
    jsonschema.validate(entry, SCHEMA)


def test_the_entry_ends_its_lines_as_the_index_wants():
    text = ENTRY.read_bytes()

    assert b"\r" not in text
    assert text.endswith(b"}\n")


def test_the_entry_is_named_as_the_project(metadata):
    text = (REPOSITORY / "CMakeLists.txt").read_text(encoding="utf-8")

    # The index's check takes the first project() of the file.
    assert re.findall(r"project\s*\(\s*([^\s)]+)", text)[0] == ENTRY.stem
    assert metadata["EXTENSION_NAME"] == ENTRY.stem


def test_both_name_the_same_extensions_to_be_built_first(entry, metadata):
    assert metadata["EXTENSION_DEPENDS"].split() == entry["build_dependencies"] == ["PyTorch"]


def test_both_name_the_same_category(entry, metadata):
    assert metadata["EXTENSION_CATEGORY"] == entry["category"]


def test_the_repository_has_the_kind_of_name_that_the_index_wants(entry):
    assert urlsplit(entry["scm_url"]).scheme == "https"
    assert "slicer" in repository(entry["scm_url"]).partition("/")[2].lower()


def test_every_address_leads_to_the_same_repository(entry, metadata):
    pictures = [metadata["EXTENSION_ICONURL"], *metadata["EXTENSION_SCREENSHOTURLS"].split()]

    assert {repository(url) for url in (entry["scm_url"], metadata["EXTENSION_HOMEPAGE"], *pictures)} == {
        "MemorizingSAM3D/SlicerMemorizingSAM3D"
    }


@pytest.mark.parametrize("name", ["EXTENSION_ICONURL", "EXTENSION_SCREENSHOTURLS"])
def test_pictures_stand_on_one_line_and_exist_in_the_revision_that_is_built(name, entry, metadata):
    text = (REPOSITORY / "CMakeLists.txt").read_text(encoding="utf-8")
    (line,) = re.findall(rf'^set\({name} "([^"\n]+)"\)$', text, re.MULTILINE)

    assert line == metadata[name]
    for url in line.split():
        parts = urlsplit(url).path.split("/")[1:]
        assert (urlsplit(url).netloc, parts[2]) == ("raw.githubusercontent.com", entry["scm_revision"])
        picture = REPOSITORY.joinpath(*parts[3:])
        assert picture.suffix in (".png", ".jpg", ".jpeg")
        assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_the_description_says_what_it_is_in_a_line_or_two(metadata):
    assert 40 < len(metadata["EXTENSION_DESCRIPTION"]) < 200
    assert "Not a medical device" in metadata["EXTENSION_DESCRIPTION"]
    assert metadata["EXTENSION_CONTRIBUTORS"]
