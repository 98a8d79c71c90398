"""What `w.clicked` is, and connecting by signature: strict where PythonQt would return False."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from PySide6 import QtCore

from Testing.harness.pythonqt import errors
from Testing.harness.pythonqt.callbacks import callBack
from Testing.harness.pythonqt.conversion import convertTo
from Testing.harness.pythonqt.facts import ClassFacts, Signature, parseSignature
from Testing.harness.pythonqt.wrapping import address, unwrap


@dataclass(frozen=True)
class _Connection:
    signature: str
    target: Any
    handle: Any


_connections: dict[int, list[_Connection]] = {}


class SignalFunction:
    """PythonQt's `builtin_qt_signal`: has `connect` and `disconnect`; calling it emits the signal."""

    __slots__ = ("_facts", "_name", "_self")

    def __init__(self, name: str, facts: ClassFacts, instance: Any) -> None:
        self._name, self._facts, self._self = name, facts, instance

    def __repr__(self) -> str:
        return f"<built-in qt signal {self._name} of {self._facts.name}>"

    @property
    def _first(self) -> Signature:
        return self._facts.signals[self._name][0]

    def connect(self, *target: Any) -> bool:
        """Connects the first overload of the signal."""
        return connect(self._self, self._first.text, *target)

    def disconnect(self, *target: Any) -> bool:
        return disconnect(self._self, self._first.text, *target)

    def __call__(self, *arguments: Any) -> None:
        values = [unwrap(argument) for argument in arguments]
        for signature in self._facts.signals[self._name]:
            if not signature.takes(len(values)):
                continue
            converted = [convertTo(kind, value) for kind, value in zip(signature.types, values, strict=True)]
            if all(item is not None for item in converted):
                emit(self._self._liveNative(), signature, [item[1] for item in converted if item is not None])
                return
        raise ValueError(f"Could not find matching overload of signal {self._name} for given arguments.")


def nativeSignature(native: QtCore.QObject, signature: Signature) -> str | None:
    """The signature by which PySide6 knows the signal; where it has no such type (VTK) it says PyObject."""
    meta = native.metaObject()
    if meta.indexOfSignal(signature.text) >= 0:
        return signature.text
    for index in range(meta.methodCount()):
        method = meta.method(index)
        if method.methodType() is not QtCore.QMetaMethod.MethodType.Signal:
            continue
        found = parseSignature(method.methodSignature().data().decode())
        if found is None or found.name != signature.name or len(found.types) != len(signature.types):
            continue
        pairs = list(zip(found.types, signature.types, strict=True))
        if all(had == wanted or (had == "PyObject" and not _isScalar(wanted)) for had, wanted in pairs):
            return f"{found.name}({','.join(found.types)})"
    return None


def _isScalar(typeName: str) -> bool:
    return typeName in ("bool", "int", "double", "QString")


def emit(native: QtCore.QObject, signature: Signature, values: list[Any]) -> None:
    known = nativeSignature(native, signature)
    if known is None:
        raise NotImplementedError(f"The harness does not emit {type(native).__name__}.{signature.text}")
    instance = getattr(native, signature.name)
    types = known[len(signature.name) + 1 : -1]
    for key in (types, types.replace("PyObject", "object")):
        try:
            instance[tuple(key.split(",")) if "," in key else key].emit(*values)
            return
        except (KeyError, IndexError, TypeError):
            continue
    instance.emit(*values)


def _signalOf(sender: Any, text: str) -> Signature:
    facts: ClassFacts = type(sender)._facts
    signature = facts.signalSignature(text)
    if signature is None:
        known = sorted(item.text for group in facts.signals.values() for item in group)
        raise errors.silentFailure(
            f"{facts.name} has no signal {text!r}: PythonQt's connect() returns False, nothing else happens."
            f" Its signals: {' '.join(known)}"
        )
    return signature


def connect(sender: Any, signal: str, *target: Any) -> bool:
    """`w.connect(signal, callable)` or `w.connect(signal, receiver, slot)`.

    Raises:
        SilentFailure: no such signal or slot.
    """
    signature = _signalOf(sender, signal)
    native = sender._liveNative()
    known = nativeSignature(native, signature)
    if known is None:
        raise NotImplementedError(f"The harness does not emit {type(native).__name__}.{signature.text}")
    function, key = _resolveTarget(signature, target)
    count = len(signature.types)
    where = f"slot of {type(sender).__name__}.{signature.text}"

    def deliver(*arguments: Any) -> None:
        callBack(function, arguments[:count], where)

    handle = QtCore.QObject.connect(native, QtCore.SIGNAL(known), deliver)
    if not handle:
        raise errors.silentFailure(f"{type(sender).__name__}.{signature.text} could not be connected.")
    _connectionsOf(native).append(_Connection(signature.text, key, handle))
    return True


def disconnect(sender: Any, signal: str, *target: Any) -> bool:
    """False if there was no such connection. Raises SilentFailure if there is no such signal or slot."""
    signature = _signalOf(sender, signal)
    connections = _connectionsOf(sender._liveNative())
    key = _resolveTarget(signature, target)[1] if target else None
    found = [item for item in connections if item.signature == signature.text and (not target or item.target == key)]
    for item in found:
        QtCore.QObject.disconnect(item.handle)
        connections.remove(item)
    return bool(found)


def _resolveTarget(signature: Signature, target: tuple[Any, ...]) -> tuple[Callable[..., Any], Any]:
    if len(target) == 1:
        if not callable(target[0]):
            raise errors.silentFailure(f"{signature.text}: {target[0]!r} is not callable.")
        return target[0], target[0]
    if len(target) != 2:
        raise ValueError("Could not find matching overload of connect(): signal, callable or signal, receiver, slot")
    receiver, slotText = target
    slot = parseSignature(str(slotText))
    facts: ClassFacts = type(receiver)._facts
    if slot is not None and (forwarded := facts.signalSignature(slot.text)) is not None:
        return getattr(receiver, forwarded.name), (receiver, forwarded.text)
    methods = facts.methods.get(slot.name) if slot is not None else None
    if slot is None or methods is None or all(item.types != slot.types for item in methods.signatures):
        raise errors.silentFailure(f"{facts.name} has no slot {slotText!r}: PythonQt's connect() returns False.")
    if slot.types != signature.types[: len(slot.types)]:
        raise errors.silentFailure(f"{signature.text} cannot be connected to {slot.text}: the arguments differ.")
    function = getattr(receiver, slot.name)
    count = len(slot.types)

    def forward(*arguments: Any) -> None:
        if receiver._isAlive():  # Qt disconnects what is deleted
            function(*arguments[:count])

    return forward, (receiver, slot.text)


def _connectionsOf(native: QtCore.QObject) -> list[_Connection]:
    key = address(native)
    if key not in _connections:
        _connections[key] = []
        # The address may be used again by the next object.
        native.destroyed.connect(lambda *_: _connections.pop(key, None))
    return _connections[key]
