"""`qMRMLSliderWidget`: CTK's slider with the units of the scene."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtWidgets

from Testing.harness.pythonqt.ctk_widgets.slider_widget import ctkSliderWidget
from Testing.harness.pythonqt.declaring import forwarded
from Testing.harness.pythonqt.implementations import implements

_PREFIX, _SUFFIX, _PRECISION, _MINIMUM, _MAXIMUM = 1, 2, 4, 8, 16


@implements
class qMRMLSliderWidget(ctkSliderWidget):
    """Takes prefix, suffix, decimals and range from the unit node of its quantity, without scaling."""

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene: Any = None
        self._quantity, self._aware = "", 63

    def mrmlScene(self) -> Any:
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        self._scene = scene
        self._useUnit()

    def setQuantity(self, quantity: str) -> None:
        self._quantity = quantity
        self._useUnit()

    def setUnitAwareProperties(self, flags: int) -> None:
        self._aware = flags
        self._useUnit()

    def _useUnit(self) -> None:
        if self._scene is None or not self._quantity:
            return
        selection = self._scene.GetFirstNodeByClass("vtkMRMLSelectionNode")
        unit = selection.GetUnitNode(self._quantity) if selection is not None else None
        if unit is None:
            return
        if self._aware & _PRECISION:
            self.setDecimals(unit.GetPrecision())
        if self._aware & _PREFIX:
            self.prefix = unit.GetPrefix() or ""
        if self._aware & _SUFFIX:
            self.suffix = unit.GetSuffix() or ""
        if self._aware & _MINIMUM:
            self.minimum = unit.GetMinimumValue()
        if self._aware & _MAXIMUM:
            self.maximum = unit.GetMaximumValue()

    quantity = QtCore.Property(str, lambda self: self._quantity, setQuantity)
    unitAwareProperties = QtCore.Property(int, lambda self: self._aware, setUnitAwareProperties)
    orientation = forwarded(object, "_slider", "orientation", "setOrientation")
