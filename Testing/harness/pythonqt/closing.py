"""Leaves no window behind for the next test."""

from __future__ import annotations

import shiboken6
from PySide6 import QtCore, QtWidgets


def topLevelWidgets() -> list[QtWidgets.QWidget]:
    return QtWidgets.QApplication.topLevelWidgets()


def deleteWindows(kept: list[QtWidgets.QWidget]) -> None:
    """Deletes all windows but these: a slot that holds its own widget would keep it, its observers too, for ever."""
    QtWidgets.QApplication.processEvents()
    for window in topLevelWidgets():
        if window not in kept and shiboken6.isValid(window) and window.parent() is None:
            shiboken6.delete(window)
    QtWidgets.QApplication.processEvents()
    QtCore.QCoreApplication.sendPostedEvents(None, QtCore.QEvent.Type.DeferredDelete)
