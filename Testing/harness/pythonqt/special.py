"""The few names that do not follow from the reference: statics, `QTimer.singleShot`, dialogs that return a pair."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from PySide6 import QtCore

from Testing.harness.pythonqt import overloads, signals
from Testing.harness.pythonqt.callbacks import guarded
from Testing.harness.pythonqt.facts import ClassFacts, Methods
from Testing.harness.pythonqt.implementations import implementationOf
from Testing.harness.pythonqt.wrapping import unwrap, wrap

# (class, attribute) -> function called with wrapped arguments.
_STATICS: dict[tuple[str, str], Callable[..., Any]] = {}


def _static(className: str, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        _STATICS[className, name] = function
        return function

    return register


def isShadowed(facts: ClassFacts, name: str) -> bool:
    """`QTimer.singleShot` is the static method, not the property."""
    return name == "singleShot" and "QTimer" in facts.lineage


def classAttribute(facts: ClassFacts, name: str) -> Any:
    for owner in facts.lineage:
        if (owner, name) in _STATICS:
            return _STATICS[owner, name]
    return None


def instanceAttribute(proxy: Any, facts: ClassFacts, name: str) -> Any:
    if name in ("connect", "disconnect") and facts.isQObject:
        return _bound(signals.connect if name == "connect" else signals.disconnect, proxy)
    if name in ("findChild", "findChildren") and facts.isQObject:
        return _bound(_findChild if name == "findChild" else _findChildren, proxy)
    return classAttribute(facts, name)


def _bound(function: Callable[..., Any], proxy: Any) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        if arguments and getattr(type(arguments[0]), "_isProxy", False):
            return function(*arguments)  # QObject.connect(sender, signal, ...)
        return function(proxy, *arguments)

    return call


def staticMethod(methods: Methods) -> Callable[..., Any] | None:
    """A callable if the method is static in Qt, else None."""
    if not methods.owner.startswith("Q"):
        return None
    implementation = implementationOf(methods.owner)
    described = inspect.getattr_static(implementation, methods.name, None)
    if not isinstance(described, staticmethod):
        return None
    function = getattr(implementation, methods.name)

    def call(*arguments: Any) -> Any:
        values = [guarded(item) if inspect.isroutine(item) else unwrap(item) for item in arguments]
        return wrap(overloads.callNative(function, function, values, f"{methods.owner}.{methods.name}"))

    return call


def construct(facts: ClassFacts, arguments: tuple[Any, ...]) -> Any:
    """A native object for the classes whose constructor PySide6 does not have in PythonQt's form, else None."""
    if facts.name == "QUiLoader":
        from Testing.harness.pythonqt.ui_loader import UiLoader

        return UiLoader(*(unwrap(argument) for argument in arguments))
    return None


@_static("QTimer", "singleShot")
def _singleShot(milliseconds: int, *target: Any) -> None:
    if len(target) == 1:
        QtCore.QTimer.singleShot(int(milliseconds), guarded(target[0]))
        return
    receiver, slot = target
    name = str(slot).lstrip("12").partition("(")[0]
    QtCore.QTimer.singleShot(int(milliseconds), guarded(getattr(receiver, name)))


@_static("QObject", "connect")
def _connect(sender: Any, *arguments: Any) -> bool:
    return signals.connect(sender, *arguments)


@_static("QObject", "disconnect")
def _disconnect(sender: Any, *arguments: Any) -> bool:
    return signals.disconnect(sender, *arguments)


def _children(proxy: Any) -> list[QtCore.QObject]:
    return proxy._liveNative().findChildren(QtCore.QObject)


def _matches(child: Any, kind: Any, name: str) -> bool:
    wanted = kind if isinstance(kind, str) else kind.__name__
    return bool(child.inherits(wanted)) and (not name or child.objectName == name)


def _findChildren(proxy: Any, kind: Any, name: str = "") -> tuple[Any, ...]:
    """As PythonQt: the class or its name first, then the objectName."""
    return tuple(child for child in map(wrap, _children(proxy)) if _matches(child, kind, name))


def _findChild(proxy: Any, kind: Any, name: str = "") -> Any:
    return next(iter(_findChildren(proxy, kind, name)), None)


def _firstOfPair(className: str, name: str) -> None:
    """PySide6 returns (text, ok) or (path, filter) where C++ fills an optional pointer; Python gets the value alone."""
    function = getattr(implementationOf(className), name)

    def call(*arguments: Any) -> Any:
        values = [unwrap(item) for item in arguments]
        result = overloads.callNative(function, function, values, f"{className}.{name}")
        return wrap(result[0] if isinstance(result, tuple) else result)

    _STATICS[className, name] = call


for _name in ("getOpenFileName", "getSaveFileName", "getOpenFileNames", "getExistingDirectory"):
    _firstOfPair("QFileDialog", _name)
for _name in ("getText", "getInt", "getDouble", "getItem", "getMultiLineText"):
    _firstOfPair("QInputDialog", _name)
