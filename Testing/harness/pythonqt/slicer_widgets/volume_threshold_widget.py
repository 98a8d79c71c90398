"""`qMRMLVolumeThresholdWidget`: the display threshold of a volume."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtWidgets

from Testing.harness.pythonqt.ctk_widgets.range_widget import ctkRangeWidget
from Testing.harness.pythonqt.declaring import passed
from Testing.harness.pythonqt.implementations import implements
from Testing.harness.pythonqt.observing import Observations

_AUTO, _MANUAL, _OFF = range(3)


@implements
class qMRMLVolumeWidget(QtWidgets.QWidget):
    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._node: Any = None
        self._observations = Observations(self)

    def mrmlVolumeNode(self) -> Any:
        return self._node

    def setMRMLVolumeNode(self, node: Any) -> None:
        self._observations.removeAll()
        self._node = node if node is not None and node.IsA("vtkMRMLScalarVolumeNode") else None
        self.setEnabled(self._display() is not None)
        self._follow()

    def _display(self) -> Any:
        return self._node.GetScalarVolumeDisplayNode() if self._node is not None else None

    def _follow(self) -> None:
        """Overridden by the widgets that show something of the volume."""


@implements
class qMRMLVolumeThresholdWidget(qMRMLVolumeWidget):
    thresholdValuesChanged = QtCore.Signal(float, float)
    autoThresholdValueChanged = QtCore.Signal(int)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._mode = QtWidgets.QComboBox(self)
        self._mode.addItems(["Auto", "Manual", "Off"])
        self._mode.setCurrentIndex(_OFF)
        self._range = ctkRangeWidget(self)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._mode)
        layout.addWidget(self._range)
        self._following = False
        self._mode.currentIndexChanged.connect(self._onMode)
        self._range.valuesChanged.connect(self._onValues)
        self.setEnabled(False)

    def _follow(self) -> None:
        from vtkmodules.vtkCommonCore import vtkCommand

        display = self._display()
        if display is None:
            return
        low, high = self._node.GetImageData().GetScalarRange() if self._node.GetImageData() else (0.0, 0.0)
        self._range.setRange(low, high)
        self._observations.add(display, vtkCommand.ModifiedEvent, self._update)
        self._update()

    def _update(self, _caller: Any = None) -> None:
        display = self._display()
        self._following = True
        manual = _AUTO if display.GetAutoThreshold() else _MANUAL
        self._mode.setCurrentIndex(manual if display.GetApplyThreshold() else _OFF)
        self._range.setValues(display.GetLowerThreshold(), display.GetUpperThreshold())
        self._following = False

    def _onMode(self, mode: int) -> None:
        if not self._following:
            self.setAutoThreshold(mode)
        self.autoThresholdValueChanged.emit(mode)

    def _onValues(self, low: float, high: float) -> None:
        if not self._following and self._display() is not None:
            self._display().SetThreshold(low, high)
        self.thresholdValuesChanged.emit(low, high)

    def setAutoThreshold(self, mode: int) -> None:
        display = self._display()
        if display is None:
            return
        display.SetApplyThreshold(mode != _OFF)
        display.SetAutoThreshold(mode == _AUTO)

    def setThreshold(self, low: float, high: float) -> None:
        self._range.setValues(low, high)

    def setThresholdBounds(self, low: float, high: float) -> None:
        self._range.setRange(low, high)

    autoThreshold = QtCore.Property(int, lambda self: self._mode.currentIndex(), setAutoThreshold)
    lowerThreshold = passed(float, "_range", "minimumValue")
    upperThreshold = passed(float, "_range", "maximumValue")
    lowerThresholdBound = passed(float, "_range", "minimum")
    upperThresholdBound = passed(float, "_range", "maximum")
