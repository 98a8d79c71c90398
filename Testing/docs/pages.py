"""The pages for people, and what is in them: code, commands, links, paths."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).resolve().parents[2]
NAMES = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "Resources/Models/README.md"]
NAMES += sorted(f"docs/{path.name}" for path in (REPOSITORY / "docs").glob("*.md"))

_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`]+)`")
_LINK = re.compile(r"\[[^\]]*\]\(([^()\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


class Link(NamedTuple):
    """Where a link goes: the file, and the heading in it, or empty."""

    target: str
    heading: str


class Page:
    """One page.

    Args:
        name: its path from the repository's root.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.path = REPOSITORY / name
        self.text = self.path.read_text(encoding="utf-8")
        self._prose = _FENCE.sub("", self.text)

    def blocks(self, language: str) -> list[str]:
        """The fenced blocks of a language, without the indentation of a list."""
        found = _FENCE.findall(self.text)
        return [re.sub(rf"^{indent}", "", code, flags=re.MULTILINE) for indent, name, code in found if name == language]

    @property
    def languages(self) -> set[str]:
        """Those of the fenced blocks."""
        return {language for _, language, _ in _FENCE.findall(self.text)}

    def commands(self) -> Iterator[list[str]]:
        """The words of every command in the blocks for a shell."""
        for block in self.blocks("sh"):
            for line in block.replace("\\\n", " ").splitlines():
                if words := shlex.split(line, comments=True):
                    yield words

    def inline(self) -> list[str]:
        """Code within sentences and tables, on one line."""
        return [" ".join(code.split()) for code in _INLINE.findall(self._prose)]

    def links(self) -> list[Link]:
        """Links within the repository."""
        targets = [target for target in _LINK.findall(self._prose) if "://" not in target]
        return [Link(*target.partition("#")[::2]) for target in targets]

    def headings(self) -> set[str]:
        """As GitHub makes links to them: lower case, spaces to hyphens, nothing else that is no letter or digit."""
        texts = (re.sub(r"[^\w\- ]", "", text.lower()) for text in _HEADING.findall(self._prose))
        return {text.replace(" ", "-") for text in texts}


def pages() -> list[Page]:
    """All of them."""
    return [Page(name) for name in NAMES]
