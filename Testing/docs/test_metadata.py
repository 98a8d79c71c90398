"""CITATION.cff, the change log, and what Slicer's Extensions Index asks of a README."""

from __future__ import annotations

import re

import pytest
import yaml

from MemorizingSAM3DLib import __version__
from Testing.docs.pages import REPOSITORY, Page

# Of the Citation File Format 1.2.0 (its schema, version 1.2.0): the keys that may stand at the top.
_KEYS = {
    "abstract", "authors", "cff-version", "commit", "contact", "date-released", "doi", "identifiers", "keywords",
    "license", "license-url", "message", "preferred-citation", "references", "repository", "repository-artifact",
    "repository-code", "title", "type", "url", "version",
}  # fmt: skip


@pytest.fixture(scope="module")
def citation():
    return yaml.safe_load((REPOSITORY / "CITATION.cff").read_text(encoding="utf-8"))


def test_the_citation_has_what_the_format_demands(citation):
    assert {"cff-version", "message", "title", "authors"} <= set(citation) <= _KEYS
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] in ("software", "dataset")
    assert citation["license"] == "Apache-2.0"
    assert all("name" in author or "family-names" in author for author in citation["authors"])


def test_the_citation_is_of_the_current_version(citation):
    assert citation["version"] == __version__


def test_the_three_papers_are_cited(citation):
    references = citation["references"]
    for reference in references:
        assert {"type", "title", "authors"} <= set(reference)
        assert all({"family-names", "given-names"} <= set(author) for author in reference["authors"])

    titles = [reference["title"].partition(":")[0] for reference in references]
    assert {"Memorizing SAM", "FastSAM3D", "MAIS"} <= set(titles)


def test_the_readme_cites_the_same_papers(citation):
    text = Page("README.md").text
    numbers = [identifier["value"] for paper in citation["references"] for identifier in paper["identifiers"]]

    assert len(numbers) >= 3
    assert [number for number in numbers if number not in text] == []


def test_the_change_log_names_the_current_version_and_what_is_not_released():
    text = Page("CHANGELOG.md").text
    versions = re.findall(r"^## \[(.+?)\](?: - (\d{4}-\d{2}-\d{2}))?$", text, re.MULTILINE)

    assert versions[0] == ("Unreleased", "")
    assert versions[1][0] == __version__
    assert all(day for _, day in versions[1:])


def test_the_readme_has_what_the_index_asks_for():
    page = Page("README.md")
    headings = page.headings()

    assert page.text.startswith("# MemorizingSAM3D\n")
    assert any(heading.startswith("tutorial") for heading in headings)
    assert {"limits", "licence-and-citations", "models", "memories"} <= headings
    assert "not a medical device" in page.text.lower()
    assert len(page.text.splitlines()) <= 260


def test_the_tutorials_scan_is_one_of_the_registered_ones():
    source = (REPOSITORY / "MemorizingSAM3DLib" / "ui" / "sample_data.py").read_text(encoding="utf-8")
    (name,) = re.findall(r"category \*\*MemorizingSAM3D\*\* click \*\*(.+?)\*\*", Page("README.md").text)

    assert f'"{name}"' in source


def test_the_readmes_keys_are_those_of_the_panel():
    source = (REPOSITORY / "MemorizingSAM3DLib" / "ui" / "panel" / "shortcuts.py").read_text(encoding="utf-8")
    keys = set(re.findall(r'"(Alt\+[A-Z])"', source))
    rows = [line for line in Page("README.md").text.splitlines() if line.startswith("| Alt+")]

    assert keys == set(re.findall(r"Alt\+[A-Z]", " ".join(rows)))
