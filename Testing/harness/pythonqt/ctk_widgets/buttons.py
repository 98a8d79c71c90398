"""CTK's small buttons: colour, menu, expand, check box."""

from __future__ import annotations

from PySide6 import QtCore, QtGui, QtWidgets

from Testing.harness.pythonqt.declaring import stored
from Testing.harness.pythonqt.implementations import implements


@implements
class ctkColorPickerButton(QtWidgets.QPushButton):
    """Shows its colour; a click opens the colour dialog."""

    colorChanged = QtCore.Signal(QtGui.QColor)
    colorNameChanged = QtCore.Signal(str)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._color, self._colorName = QtGui.QColor(0, 0, 0), "#000000"
        self.setCheckable(True)
        self._show()
        self.clicked.connect(self.changeColor)

    def _readColor(self) -> QtGui.QColor:
        return QtGui.QColor(self._color)

    def setColor(self, color: QtGui.QColor) -> None:
        if color == self._color:
            return
        self._color = QtGui.QColor(color)
        self._setColorName(color.name())
        self._show()
        self.colorChanged.emit(self._color)

    def _setColorName(self, name: str) -> None:
        if name != self._colorName:
            self._colorName = name
            self._show()
            self.colorNameChanged.emit(name)

    color = QtCore.Property(QtGui.QColor, _readColor, setColor)
    colorName = QtCore.Property(str, lambda self: self._colorName, _setColorName)
    displayColorName = stored(bool, True, "_show")
    dialogOptions = stored(int, 0)

    def setDisplayColorName(self, shown: bool) -> None:
        self.displayColorName = shown

    def changeColor(self) -> None:
        self.setChecked(False)
        options = QtWidgets.QColorDialog.ColorDialogOption(int(self.dialogOptions) & 0x7)
        color = QtWidgets.QColorDialog.getColor(self._color, self, "Select color", options)
        if color.isValid():
            self.setColor(color)

    def _show(self) -> None:
        pixmap = QtGui.QPixmap(self.iconSize())
        pixmap.fill(self._color)
        self.setIcon(QtGui.QIcon(pixmap))
        if self.displayColorName:
            self.setText(self._colorName)
        elif self.text() == self._colorName:
            self.setText("")


@implements
class ctkMenuButton(QtWidgets.QPushButton):
    """A push button; its right part opens the menu of the button."""


@implements
class ctkExpandButton(QtWidgets.QToolButton):
    """An arrow that turns over when checked."""

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self.setCheckable(True)
        self.toggled.connect(self._updateIcon)
        self._updateIcon()

    orientation = stored(object, QtCore.Qt.Orientation.Horizontal, "_updateIcon")
    mirrorOnExpand = stored(bool, False, "_updateIcon")

    def _updateIcon(self, *_checked: bool) -> None:
        turned = bool(self.mirrorOnExpand) and self.isChecked()
        horizontal = self.orientation == QtCore.Qt.Orientation.Horizontal
        arrow = QtCore.Qt.ArrowType
        forward, back = (arrow.RightArrow, arrow.LeftArrow) if horizontal else (arrow.DownArrow, arrow.UpArrow)
        self.setArrowType(back if turned else forward)


@implements
class ctkCheckBox(QtWidgets.QCheckBox):
    indicatorIcon = stored(QtGui.QIcon, QtGui.QIcon(), "update")
    indicatorIconSize = stored(QtCore.QSize, QtCore.QSize(), "update")
