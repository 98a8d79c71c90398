"""Short declarations for the widget classes that the harness writes."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore


def stored(typeName: Any, default: Any, changed: str | None = None) -> Any:
    """A property that keeps what is written to it.

    Args:
        changed: name of a method, called without arguments after the value has changed.
    """
    key = object()

    def read(self: Any) -> Any:
        return self.__dict__.get(key, default)

    def write(self: Any, value: Any) -> None:
        if read(self) == value:
            return
        self.__dict__[key] = value
        if changed is not None:
            getattr(self, changed)()

    return QtCore.Property(typeName, read, write)


def forwarded(typeName: Any, target: str, getter: str, setter: str) -> Any:
    """A property of an inner widget: `self.<target>.<getter>()` and `self.<target>.<setter>(value)`."""

    def read(self: Any) -> Any:
        return getattr(getattr(self, target), getter)()

    def write(self: Any, value: Any) -> None:
        getattr(getattr(self, target), setter)(value)

    return QtCore.Property(typeName, read, write)


def passed(typeName: Any, target: str, name: str) -> Any:
    """The property `name` of the inner widget `self.<target>`, which is one of the harness's own."""

    def read(self: Any) -> Any:
        return getattr(getattr(self, target), name)

    def write(self: Any, value: Any) -> None:
        setattr(getattr(self, target), name, value)

    return QtCore.Property(typeName, read, write)
