"""`slicer.i18n`, able to mark what went through it, so that a test finds the strings that did not."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

_OPENING, _CLOSING = "⟦", "⟧"


class Translation:
    """
    Attributes:
        marking: whether translated strings come back in ⟦brackets⟧, as a translation would look different.
        texts: (context, source text) of all that was translated.
    """

    def __init__(self) -> None:
        self.marking = False
        self.texts: set[tuple[str, str]] = set()

    def translate(self, context: str, text: str) -> str:
        """As Qt's: the context is a class or module name. Raises TypeError if either is no string."""
        if not isinstance(context, str) or not isinstance(text, str):
            raise TypeError(f"translate(context, text) takes two strings, not {context!r} and {text!r}")
        self.texts.add((context, text))
        return f"{_OPENING}{text}{_CLOSING}" if self.marking and text else text

    def tr(self, text: str) -> str:
        """The context is the caller's module, with its package where it is in one."""
        return self.translate(contextOf(sys._getframe(1).f_code.co_filename), text)

    def module(self) -> ModuleType:
        module = ModuleType("slicer.i18n")
        members: dict[str, Any] = {"tr": self.tr, "translate": self.translate, "getContext": contextOf}
        for name, member in members.items():
            setattr(module, name, member)
        return module


def isMarked(text: str) -> bool:
    """Whether all letters of the text came out of a marking translation."""
    depth, outside = 0, ""
    for character in text:
        depth += (character == _OPENING) - (character == _CLOSING)
        outside += character if depth == 0 and character != _CLOSING else ""
    return not any(character.isalpha() for character in outside)


def contextOf(sourceFile: str) -> str:
    file = Path(sourceFile)
    return f"{file.parent.name}.{file.stem}" if (file.parent / "__init__.py").is_file() else file.stem
