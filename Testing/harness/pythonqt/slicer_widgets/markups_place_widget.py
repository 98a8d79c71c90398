"""`qSlicerMarkupsPlaceWidget`: the place button of a markups node, acting on the scene's interaction node."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from Testing.harness.pythonqt.declaring import stored
from Testing.harness.pythonqt.implementations import implements
from Testing.harness.pythonqt.slicer_widgets.mrml_widget import qSlicerWidget

_SHOW_OPTION, _HIDE_OPTION, _SINGLE, _MULTIPLE = range(4)


@implements
class qSlicerMarkupsPlaceWidget(qSlicerWidget):
    """Without the menus of the buttons; the option properties are only kept."""

    activeMarkupsPlaceModeChanged = QtCore.Signal(bool)
    activeMarkupsFiducialPlaceModeChanged = QtCore.Signal(bool)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._node: Any = None
        self._interactionNode: Any = None
        self._selectionNode: Any = None
        self._wasPlacing = False
        self._place, self._delete = QtWidgets.QToolButton(self), QtWidgets.QToolButton(self)
        self._place.setText("Place")
        self._place.setObjectName("PlaceButton")
        self._place.setCheckable(True)
        self._delete.setText("Delete")
        self._delete.setObjectName("DeleteButton")
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._place)
        layout.addWidget(self._delete)
        self._place.clicked.connect(self._setPlaceModeEnabled)
        self._delete.clicked.connect(self.deleteLastPoint)
        self._update()

    def placeButton(self) -> QtWidgets.QToolButton:
        return self._place

    def deleteButton(self) -> QtWidgets.QToolButton:
        return self._delete

    def setMRMLScene(self, scene: Any) -> None:
        super().setMRMLScene(scene)
        for setter, kind in ((self.setInteractionNode, "Interaction"), (self.setSelectionNode, "Selection")):
            setter(scene.GetFirstNodeByClass(f"vtkMRML{kind}Node") if scene is not None else None)

    def interactionNode(self) -> Any:
        return self._interactionNode

    def selectionNode(self) -> Any:
        return self._selectionNode

    def setInteractionNode(self, node: Any) -> None:
        self._replace("_interactionNode", node)

    def setSelectionNode(self, node: Any) -> None:
        self._replace("_selectionNode", node)

    def _replace(self, name: str, node: Any) -> None:
        from vtkmodules.vtkCommonCore import vtkCommand

        old = getattr(self, name)
        if old is not None:
            self._observations.remove(old)
        setattr(self, name, node)
        if node is not None:
            self._observations.add(node, vtkCommand.ModifiedEvent, self._update)
        self._update()

    # --- node

    def currentNode(self) -> Any:
        return self._node

    currentMarkupsNode = currentNode

    def currentMarkupsFiducialNode(self) -> Any:
        return self._node if self._node is not None and self._node.IsA("vtkMRMLMarkupsFiducialNode") else None

    def setCurrentNode(self, node: Any) -> None:
        if node is self._node:
            return
        self._replace("_node", node if node is not None and node.IsA("vtkMRMLMarkupsNode") else None)

    # --- place mode

    def _isActive(self) -> bool:
        return (
            self._node is not None
            and self._selectionNode is not None
            and self._interactionNode is not None
            and self._selectionNode.GetActivePlaceNodeClassName() == self._node.GetClassName()
            and self._selectionNode.GetActivePlaceNodeID() == self._node.GetID()
        )

    def _setActive(self, active: bool) -> None:
        if self._node is None or self._selectionNode is None:
            return
        if active:
            self._selectionNode.SetReferenceActivePlaceNodeClassName(self._node.GetClassName())
            self._selectionNode.SetActivePlaceNodeID(self._node.GetID())
        elif self._isActive():
            self._selectionNode.SetReferenceActivePlaceNodeClassName(None)
            self._selectionNode.SetActivePlaceNodeID(None)

    def _isPlacing(self) -> bool:
        if not self._isActive():
            return False
        return bool(self._interactionNode.GetCurrentInteractionMode() == self._interactionNode.Place)

    def _setPlaceModeEnabled(self, enabled: bool) -> None:
        interaction = self._interactionNode
        if self._node is None or interaction is None:
            self._update()
            return
        if enabled:
            if self.placeMultipleMarkups == _SINGLE:
                interaction.SetPlaceModePersistence(0)
            elif self.placeMultipleMarkups == _MULTIPLE:
                interaction.SetPlaceModePersistence(1)
            self._setActive(True)
            interaction.SetCurrentInteractionMode(interaction.Place)
        elif self._isPlacing():
            interaction.SetCurrentInteractionMode(interaction.ViewTransform)
        self._update()

    def _readPersistency(self) -> bool:
        return bool(self._interactionNode is not None and self._interactionNode.GetPlaceModePersistence())

    def _setPersistency(self, persistent: bool) -> None:
        if self._interactionNode is not None:
            self._interactionNode.SetPlaceModePersistence(int(persistent))

    def _update(self, _caller: Any = None) -> None:
        ready = self._node is not None and self._interactionNode is not None
        placing = self._isPlacing()
        self._place.setEnabled(ready)
        self._delete.setEnabled(ready and self._node.GetNumberOfControlPoints() > 0)
        self._place.setChecked(placing)
        if placing != self._wasPlacing:
            self._wasPlacing = placing
            self.activeMarkupsPlaceModeChanged.emit(placing)
            self.activeMarkupsFiducialPlaceModeChanged.emit(placing)

    # --- points

    def modifyLastPoint(self) -> None:
        if self._node is not None and self._node.GetNumberOfControlPoints():
            self._node.UnsetNthControlPointPosition(self._node.GetNumberOfControlPoints() - 1)

    unsetLastDefinedPoint = modifyLastPoint

    def deleteLastPoint(self) -> None:
        if self._node is not None and self._node.GetNumberOfControlPoints():
            self._node.RemoveNthControlPoint(self._node.GetNumberOfControlPoints() - 1)

    deleteLastMarkup = deleteLastPoint

    def deleteAllPoints(self) -> None:
        if self._node is not None:
            self._node.RemoveAllControlPoints()

    deleteAllMarkups = deleteAllPoints

    def unsetAllPoints(self) -> None:
        if self._node is not None:
            self._node.UnsetAllControlPoints()

    # --- looks

    def _readColor(self) -> QtGui.QColor:
        display = self._node.GetDisplayNode() if self._node is not None else None
        return QtGui.QColor.fromRgbF(*display.GetSelectedColor()) if display is not None else QtGui.QColor()

    def _setColor(self, color: QtGui.QColor) -> None:
        display = self._node.GetDisplayNode() if self._node is not None else None
        if display is not None:
            display.SetSelectedColor(color.redF(), color.greenF(), color.blueF())

    def _setButtonsVisible(self, visible: bool) -> None:
        self._place.setVisible(visible)
        self._delete.setVisible(visible)

    buttonsVisible = QtCore.Property(bool, lambda self: not self._place.isHidden(), _setButtonsVisible)
    currentNodeActive = QtCore.Property(bool, _isActive, _setActive)
    placeModeEnabled = QtCore.Property(bool, _isPlacing, _setPlaceModeEnabled)
    placeModePersistency = QtCore.Property(bool, _readPersistency, _setPersistency)
    nodeColor = QtCore.Property(QtGui.QColor, _readColor, _setColor)
    defaultNodeColor = stored(QtGui.QColor, QtGui.QColor(0, 0, 0))
    placeMultipleMarkups = stored(int, _SHOW_OPTION)
    deleteAllControlPointsOptionVisible = stored(bool, True)
    deleteAllMarkupsOptionVisible = stored(bool, True)
    unsetLastControlPointOptionVisible = stored(bool, False)
    unsetAllControlPointsOptionVisible = stored(bool, False)
