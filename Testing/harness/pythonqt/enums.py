"""Enum values as PythonQt shows them: ints that know their name, reached without the enum's own name."""

from __future__ import annotations

import enum
from functools import cache
from typing import Any

from Testing.harness.pythonqt.facts import EnumFacts, classFacts
from Testing.harness.pythonqt.implementations import implementationOf


class PythonQtEnum(int):
    """One value. Equal to its number; `|` and `&` give plain ints, as in PythonQt."""

    owner: str
    enumName: str
    valueName: str
    native: enum.Enum | None

    def __repr__(self) -> str:
        return f"{self.valueName} ({int(self)})"

    __str__ = __repr__


def _make(owner: str, enumName: str, valueName: str, number: int, native: enum.Enum | None) -> PythonQtEnum:
    value = PythonQtEnum(number)
    value.owner, value.enumName, value.valueName, value.native = owner, enumName, valueName, native
    return value


@cache
def nativeEnum(owner: str, enumName: str) -> type[enum.Enum] | None:
    """PySide6's class of an enum, None for those that CTK and Slicer declare."""
    implementation = implementationOf(owner) if owner.startswith("Q") else None
    native = getattr(implementation, enumName, None)
    return native if isinstance(native, type) and issubclass(native, enum.Enum) else None


@cache
def enumValues(facts_owner: str, enumName: str) -> dict[str, PythonQtEnum]:
    facts = classFacts(facts_owner).enums[enumName]
    native = nativeEnum(facts.owner, enumName)
    values = {}
    for name, number in facts.values.items():
        member = getattr(native, name, None) if native is not None else None
        number = int(member.value) if member is not None else number
        values[name] = _make(facts.owner, enumName, name, number, member)
    return values


def enumValue(facts: EnumFacts, name: str) -> PythonQtEnum:
    return enumValues(facts.owner, facts.name)[name]


@cache
def _ownerOfNative(native: type[enum.Enum]) -> str:
    return native.__qualname__.rpartition(".")[0]


def fromNative(member: enum.Enum) -> PythonQtEnum:
    """A PySide6 enum member or combination of flags as PythonQt would return it."""
    native = type(member)
    name = member.name if isinstance(member.name, str) else str(member.value)
    return _make(_ownerOfNative(native), native.__name__, name, int(member.value), member)


def toNative(value: int, native: type[enum.Enum]) -> enum.Enum | None:
    """The member with this number; None if there is none."""
    try:
        return native(int(value))
    except ValueError:
        return None


@cache
def enumWrapper(owner: str, enumName: str) -> type:
    """What `qt.QMessageBox.StandardButton` is: a kind of int; its values are NOT its attributes."""
    return type(enumName, (int,), {"__doc__": f"{owner}::{enumName}", "__slots__": ()})


def describe(value: Any) -> str:
    return f"{type(value).__name__} ({value!r})"
