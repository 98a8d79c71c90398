"""VTK observers that end with the widget that made them."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import shiboken6
from PySide6 import QtCore

from Testing.harness.pythonqt import errors


class Observations:
    """Held by a widget; neither the widget nor the observed objects are kept alive."""

    def __init__(self, widget: QtCore.QObject) -> None:
        self._widget = weakref.ref(widget)
        self._tags: list[tuple[Any, int]] = []

    def add(self, subject: Any, event: Any, method: Callable[..., None], calldata: bool = False) -> None:
        """`method(caller)`, or `method(caller, node)` with `calldata`, is called until `removeAll`."""
        weak = weakref.WeakMethod(method)
        owner = self._widget

        def deliver(caller: Any, _event: str, node: Any = None) -> None:
            target, widget = weak(), owner()
            if target is None or widget is None or not shiboken6.isValid(widget):
                return
            try:
                target(caller, node) if calldata else target(caller)
            except Exception as error:  # VTK would print it and go on
                errors.record(f"observer of {type(widget).__name__}", error)

        if calldata:
            from vtkmodules.vtkCommonCore import VTK_OBJECT

            deliver.CallDataType = VTK_OBJECT  # type: ignore[attr-defined]
        self._tags.append((subject, subject.AddObserver(event, deliver)))

    def remove(self, subject: Any) -> None:
        for item in [item for item in self._tags if item[0] is subject]:
            item[0].RemoveObserver(item[1])
            self._tags.remove(item)

    def removeAll(self) -> None:
        for subject, tag in self._tags:
            subject.RemoveObserver(tag)
        self._tags.clear()

    def __del__(self) -> None:
        self.removeAll()
