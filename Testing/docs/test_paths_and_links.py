"""What the pages point to is there."""

from __future__ import annotations

import re

import pytest

from Testing.docs.pages import NAMES, REPOSITORY, Page

# A path is told by its ending, or by the slash behind a folder. Sources may be named from the library's folder on.
_FILE = re.compile(r"^[\w.*/-]+\.(py|md|ui|json|cff|toml|txt|yml|png|npz)$")
_FOLDER = re.compile(r"^[\w.-]+(/[\w.-]+)*/$")
_ROOTS = (REPOSITORY, REPOSITORY / "MemorizingSAM3DLib")

# What commands write, and what a user has.
_MADE = {
    "cases.csv", "curves.png", "data/manifest.json", "demo-output/", "log.csv", "manifest.json", "report.json",
    "results.json", "table.md", "views.png",
}  # fmt: skip


def _missing(code: str) -> bool:
    if code in _MADE or not (_FILE.match(code) or _FOLDER.match(code)):
        return False
    return not any(any(root.glob(code.rstrip("/"))) for root in _ROOTS)


@pytest.mark.parametrize("name", NAMES)
def test_every_path_that_is_named_is_there(name):
    page = Page(name)
    code = page.inline()
    for block in page.blocks(""):
        code += re.findall(r"[\w./-]+\.py", block)

    assert [path for path in code if _missing(path)] == []


def test_a_path_that_is_not_there_is_found():
    assert _missing("engine/sesion.py") and _missing("Resources/Icon/")
    assert not _missing("engine/session/session.py") and not _missing("Resources/Icons/")


@pytest.mark.parametrize("name", NAMES)
def test_every_link_within_the_repository_leads_somewhere(name):
    page = Page(name)
    for link in page.links():
        target = (page.path.parent / link.target).resolve() if link.target else page.path
        assert target.exists(), link
        if link.heading:
            assert link.heading in Page(target.relative_to(REPOSITORY).as_posix()).headings(), link


def test_every_page_of_docs_can_be_reached_from_the_readme():
    seen, new = set(), {"README.md"}
    while new:
        name = new.pop()
        seen.add(name)
        targets = [(REPOSITORY / name).parent / link.target for link in Page(name).links() if link.target]
        names = {path.resolve().relative_to(REPOSITORY).as_posix() for path in targets if path.suffix == ".md"}
        new |= names - seen

    assert seen == set(NAMES)


def test_the_readme_shows_pictures_that_are_pictures():
    pictures = [REPOSITORY / link.target for link in Page("README.md").links() if link.target.endswith(".png")]

    assert len(pictures) >= 2
    assert all(picture.read_bytes().startswith(b"\x89PNG") for picture in pictures)
