"""Which PySide6 class stands behind each class of the reference: Qt's own, or one that the harness wrote."""

from __future__ import annotations

import importlib
from typing import TypeVar

from Testing.harness.pythonqt.facts import classFacts, isKnownClass

Implementation = TypeVar("Implementation", bound=type)

_written: dict[str, type] = {}
_WRITTEN_IN = ("Testing.harness.pythonqt.ctk_widgets", "Testing.harness.pythonqt.slicer_widgets")


def implements(cls: Implementation) -> Implementation:
    """Class decorator: this PySide6 class stands behind the class of the same name.

    Properties are `QtCore.Property`, slots and invokables are methods of the same name, signals are `QtCore.Signal`
    (with `object` in the place of a VTK class).
    """
    _written[cls.__name__] = cls
    return cls


def implementationOf(name: str) -> type | None:
    """The PySide6 class, or None when the harness has none."""
    facts = classFacts(name)
    if facts.header.startswith("PySide6/"):
        module = importlib.import_module(facts.header.replace("/", "."))
        return getattr(module, name, None)
    for written in _WRITTEN_IN:
        importlib.import_module(written)
    return _written.get(name)


def nameBehind(cls: type) -> str | None:
    """The nearest class of the reference that this PySide6 class is, or None."""
    for base in cls.__mro__:
        if isKnownClass(base.__name__) and implementationOf(base.__name__) is base:
            return base.__name__
    return None
