"""`ctkSearchBox`: a line edit with a magnifying glass and a clear button."""

from __future__ import annotations

from PySide6 import QtGui, QtWidgets

from Testing.harness.pythonqt.declaring import stored
from Testing.harness.pythonqt.implementations import implements


@implements
class ctkSearchBox(QtWidgets.QLineEdit):
    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self.setPlaceholderText("Search...")
        self.setClearButtonEnabled(True)

    showSearchIcon = stored(bool, False)
    searchIcon = stored(QtGui.QIcon, QtGui.QIcon())
    clearIcon = stored(QtGui.QIcon, QtGui.QIcon())
