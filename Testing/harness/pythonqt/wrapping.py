"""PySide6 objects to proxies and back. The same QObject always has the same proxy while anyone holds it."""

from __future__ import annotations

import enum
import weakref
from collections.abc import Callable
from typing import Any

import shiboken6
from PySide6 import QtCore

from Testing.harness.pythonqt.enums import fromNative
from Testing.harness.pythonqt.implementations import nameBehind

_proxies: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
_classOf: Callable[[str], type] | None = None


def setClassLookup(lookup: Callable[[str], type]) -> None:
    """Told by `classes`, which needs this module itself."""
    global _classOf
    _classOf = lookup


def address(native: Any) -> int:
    return int(shiboken6.getCppPointer(native)[0])


def remember(proxy: Any, native: Any) -> None:
    if _hasIdentity(native):
        _proxies[address(native)] = proxy


def _hasIdentity(native: Any) -> bool:
    """Values (a size, a colour) are copied about; objects and items are not."""
    return isinstance(native, QtCore.QObject) or type(native).__name__.endswith(("Item", "Layout", "Event"))


def wrap(value: Any) -> Any:
    """What PythonQt would return to Python for this PySide6 value."""
    if value is None or isinstance(value, (bool, str, bytes)):
        return value
    if isinstance(value, enum.Enum):
        return fromNative(value)
    if isinstance(value, (int, float)):
        return value
    if isinstance(value, (list, tuple)):
        return tuple(wrap(item) for item in value)
    if isinstance(value, dict):
        return {key: wrap(item) for key, item in value.items()}
    if isinstance(value, shiboken6.Object):
        return _proxyOf(value)
    return value


def _proxyOf(native: Any) -> Any:
    if not shiboken6.isValid(native):
        return None
    if _hasIdentity(native):
        known = _proxies.get(address(native))
        if known is not None and known._native is native:
            return known
    name = nameBehind(type(native))
    if name is None or _classOf is None:
        return native
    proxyClass = _classOf(name)
    proxy = proxyClass.__new__(proxyClass)
    object.__setattr__(proxy, "_native", native)
    remember(proxy, native)
    return proxy


def unwrap(value: Any) -> Any:
    """The PySide6 value behind what Python holds; lists, tuples and dicts too.

    Raises ValueError for a proxy whose C++ object is gone.
    """
    native = getattr(type(value), "_isProxy", False)
    if native:
        return value._liveNative()
    if isinstance(value, list):
        return [unwrap(item) for item in value]
    if type(value) is tuple:
        return tuple(unwrap(item) for item in value)
    if isinstance(value, dict):
        return {key: unwrap(item) for key, item in value.items()}
    return value
