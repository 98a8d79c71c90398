"""`qMRMLSegmentEditorWidget`: the parameter node, the inputs and the segments; the effects have names only."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtWidgets

from Testing.harness.pythonqt.declaring import stored
from Testing.harness.pythonqt.implementations import implements
from Testing.harness.pythonqt.slicer_widgets.mrml_widget import qMRMLWidget
from Testing.harness.pythonqt.slicer_widgets.node_combo_box import qMRMLNodeComboBox
from Testing.harness.pythonqt.slicer_widgets.segments_table_view import qMRMLSegmentsTableView

EFFECTS = (
    "Threshold", "Paint", "Draw", "Erase", "Level tracing", "Grow from seeds", "Fill between slices", "Margin",
    "Hollow", "Smoothing", "Scissors", "Islands", "Logical operators", "Mask volume",
)  # fmt: skip


@implements
class qSlicerSegmentEditorAbstractEffect(QtCore.QObject):
    """The name of an effect. It edits nothing."""

    def __init__(self, effectName: str, editor: qMRMLSegmentEditorWidget) -> None:
        super().__init__(editor)
        self.name = effectName
        self.title = effectName

    name = stored(str, "")
    title = stored(str, "")
    perSegment = stored(bool, True)
    requireSegments = stored(bool, True)
    showEffectCursorInSliceView = stored(bool, True)
    showEffectCursorInThreeDView = stored(bool, False)

    def active(self) -> bool:
        return self.parent().activeEffect() is self

    def parameterSetNode(self) -> Any:
        return self.parent().mrmlSegmentEditorNode()

    def scene(self) -> Any:
        return self.parent().mrmlScene()


@implements
class qMRMLSegmentEditorWidget(qMRMLWidget):
    """What is asked of it without an effect in hand is recorded in `recordedCalls` (of the PySide6 object)."""

    currentSegmentIDChanged = QtCore.Signal(str)
    sourceVolumeNodeChanged = QtCore.Signal(object)
    masterVolumeNodeChanged = QtCore.Signal(object)
    segmentationNodeChanged = QtCore.Signal(object)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self.recordedCalls: list[str] = []
        self._editorNode: Any = None
        self._interactionNode: Any = None
        self._known: tuple[Any, Any, str] = (None, None, "")
        self._effects = {name: qSlicerSegmentEditorAbstractEffect(name, self) for name in EFFECTS}
        self._order = list(EFFECTS)
        self._segmentations, self._volumes = qMRMLNodeComboBox(self), qMRMLNodeComboBox(self)
        self._segmentations.setObjectName("SegmentationNodeComboBox")
        self._segmentations.nodeTypes = ["vtkMRMLSegmentationNode"]
        self._volumes.setObjectName("SourceVolumeNodeComboBox")
        self._volumes.nodeTypes = ["vtkMRMLScalarVolumeNode"]
        self._volumes.addEnabled = self._volumes.removeEnabled = False
        self._segmentations.noneEnabled = self._volumes.noneEnabled = True
        self._table = qMRMLSegmentsTableView(self)
        self._buttons = QtWidgets.QButtonGroup(self)
        self._arrange()
        self._segmentations.currentNodeChanged.connect(self.setSegmentationNode)
        self._volumes.currentNodeChanged.connect(self.setSourceVolumeNode)
        self._table.selectionChanged.connect(self._onTable)

    def _arrange(self) -> None:
        form, effects = QtWidgets.QFormLayout(), QtWidgets.QGridLayout()
        form.addRow("Segmentation:", self._segmentations)
        form.addRow("Source volume:", self._volumes)
        for number, name in enumerate(EFFECTS):
            button = QtWidgets.QToolButton(self)
            button.setText(name)
            button.setCheckable(True)
            self._buttons.addButton(button, number)
            effects.addWidget(button, number // 2, number % 2)
        self._buttons.idClicked.connect(self._onEffectButton)
        layout = QtWidgets.QVBoxLayout(self)
        for part in (form, effects):
            layout.addLayout(part)
        layout.insertWidget(1, self._table)

    def _onEffectButton(self, number: int) -> None:
        self.setActiveEffectByName(EFFECTS[number])

    # --- scene and parameter node

    def setMRMLScene(self, scene: Any) -> None:
        super().setMRMLScene(scene)
        for child in (self._segmentations, self._volumes, self._table):
            child.setMRMLScene(scene)
        self.updateWidgetFromMRML()

    def mrmlSegmentEditorNode(self) -> Any:
        return self._editorNode

    def setMRMLSegmentEditorNode(self, node: Any) -> None:
        from vtkmodules.vtkCommonCore import vtkCommand

        self._observations.removeAll()
        self._editorNode = node
        if node is not None:
            self._observations.add(node, vtkCommand.ModifiedEvent, self._onEditorNode)
        self.updateWidgetFromMRML()

    def _onEditorNode(self, _node: Any) -> None:
        self.updateWidgetFromMRML()

    def updateWidgetFromMRML(self) -> None:
        now = (self.segmentationNode(), self.sourceVolumeNode(), self.currentSegmentID())
        before, self._known = self._known, now
        self._table.setSegmentationNode(now[0])
        self._segmentations.setCurrentNode(now[0])
        self._volumes.setCurrentNode(now[1])
        self._table.setSelectedSegmentIDs([now[2]] if now[2] else [])
        effect = self.activeEffect()
        for button in self._buttons.buttons():
            button.setChecked(effect is not None and button.text() == effect.name)
        if now[0] is not before[0]:
            self.segmentationNodeChanged.emit(now[0])
        if now[1] is not before[1]:
            self.sourceVolumeNodeChanged.emit(now[1])
            self.masterVolumeNodeChanged.emit(now[1])
        if now[2] != before[2]:
            self.currentSegmentIDChanged.emit(now[2])

    # --- inputs

    def segmentationNode(self) -> Any:
        return self._editorNode.GetSegmentationNode() if self._editorNode is not None else None

    def segmentationNodeID(self) -> str:
        node = self.segmentationNode()
        return node.GetID() if node is not None else ""

    def setSegmentationNode(self, node: Any) -> None:
        if self._editorNode is None or node is self.segmentationNode():
            return
        self._editorNode.SetAndObserveSegmentationNode(node)
        ids = list(node.GetSegmentation().GetSegmentIDs()) if node is not None else []
        self._editorNode.SetSelectedSegmentID(ids[0] if ids else None)
        self.updateWidgetFromMRML()

    def setSegmentationNodeID(self, nodeID: str) -> None:
        self.setSegmentationNode(self.mrmlScene().GetNodeByID(nodeID))

    def sourceVolumeNode(self) -> Any:
        return self._editorNode.GetSourceVolumeNode() if self._editorNode is not None else None

    def sourceVolumeNodeID(self) -> str:
        node = self.sourceVolumeNode()
        return node.GetID() if node is not None else ""

    def setSourceVolumeNode(self, node: Any) -> None:
        if self._editorNode is None or node is self.sourceVolumeNode():
            return
        self._editorNode.SetAndObserveSourceVolumeNode(node)
        self.updateWidgetFromMRML()

    def setSourceVolumeNodeID(self, nodeID: str) -> None:
        self.setSourceVolumeNode(self.mrmlScene().GetNodeByID(nodeID))

    masterVolumeNode, masterVolumeNodeID = sourceVolumeNode, sourceVolumeNodeID
    setMasterVolumeNode, setMasterVolumeNodeID = setSourceVolumeNode, setSourceVolumeNodeID

    def currentSegmentID(self) -> str:
        return (self._editorNode.GetSelectedSegmentID() or "") if self._editorNode is not None else ""

    def setCurrentSegmentID(self, segmentID: str) -> None:
        if self._editorNode is not None:
            self._editorNode.SetSelectedSegmentID(segmentID or None)
            self.updateWidgetFromMRML()

    def _onTable(self, _selected: Any, _deselected: Any) -> None:
        chosen = self._table.selectedSegmentIDs()
        if chosen and chosen[0] != self.currentSegmentID():
            self.setCurrentSegmentID(chosen[0])

    def selectSegmentAtOffset(self, offset: int) -> None:
        ids = self._table.displayedSegmentIDs()
        if self.currentSegmentID() in ids:
            position = min(max(ids.index(self.currentSegmentID()) + offset, 0), len(ids) - 1)
            self.setCurrentSegmentID(ids[position])

    def selectNextSegment(self) -> None:
        self.selectSegmentAtOffset(1)

    def selectPreviousSegment(self) -> None:
        self.selectSegmentAtOffset(-1)

    # --- effects

    def availableEffectNames(self) -> list[str]:
        return list(EFFECTS)

    def effectCount(self) -> int:
        return len(EFFECTS)

    def effectByIndex(self, index: int) -> Any:
        return self._effects[EFFECTS[index]] if 0 <= index < len(EFFECTS) else None

    def effectByName(self, name: str) -> Any:
        return self._effects.get(name)

    def effectNameOrder(self) -> list[str]:
        return list(self._order)

    def setEffectNameOrder(self, names: list[str]) -> None:
        self._order = list(names)

    def activeEffect(self) -> Any:
        name = self._editorNode.GetActiveEffectName() if self._editorNode is not None else None
        return self._effects.get(name or "")

    def setActiveEffect(self, effect: Any) -> None:
        self.setActiveEffectByName(effect.name if effect is not None else "")

    def setActiveEffectByName(self, name: str) -> None:
        if self._editorNode is not None:
            self._editorNode.SetActiveEffectName(name if name in self._effects else "")
            self.updateWidgetFromMRML()

    segmentationNodeSelectorVisible = stored(bool, True, "_showSelectors")
    sourceVolumeNodeSelectorVisible = stored(bool, True, "_showSelectors")
    masterVolumeNodeSelectorVisible = stored(bool, True)

    def _showSelectors(self) -> None:
        self._segmentations.setVisible(self.segmentationNodeSelectorVisible)
        self._volumes.setVisible(self.sourceVolumeNodeSelectorVisible)

    maskingSectionVisible = stored(bool, True)
    specifyGeometryButtonVisible = stored(bool, True)
    show3DButtonVisible = stored(bool, True)
    addRemoveSegmentButtonsVisible = stored(bool, True)
    autoShowSourceVolumeNode = stored(bool, True)
    autoShowMasterVolumeNode = stored(bool, True)
    switchToSegmentationsButtonVisible = stored(bool, True)
    undoEnabled = stored(bool, True)
    maximumNumberOfUndoStates = stored(int, 10)
    readOnly = stored(bool, False)
    effectButtonStyle = stored(object, QtCore.Qt.ToolButtonStyle.ToolButtonIconOnly)
    effectColumnCount = stored(int, 2)
    unorderedEffectsVisible = stored(bool, True)
    defaultTerminologyEntrySettingsKey = stored(str, "")
    defaultTerminologyEntry = stored(str, "")
    jumpToSelectedSegmentEnabled = stored(bool, False)


def _recorded(name: str, result: Any = None) -> Any:
    def call(self: qMRMLSegmentEditorWidget, *_arguments: Any) -> Any:
        self.recordedCalls.append(name)
        return result

    call.__name__ = name
    return call


for _name in (
    "undo", "redo", "saveStateForUndo", "installKeyboardShortcuts", "uninstallKeyboardShortcuts", "hideLabelLayer",
    "updateEffectList", "showSourceVolumeInSliceViewers", "showMasterVolumeInSliceViewers", "setupViewObservations",
    "rotateSliceViewsToSegmentation", "jumpSlices", "removeViewObservations", "toggleSourceVolumeIntensityMaskEnabled",
    "toggleMasterVolumeIntensityMaskEnabled", "setEffectCursor", "segmentationNodeSelectorAddAttribute",
    "segmentationNodeSelectorRemoveAttribute", "sourceVolumeNodeSelectorAddAttribute", "setInteractionNode",
    "sourceVolumeNodeSelectorRemoveAttribute", "masterVolumeNodeSelectorAddAttribute", "interactionNode",
    "masterVolumeNodeSelectorRemoveAttribute", "updateVolume",
):  # fmt: skip
    setattr(qMRMLSegmentEditorWidget, _name, _recorded(_name))
qMRMLSegmentEditorWidget.turnOffLightboxes = _recorded("turnOffLightboxes", False)  # type: ignore[attr-defined]
