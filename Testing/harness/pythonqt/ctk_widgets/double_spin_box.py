"""`ctkDoubleSpinBox`: a spin box inside a widget."""

from __future__ import annotations

from PySide6 import QtCore, QtWidgets

from Testing.harness.pythonqt.declaring import forwarded, stored
from Testing.harness.pythonqt.implementations import implements


@implements
class ctkDoubleSpinBox(QtWidgets.QWidget):
    """Decimals options are kept, but only fixed decimals are imitated."""

    valueChanged = QtCore.Signal((float,), (str,))
    editingFinished = QtCore.Signal()
    decimalsChanged = QtCore.Signal(int)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._box = QtWidgets.QDoubleSpinBox(self)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._box)
        self.setSizePolicy(self._box.sizePolicy())
        self.setFocusProxy(self._box)
        self._box.valueChanged.connect(self._onValueChanged)
        self._box.editingFinished.connect(self.editingFinished)

    def _onValueChanged(self, value: float) -> None:
        self.valueChanged.emit(value)
        self.valueChanged[str].emit(self._box.text())

    def _readValue(self) -> float:
        return self._box.value()

    def setValue(self, value: float) -> None:
        self._box.setValue(value)

    def setValueIfDifferent(self, value: float) -> None:
        self._box.setValue(value)

    def setValueAlways(self, value: float) -> None:
        different = self._box.value() != value
        self._box.setValue(value)
        if not different:
            self._onValueChanged(self._box.value())

    def stepUp(self) -> None:
        self._box.stepUp()

    def stepDown(self) -> None:
        self._box.stepDown()

    def setDecimals(self, decimals: int) -> None:
        if decimals != self._box.decimals():
            self._box.setDecimals(decimals)
            self.decimalsChanged.emit(decimals)

    def _readDecimals(self) -> int:
        return self._box.decimals()

    def setReadOnly(self, readOnly: bool) -> None:
        self._box.setReadOnly(readOnly)

    value = QtCore.Property(float, _readValue, setValue)
    decimals = QtCore.Property(int, _readDecimals, setDecimals)
    minimum = forwarded(float, "_box", "minimum", "setMinimum")
    maximum = forwarded(float, "_box", "maximum", "setMaximum")
    singleStep = forwarded(float, "_box", "singleStep", "setSingleStep")
    prefix = forwarded(str, "_box", "prefix", "setPrefix")
    suffix = forwarded(str, "_box", "suffix", "setSuffix")
    readOnly = forwarded(bool, "_box", "isReadOnly", "setReadOnly")
    frame = forwarded(bool, "_box", "hasFrame", "setFrame")
    alignment = forwarded(object, "_box", "alignment", "setAlignment")
    cleanText = QtCore.Property(str, lambda self: self._box.cleanText())
    decimalsOption = stored(int, 0x01 | 0x02 | 0x10)
    setMode = stored(int, 1)
    invertedControls = stored(bool, False)
    sizeHintPolicy = stored(int, 0)
    isSettingValue = QtCore.Property(bool, lambda self: False)
