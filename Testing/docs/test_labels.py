"""What the pages tell a user to press is written on a button, in these words."""

from __future__ import annotations

import html
import re

import pytest

from Testing.docs.pages import REPOSITORY, Page

# In bold in the README: what is no button or box. The rows of its tables are not looked at.
_OTHERS = {"MemorizingSAM3D", "Abdominal CT with liver tumours", "Interaction memory", "Case memory"}
_BOLD = re.compile(r"\*\*(.+?)\*\*", re.DOTALL)


def _plain(text: str) -> str:
    return " ".join(text.split()).replace("…", "").removesuffix("...")


@pytest.fixture(scope="module")
def written():
    """All texts of the .ui files, and all words in quotes of the panel's sources."""
    texts = set()
    for path in (REPOSITORY / "Resources" / "UI").glob("*.ui"):
        texts |= set(re.findall(r"<string[^>]*>([^<]*)</string>", path.read_text(encoding="utf-8")))
    for path in (REPOSITORY / "MemorizingSAM3DLib" / "ui").rglob("*.py"):
        texts |= set(re.findall(r'_\("([^"]+)"\)', path.read_text(encoding="utf-8")))
    return {_plain(html.unescape(text)) for text in texts}


def labels(name: str) -> set[str]:
    text = "\n".join(line for line in Page(name).text.splitlines() if not line.startswith("|"))
    return {_plain(label) for label in _BOLD.findall(text)} - _OTHERS


def test_every_button_of_the_readme_is_there(written):
    assert len(labels("README.md")) > 10
    assert labels("README.md") - written == set()


def test_every_button_of_the_page_on_memories_is_there(written):
    assert len(labels("docs/memory.md")) >= 5
    assert labels("docs/memory.md") - written == set()
