"""CTK's small buttons: colour, menu, expand, check box."""

from __future__ import annotations

from PySide6 import QtCore, QtGui, QtWidgets

from Testing.harness.pythonqt.declaring import stored
from Testing.harness.pythonqt.implementations import implements


@implements
class ctkMenuButton(QtWidgets.QPushButton):
    """A push button; its right part opens the menu of the button."""


@implements
class ctkCheckBox(QtWidgets.QCheckBox):
    indicatorIcon = stored(QtGui.QIcon, QtGui.QIcon(), "update")
    indicatorIconSize = stored(QtCore.QSize, QtCore.QSize(), "update")
