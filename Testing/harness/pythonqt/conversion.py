"""Python values to C++ types by name (`QString`, `vtkMRMLNode*`, ...), with PythonQt's lenience (rule 9)."""

from __future__ import annotations

import re
from typing import Any

import shiboken6

from Testing.harness.pythonqt import overloads
from Testing.harness.pythonqt.facts import isKnownClass
from Testing.harness.pythonqt.implementations import implementationOf
from Testing.harness.pythonqt.overloads import EXACT, LENIENT, NEAR, Converted, plain

_INTEGERS = {"int", "uint", "unsigned int", "qint64", "unsigned long", "unsigned short", "vtkIdType", "long"}
_FLOATS = {"double", "float", "qreal"}
_STRINGS = {"QString", "std::string", "const char*", "QByteArray"}
_SEQUENCE = re.compile(r"(?:QList|QVector|std::vector)<(.*)>")
_VALUE_CLASS = re.compile(r"Q[A-Z]\w*")


def convertTo(typeName: str, value: Any) -> Converted | None:
    """The cost and the value that an implementation gets for a parameter of this C++ type; None if it does not fit.

    Args:
        value: already unwrapped (PySide6 objects instead of proxies).
    """
    typeName = typeName.removeprefix("const ").rstrip("&").strip()
    if typeName in ("QVariant", "PyObject*", "void*"):
        return NEAR, plain(value)
    if typeName in _STRINGS:
        return overloads.toStr(value) if not isinstance(value, bytes) else (EXACT, value.decode())
    if typeName == "bool":
        return overloads.toBool(value)
    if typeName in _INTEGERS:
        return overloads.toInt(value)
    if typeName in _FLOATS:
        return overloads.toFloat(value)
    if typeName == "QStringList":
        return _toList("QString", value)
    if sequence := _SEQUENCE.fullmatch(typeName):
        return _toList(sequence[1], value)
    if typeName == "QVariantMap":
        return (EXACT, dict(value)) if isinstance(value, dict) else None
    if typeName.endswith("*"):
        return _toPointer(typeName[:-1].strip(), value)
    if _VALUE_CLASS.fullmatch(typeName) and isKnownClass(typeName):
        native = implementationOf(typeName)
        return (EXACT, value) if native is not None and isinstance(value, native) else None
    return _toEnum(value)


def _toList(inner: str, value: Any) -> Converted | None:
    # PythonQt takes any sequence, so a string becomes the list of its letters.
    if not isinstance(value, (list, tuple, str)):
        return None
    converted = [convertTo(inner, item) for item in value]
    if any(item is None for item in converted):
        return None
    cost = LENIENT if isinstance(value, str) else EXACT
    return cost, [item[1] for item in converted if item is not None]


def _toPointer(className: str, value: Any) -> Converted | None:
    if value is None:
        return EXACT, None
    if className.startswith("vtk"):
        fits = hasattr(value, "IsA") and bool(value.IsA(className))
        return (EXACT, value) if fits else None
    if not isinstance(value, shiboken6.Object):
        return None
    native = implementationOf(className) if isKnownClass(className) else None
    if native is not None:
        return (EXACT, value) if isinstance(value, native) else None
    return NEAR, value


def _toEnum(value: Any) -> Converted | None:
    """Flags and enums of CTK and Slicer are kept as ints by the implementations."""
    if isinstance(value, int):
        return EXACT, int(value)
    return None
