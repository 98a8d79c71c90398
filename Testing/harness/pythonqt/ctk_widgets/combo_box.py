"""`ctkComboBox`: a combo box with a default text, elided."""

from __future__ import annotations

from PySide6 import QtCore, QtGui, QtWidgets

from Testing.harness.pythonqt.declaring import stored
from Testing.harness.pythonqt.implementations import implements


@implements
class ctkComboBox(QtWidgets.QComboBox):
    """The default text is shown when nothing is selected, or always if it is forced."""

    returnRelease = QtCore.Signal()

    defaultText = stored(str, "", "update")
    defaultIcon = stored(QtGui.QIcon, QtGui.QIcon(), "update")
    forceDefault = stored(bool, False, "update")
    elideMode = stored(object, QtCore.Qt.TextElideMode.ElideNone, "update")
    scrollWheelEffect = stored(int, 1)

    def setCurrentUserDataAsString(self, data: str) -> None:
        for index in range(self.count()):
            if str(self.itemData(index)) == data:
                self.setCurrentIndex(index)
                return
        self.setCurrentIndex(-1)

    def _readUserData(self) -> str:
        data = self.currentData()
        return "" if data is None else str(data)

    currentUserDataAsString = QtCore.Property(str, _readUserData, setCurrentUserDataAsString)

    def wheelEvent(self, event: QtGui.QWheelEvent) -> None:
        never, withFocus = 0, 2
        if self.scrollWheelEffect == never or (self.scrollWheelEffect == withFocus and not self.hasFocus()):
            event.ignore()
            return
        super().wheelEvent(event)

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:
        painter = QtWidgets.QStylePainter(self)
        option = QtWidgets.QStyleOptionComboBox()
        self.initStyleOption(option)
        if self.currentIndex() == -1 or self.forceDefault:
            option.currentText = self.defaultText
            option.currentIcon = self.defaultIcon
        style = QtWidgets.QStyle
        painter.drawComplexControl(style.ComplexControl.CC_ComboBox, option)
        field = self.style().subControlRect(
            style.ComplexControl.CC_ComboBox, option, style.SubControl.SC_ComboBoxEditField, self
        )
        icon = self.iconSize().width() + 4 if not option.currentIcon.isNull() else 0
        option.currentText = self.fontMetrics().elidedText(option.currentText, self.elideMode, field.width() - icon)
        painter.drawControl(style.ControlElement.CE_ComboBoxLabel, option)
        painter.end()

    def keyReleaseEvent(self, event: QtGui.QKeyEvent) -> None:
        super().keyReleaseEvent(event)
        if event.key() in (QtCore.Qt.Key.Key_Return, QtCore.Qt.Key.Key_Enter):
            self.returnRelease.emit()
