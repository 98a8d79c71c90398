"""`ctkSliderWidget`: a slider and a spin box with one value."""

from __future__ import annotations

from PySide6 import QtCore, QtWidgets

from Testing.harness.pythonqt.declaring import forwarded, stored
from Testing.harness.pythonqt.implementations import implements


@implements
class ctkSliderWidget(QtWidgets.QWidget):
    """Without tracking, a drag emits `valueIsChanging`, its end `valueChanged`."""

    valueChanged = QtCore.Signal(float)
    valueIsChanging = QtCore.Signal(float)
    decimalsChanged = QtCore.Signal(int)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._slider = QtWidgets.QSlider(QtCore.Qt.Orientation.Horizontal, self)
        self._box = QtWidgets.QDoubleSpinBox(self)
        self._slider.setObjectName("Slider")
        self._box.setObjectName("SpinBox")
        self._box.setRange(0.0, 99.0)
        self._box.setSingleStep(1.0)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._slider)
        layout.addWidget(self._box)
        policy = QtWidgets.QSizePolicy.Policy
        self.setSizePolicy(policy.MinimumExpanding, policy.Fixed)
        self.setFocusProxy(self._slider)
        self._value = 0.0
        self._sync()
        self._slider.valueChanged.connect(self._onSlider)
        self._slider.sliderReleased.connect(self._onReleased)
        self._box.valueChanged.connect(self.setValue)

    def _step(self) -> float:
        return self._box.singleStep() or 1.0

    def _sync(self) -> None:
        """The slider counts steps from the minimum."""
        steps = round((self._box.maximum() - self._box.minimum()) / self._step())
        blocker = QtCore.QSignalBlocker(self._slider)
        self._slider.setRange(0, steps)
        self._slider.setPageStep(max(1, round(self.pageStep / self._step())))
        self._slider.setValue(round((self._value - self._box.minimum()) / self._step()))
        blocker.unblock()

    def _onSlider(self, steps: int) -> None:
        value = min(self._box.minimum() + steps * self._step(), self._box.maximum())
        if self.tracking or not self._slider.isSliderDown():
            self.setValue(value)
            return
        blocker = QtCore.QSignalBlocker(self._box)
        self._box.setValue(value)
        blocker.unblock()
        self.valueIsChanging.emit(value)

    def _onReleased(self) -> None:
        if not self.tracking:
            self.setValue(self._box.value())

    def _readValue(self) -> float:
        return self._value

    def setValue(self, value: float) -> None:
        blocker = QtCore.QSignalBlocker(self._box)
        if value != self._box.value():  # else it would rewrite what is being typed
            self._box.setValue(value)
        blocker.unblock()
        value = self._box.value()
        changed = value != self._value
        self._value = value
        self._sync()
        if changed:
            if self.tracking and self._slider.isSliderDown():
                self.valueIsChanging.emit(value)
            self.valueChanged.emit(value)

    def reset(self) -> None:
        self.setValue(0.0)

    def setSpinBoxVisible(self, visible: bool) -> None:
        self._box.setVisible(visible)

    def setDecimals(self, decimals: int) -> None:
        if decimals != self._box.decimals():
            self._box.setDecimals(decimals)
            self.setValue(self._value)
            self.decimalsChanged.emit(decimals)

    def _setMinimum(self, minimum: float) -> None:
        self._setRange(minimum, max(minimum, self._box.maximum()))

    def _setMaximum(self, maximum: float) -> None:
        self._setRange(min(maximum, self._box.minimum()), maximum)

    def _setRange(self, minimum: float, maximum: float) -> None:
        blocker = QtCore.QSignalBlocker(self._box)
        self._box.setRange(minimum, maximum)
        blocker.unblock()
        self.setValue(self._value)

    def _setSingleStep(self, step: float) -> None:
        self._box.setSingleStep(step)
        self._sync()

    value = QtCore.Property(float, _readValue, setValue)
    decimals = QtCore.Property(int, lambda self: self._box.decimals(), setDecimals)
    minimum = QtCore.Property(float, lambda self: self._box.minimum(), _setMinimum)
    maximum = QtCore.Property(float, lambda self: self._box.maximum(), _setMaximum)
    singleStep = QtCore.Property(float, lambda self: self._box.singleStep(), _setSingleStep)
    pageStep = stored(float, 10.0, "_sync")
    prefix = forwarded(str, "_box", "prefix", "setPrefix")
    suffix = forwarded(str, "_box", "suffix", "setSuffix")
    tickInterval = stored(float, 0.0)
    tickPosition = forwarded(object, "_slider", "tickPosition", "setTickPosition")
    synchronizeSiblings = stored(int, 1)
    spinBoxAlignment = stored(object, QtCore.Qt.AlignmentFlag.AlignVCenter)
    tracking = stored(bool, True)
    spinBoxVisible = QtCore.Property(bool, lambda self: not self._box.isHidden(), setSpinBoxVisible)
    popupSlider = stored(bool, False)
    invertedAppearance = forwarded(bool, "_slider", "invertedAppearance", "setInvertedAppearance")
    invertedControls = forwarded(bool, "_slider", "invertedControls", "setInvertedControls")
