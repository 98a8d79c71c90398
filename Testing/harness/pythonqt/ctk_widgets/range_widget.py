"""`ctkRangeWidget`: two values in a range. Two spin boxes; the double slider between them is not drawn."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtWidgets

from Testing.harness.pythonqt.declaring import stored
from Testing.harness.pythonqt.implementations import implements


@implements
class ctkRangeWidget(QtWidgets.QWidget):
    minimumValueChanged = QtCore.Signal(float)
    minimumValueIsChanging = QtCore.Signal(float)
    maximumValueChanged = QtCore.Signal(float)
    maximumValueIsChanging = QtCore.Signal(float)
    valuesChanged = QtCore.Signal(float, float)
    rangeChanged = QtCore.Signal(float, float)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._low, self._high = QtWidgets.QDoubleSpinBox(self), QtWidgets.QDoubleSpinBox(self)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._low)
        layout.addStretch()
        layout.addWidget(self._high)
        self._range, self._values = (0.0, 99.0), (0.0, 99.0)
        self._show()
        self._low.valueChanged.connect(self.setMinimumValue)
        self._high.valueChanged.connect(self.setMaximumValue)

    def _show(self) -> None:
        for box, value in zip((self._low, self._high), self._values, strict=True):
            blocker = QtCore.QSignalBlocker(box)
            box.setRange(*self._range)
            box.setValue(value)
            blocker.unblock()

    def setValues(self, low: float, high: float) -> None:
        low, high = sorted(min(max(value, self._range[0]), self._range[1]) for value in (low, high))
        before, self._values = self._values, (low, high)
        self._show()
        if low != before[0]:
            self.minimumValueChanged.emit(low)
        if high != before[1]:
            self.maximumValueChanged.emit(high)
        if (low, high) != before:
            self.valuesChanged.emit(low, high)

    def setRange(self, low: float, high: float) -> None:
        self._range = (min(low, high), max(low, high))
        self.rangeChanged.emit(*self._range)
        self.setValues(*self._values)

    def setMinimumValue(self, value: float) -> None:
        self.setValues(value, max(value, self._values[1]))

    def setMaximumValue(self, value: float) -> None:
        self.setValues(min(value, self._values[0]), value)

    def reset(self) -> None:
        self.setValues(*self._range)

    def setDecimals(self, decimals: int) -> None:
        self._low.setDecimals(decimals)
        self._high.setDecimals(decimals)

    def _setForBoth(self, setter: str, value: Any) -> None:
        getattr(self._low, setter)(value)
        getattr(self._high, setter)(value)

    minimumValue = QtCore.Property(float, lambda self: self._values[0], setMinimumValue)
    maximumValue = QtCore.Property(float, lambda self: self._values[1], setMaximumValue)
    minimum = QtCore.Property(float, lambda self: self._range[0], lambda self, v: self.setRange(v, self._range[1]))
    maximum = QtCore.Property(float, lambda self: self._range[1], lambda self, v: self.setRange(self._range[0], v))
    decimals = QtCore.Property(int, lambda self: self._low.decimals(), setDecimals)
    singleStep = QtCore.Property(
        float, lambda self: self._low.singleStep(), lambda self, v: self._setForBoth("setSingleStep", v)
    )
    prefix = QtCore.Property(str, lambda self: self._low.prefix(), lambda self, v: self._setForBoth("setPrefix", v))
    suffix = QtCore.Property(str, lambda self: self._low.suffix(), lambda self, v: self._setForBoth("setSuffix", v))
    tickInterval = stored(float, 0.0)
    autoSpinBoxWidth = stored(bool, True)
    spinBoxTextAlignment = stored(object, QtCore.Qt.AlignmentFlag.AlignLeft)
    spinBoxAlignment = stored(object, QtCore.Qt.AlignmentFlag.AlignVCenter)
    tracking = stored(bool, True)
    symmetricMoves = stored(bool, False)
    customSpinBoxesLimitsMin = QtCore.Property(float, lambda self: self._range[0])
    customSpinBoxesLimitsMax = QtCore.Property(float, lambda self: self._range[1])
