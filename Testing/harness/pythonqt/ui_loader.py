"""`qt.QUiLoader`: Qt's own loader, with CTK's and Slicer's widgets, and strict about what Qt would ignore."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtUiTools, QtWidgets

from Testing.harness.pythonqt import errors, properties, signals
from Testing.harness.pythonqt.facts import classFacts, isKnownClass
from Testing.harness.pythonqt.implementations import implementationOf, nameBehind
from Testing.harness.pythonqt.ui_file import UiConnection, UiFile, parseUiFile
from Testing.harness.pythonqt.ui_values import uiValue
from Testing.harness.pythonqt.wrapping import wrap


class UiLoader(QtUiTools.QUiLoader):
    """Raises instead of returning None: a broken .ui file is never what a test wants."""

    def __init__(self, parent: QtCore.QObject | None = None) -> None:
        super().__init__(parent)
        self._made: list[QtWidgets.QWidget] = []

    def createWidget(self, className: str, parent: QtWidgets.QWidget | None = None, name: str = "") -> Any:
        if className.startswith("Q") or not isKnownClass(className):
            return super().createWidget(className, parent, name)
        implementation = implementationOf(className)
        assert implementation is not None, className  # parseUiFile has looked
        widget = implementation(parent)
        widget.setObjectName(name)
        self._made.append(widget)
        return widget

    def load(self, device: Any, parent: QtWidgets.QWidget | None = None) -> QtWidgets.QWidget:
        if isinstance(device, str):
            with open(device, "rb") as stream:
                data = stream.read()
        else:
            data = bytes(device.readAll().data())
        file = parseUiFile(data)
        buffer = QtCore.QBuffer()
        buffer.setData(file.xml)
        buffer.open(QtCore.QIODevice.OpenModeFlag.ReadOnly)
        self._made = []
        widget = super().load(buffer, parent)
        if widget is None:
            raise errors.silentFailure(f"The .ui file could not be loaded: {self.errorString()}")
        _applyProperties(file, widget)
        for connection in file.connections:
            _connect(connection, widget)
        self._made = []
        return widget


def _named(top: QtWidgets.QWidget, name: str) -> QtCore.QObject:
    found = top if top.objectName() == name else top.findChild(QtCore.QObject, name)
    if found is None:
        raise errors.silentFailure(f"The .ui file connects {name!r}, but there is no such object.")
    return found


def _applyProperties(file: UiFile, top: QtWidgets.QWidget) -> None:
    for name, key, element in file.laterProperties:
        native = _named(top, name)
        className = nameBehind(type(native)) or type(native).__name__
        properties.write(native, classFacts(className).properties[key], uiValue(element), className)


def _connect(connection: UiConnection, top: QtWidgets.QWidget) -> None:
    sender, receiver = (wrap(_named(top, name)) for name in (connection.sender, connection.receiver))
    signals.connect(sender, connection.signal, receiver, connection.slot)
