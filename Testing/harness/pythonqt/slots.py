"""What `w.setText` is: a callable bound to a proxy, or to a class and then called with the object first."""

from __future__ import annotations

import inspect
from typing import Any

from PySide6 import QtCore

from Testing.harness.pythonqt import overloads
from Testing.harness.pythonqt.callbacks import guarded
from Testing.harness.pythonqt.conversion import convertTo
from Testing.harness.pythonqt.facts import Methods, Signature
from Testing.harness.pythonqt.implementations import implementationOf
from Testing.harness.pythonqt.wrapping import unwrap, wrap

# Where PySide6 takes more arguments than C++ does.
_FEWER_ARGUMENTS = {("QSettings", "value"): 2}


class SlotFunction:
    """PythonQt's `builtin_qt_slot`."""

    __slots__ = ("_methods", "_owner", "_self")

    def __init__(self, methods: Methods, owner: Any, instance: Any) -> None:
        self._methods, self._owner, self._self = methods, owner, instance

    @property
    def __name__(self) -> str:
        return self._methods.name

    def __repr__(self) -> str:
        return f"<built-in qt slot {self._methods.name} of {self._owner}>"

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, SlotFunction) and self._methods.name == other._methods.name and self._self is other._self
        )

    def __hash__(self) -> int:
        return hash((self._methods.name, id(self._self)))

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        if keywords:
            raise TypeError(
                f"{self._methods.name}: PythonQt ignores keyword arguments of a slot: {', '.join(keywords)}"
            )
        instance = self._self
        unbound = instance is None
        if unbound:
            if not arguments or not getattr(type(arguments[0]), "_isProxy", False):
                raise ValueError(f"slot {self._methods.name} requires QObject instance as first argument.")
            instance, *rest = arguments
            arguments = tuple(rest)
        native = instance._liveNative()
        values = [guarded(value) if _isCallback(value) else unwrap(value) for value in arguments]
        return wrap(invoke(native, self._methods, values, skipOverrides=unbound))


def _isCallback(value: Any) -> bool:
    return inspect.isroutine(value) or isinstance(value, SlotFunction)


def invoke(native: Any, methods: Methods, values: list[Any], skipOverrides: bool = False) -> Any:
    """Calls a slot, invokable or method of a PySide6 object with unwrapped values.

    Args:
        skipOverrides: call the class's own version, as `qt.QWidget.event(self, event)` does in an override.
    """
    owner = implementationOf(methods.owner)
    most = _FEWER_ARGUMENTS.get((methods.owner, methods.name))
    if most is not None and len(values) > most:
        raise overloads.NoOverload(f"Could not find matching overload: {methods.name} takes {most} arguments")
    name = "exec" if methods.name == "exec_" else methods.name  # PySide6 warns of the old name
    function = getattr(native, name, None) or _propertySetter(native, name)
    if function is None:
        raise NotImplementedError(
            f"The harness has no {methods.owner}.{methods.name}; add it to the class that stands behind it."
        )
    if methods.owner.startswith("Q") and owner is not None:
        described = getattr(owner, name, function)
        if skipOverrides:
            return overloads.callNative(lambda *rest: described(native, *rest), described, values, name)
        return overloads.callNative(function, described, values, name)
    return function(*_convertedBySignature(methods, values))


def _propertySetter(native: Any, name: str) -> Any:
    """`setFoo` of a widget that the harness wrote, where writing the property `foo` is all that it does."""
    known = name[3:4].lower() + name[4:]
    if name.startswith("set") and isinstance(getattr(type(native), known, None), QtCore.Property):
        return lambda value: setattr(native, known, value)
    return None


def _convertedBySignature(methods: Methods, values: list[Any]) -> list[Any]:
    candidates = []
    for signature in methods.signatures:
        converted = convertArguments(signature, values)
        if converted is not None:
            candidates.append(converted)
    if not candidates:
        shown = " ".join(signature.text for signature in methods.signatures)
        got = ", ".join(type(value).__name__ for value in values)
        raise overloads.NoOverload(f"Could not find matching overload for given arguments: ({got}); there is: {shown}")
    return min(candidates, key=lambda candidate: candidate[0])[1]


def convertArguments(signature: Signature, values: list[Any]) -> tuple[float, list[Any]] | None:
    """The cost and the converted values, None if they do not fit."""
    if not signature.takes(len(values)):
        return None
    cost, result = 0.0, []
    for typeName, value in zip(signature.types, values, strict=False):
        converted = convertTo(typeName, value)
        if converted is None:
            return None
        cost += converted[0]
        result.append(converted[1])
    return cost, result
