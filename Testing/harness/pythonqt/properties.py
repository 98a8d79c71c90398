"""Reading and writing Qt properties, typed by the reference (rules 1, 8 and 9)."""

from __future__ import annotations

import enum
import functools
import operator
from typing import Any

from Testing.harness.pythonqt.conversion import convertTo
from Testing.harness.pythonqt.enums import PythonQtEnum, enumValues, nativeEnum, toNative
from Testing.harness.pythonqt.facts import EnumFacts, Property, classFacts
from Testing.harness.pythonqt.implementations import implementationOf
from Testing.harness.pythonqt.wrapping import wrap


def read(native: Any, known: Property) -> Any:
    """The value as PythonQt gives it. Raises NotImplementedError if the harness's class lacks the property."""
    if not known.owner.startswith("Q"):
        if not hasattr(type(native), known.name):
            raise _missing(native, known)
        return _enumOf(known, wrap(getattr(native, known.name)))
    getter = _getter(native, known)
    return wrap(getter() if getter is not None else native.property(known.name))


def _getter(native: Any, known: Property) -> Any:
    # QObject.property() cannot convert flags.
    owner = implementationOf(known.owner)
    capital = known.name[0].upper() + known.name[1:]
    for candidate in (known.name, f"is{capital}", f"has{capital}"):
        if callable(getattr(owner, candidate, None)):
            return getattr(native, candidate)
    return None


def write(native: Any, known: Property, value: Any, className: str) -> None:
    """Raises AttributeError when it is read only or does not take such a value."""
    if not known.writable:
        raise AttributeError(f"Property '{known.name}' of {className} object is not writable")
    refusal = AttributeError(
        f"Property '{known.name}' of type '{known.type}' does not accept an object of type"
        f" {type(value).__name__} ({value!r})"
    )
    if known.owner.startswith("Q"):
        if not native.setProperty(known.name, _toQtProperty(native, known, value, refusal)):
            raise refusal
        return
    if not hasattr(type(native), known.name):
        raise _missing(native, known)
    converted = _enumNumber(known, value)
    if converted is None:
        raise refusal
    setattr(native, known.name, converted)


def _toQtProperty(native: Any, known: Property, value: Any, refusal: AttributeError) -> Any:
    current = read_native(native, known)
    if isinstance(current, enum.Enum):
        if isinstance(value, str):
            member = _memberOfKeys(type(current), value)
            if member is None:
                raise refusal
            return member
        if isinstance(value, PythonQtEnum) and isinstance(value.native, type(current)):
            return value.native
        if isinstance(value, int):
            try:
                return type(current)(int(value))
            except ValueError:
                raise refusal from None
        raise refusal
    converted = convertTo(known.type, value)
    if converted is None:
        raise refusal
    return converted[1]


def read_native(native: Any, known: Property) -> Any:
    getter = _getter(native, known)
    return getter() if getter is not None else native.property(known.name)


def _enumFacts(known: Property) -> EnumFacts | None:
    """The enum that lists the values; of a flags type, it is the one without the plural s."""
    name = known.type.rpartition("::")[2]
    enums = classFacts(known.owner).enums
    candidates = (enums.get(name), enums.get(name.removesuffix("s")))
    return next((facts for facts in candidates if facts is not None and facts.values), None)


def _enumNumber(known: Property, value: Any) -> Any:
    facts = _enumFacts(known)
    if facts is not None and isinstance(value, str):
        total = 0
        for key in value.split("|"):
            if key.strip() not in facts.values:
                return None
            total |= facts.values[key.strip()]
        return total
    if "::" in known.type and "<" not in known.type:
        return _foreignEnum(known.type, value)
    converted = convertTo(known.type, value)
    return None if converted is None else converted[1]


def _foreignEnum(typeName: str, value: Any) -> Any:
    """An enum of another class, say `Qt::Alignment`: PySide6's member for Qt's, else an int."""
    owner, _, name = typeName.rpartition("::")
    # A flags type is called Alignment or Orientations, its enum AlignmentFlag or Orientation.
    names = (name, f"{name}Flag", name.removesuffix("s")) if owner.startswith("Q") else ()
    native = next((found for found in (nativeEnum(owner, item) for item in names) if found is not None), None)
    if native is None:
        return int(value) if isinstance(value, int) else None
    if isinstance(value, native):
        return value
    if isinstance(value, str):
        return _memberOfKeys(native, value)
    return toNative(value, native) if isinstance(value, int) else None


def _memberOfKeys(native: type[enum.Enum], keys: str) -> enum.Enum | None:
    members = [getattr(native, key.strip(), None) for key in keys.split("|")]
    if any(member is None for member in members):
        return None
    return functools.reduce(operator.or_, members)


def _enumOf(known: Property, value: Any) -> Any:
    facts = _enumFacts(known)
    if facts is None or not isinstance(value, int) or isinstance(value, bool):
        return value
    return next((item for item in enumValues(facts.owner, facts.name).values() if item == value), value)


def _missing(native: Any, known: Property) -> NotImplementedError:
    return NotImplementedError(
        f"The harness has no property {known.owner}.{known.name}; add it to {type(native).__name__}."
    )


def readDynamic(native: Any, name: str) -> tuple[bool, Any]:
    """Whether there is a dynamic property of this name, and its value."""
    if name.encode() not in [bytes(item.data()) for item in native.dynamicPropertyNames()]:
        return False, None
    return True, wrap(native.property(name))
