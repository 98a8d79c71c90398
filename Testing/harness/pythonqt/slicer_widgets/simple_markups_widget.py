"""`qSlicerSimpleMarkupsWidget`: a selector, a place widget, and a table of control points."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from Testing.harness.pythonqt.declaring import passed, stored
from Testing.harness.pythonqt.implementations import implements
from Testing.harness.pythonqt.slicer_widgets.markups_place_widget import qSlicerMarkupsPlaceWidget
from Testing.harness.pythonqt.slicer_widgets.mrml_widget import qSlicerWidget
from Testing.harness.pythonqt.slicer_widgets.node_combo_box import qMRMLNodeComboBox


@implements
class qSlicerSimpleMarkupsWidget(qSlicerWidget):
    """Without the context menu of the table; labels can be edited, positions are shown."""

    markupsNodeChanged = QtCore.Signal()
    markupsFiducialNodeChanged = QtCore.Signal()
    currentMarkupsControlPointSelectionChanged = QtCore.Signal(int)
    currentMarkupsFiducialSelectionChanged = QtCore.Signal(int)
    activeMarkupsPlaceModeChanged = QtCore.Signal(bool)
    activeMarkupsFiducialPlaceModeChanged = QtCore.Signal(bool)
    updateFinished = QtCore.Signal()

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._observed: Any = None
        self._updating = False
        self._selector = qMRMLNodeComboBox(self)
        self._selector.nodeTypes = ["vtkMRMLMarkupsFiducialNode"]
        self._placeWidget = qSlicerMarkupsPlaceWidget(self)
        self._table = QtWidgets.QTableWidget(0, 4, self)
        self._table.setHorizontalHeaderLabels(["Label", "R", "A", "S"])
        self._table.setSelectionBehavior(QtWidgets.QAbstractItemView.SelectionBehavior.SelectRows)
        row = QtWidgets.QHBoxLayout()
        row.addWidget(self._selector)
        row.addWidget(self._placeWidget)
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row)
        layout.addWidget(self._table)
        self._selector.currentNodeChanged.connect(self._onNodeChanged)
        self._table.itemChanged.connect(self._onItemChanged)
        self._table.itemSelectionChanged.connect(self._onSelection)
        self._placeWidget.activeMarkupsPlaceModeChanged.connect(self.activeMarkupsPlaceModeChanged)
        self._placeWidget.activeMarkupsPlaceModeChanged.connect(self.activeMarkupsFiducialPlaceModeChanged)

    def setMRMLScene(self, scene: Any) -> None:
        super().setMRMLScene(scene)
        self._placeWidget.setMRMLScene(scene)
        self._selector.setMRMLScene(scene)

    def currentNode(self) -> Any:
        return self._selector.currentNode()

    getCurrentNode = currentNode

    def setCurrentNode(self, node: Any) -> None:
        self._selector.setCurrentNode(node)

    def setNodeBaseName(self, name: str) -> None:
        self._selector.baseName = name

    def interactionNode(self) -> Any:
        return self._placeWidget.interactionNode()

    def setInteractionNode(self, node: Any) -> None:
        self._placeWidget.setInteractionNode(node)

    def tableWidget(self) -> QtWidgets.QTableWidget:
        return self._table

    def markupsPlaceWidget(self) -> qSlicerMarkupsPlaceWidget:
        return self._placeWidget

    def markupsSelectorComboBox(self) -> qMRMLNodeComboBox:
        return self._selector

    def activate(self) -> None:
        self._placeWidget.currentNodeActive = True

    def placeActive(self, active: bool) -> None:
        self._placeWidget.placeModeEnabled = active

    def highlightNthControlPoint(self, number: int) -> None:
        self._table.selectRow(number)

    highlightNthFiducial = highlightNthControlPoint

    def _onNodeChanged(self, node: Any) -> None:
        from vtkmodules.vtkCommonCore import vtkCommand

        if self._observed is not None:
            self._observations.remove(self._observed)
        self._observed = node
        self._placeWidget.setCurrentNode(node)
        if node is not None:
            events = (vtkCommand.ModifiedEvent, node.PointAddedEvent, node.PointRemovedEvent, node.PointModifiedEvent)
            for event in events:
                self._observations.add(node, event, self._fill)
            if self.enterPlaceModeOnNodeChange:
                self.placeActive(True)
        self._fill()
        self.markupsNodeChanged.emit()
        self.markupsFiducialNodeChanged.emit()

    def _fill(self, _caller: Any = None) -> None:
        node = self.currentNode()
        self._updating = True
        self._table.setRowCount(node.GetNumberOfControlPoints() if node is not None else 0)
        for row in range(self._table.rowCount()):
            position = node.GetNthControlPointPositionWorld(row)
            texts = [node.GetNthControlPointLabel(row), *(f"{value:.3f}" for value in position)]
            for column, text in enumerate(texts):
                self._table.setItem(row, column, QtWidgets.QTableWidgetItem(text))
        self._updating = False
        self.updateFinished.emit()

    def _onItemChanged(self, item: QtWidgets.QTableWidgetItem) -> None:
        if not self._updating and item.column() == 0:
            self.currentNode().SetNthControlPointLabel(item.row(), item.text())

    def _onSelection(self) -> None:
        rows = self._table.selectionModel().selectedRows()
        number = rows[0].row() if rows else -1
        self.currentMarkupsControlPointSelectionChanged.emit(number)
        self.currentMarkupsFiducialSelectionChanged.emit(number)

    def _setSelectorVisible(self, visible: bool) -> None:
        self._selector.setVisible(visible)

    nodeSelectorVisible = QtCore.Property(bool, lambda self: not self._selector.isHidden(), _setSelectorVisible)
    enterPlaceModeOnNodeChange = stored(bool, True)
    jumpToSliceEnabled = stored(bool, False)
    optionsVisible = stored(bool, True)
    viewGroup = stored(int, -1)
    positionStatusColumnVisible = stored(bool, False)
    nodeColor = passed(QtGui.QColor, "_placeWidget", "nodeColor")
    defaultNodeColor = passed(QtGui.QColor, "_placeWidget", "defaultNodeColor")
