"""`qMRMLSegmentSelectorWidget`: a segmentation and one or more of its segments."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from Testing.harness.pythonqt.ctk_widgets.combo_box import ctkComboBox
from Testing.harness.pythonqt.declaring import passed, stored
from Testing.harness.pythonqt.implementations import implements
from Testing.harness.pythonqt.slicer_widgets.mrml_widget import qMRMLWidget
from Testing.harness.pythonqt.slicer_widgets.node_combo_box import qMRMLNodeComboBox


@implements
class qMRMLSegmentSelectorWidget(qMRMLWidget):
    """With `multiSelection` the entries of the list have check marks."""

    currentNodeChanged = QtCore.Signal((object,), (bool,))
    currentSegmentChanged = QtCore.Signal(str)
    segmentSelectionChanged = QtCore.Signal("QStringList")
    nodeAboutToBeEdited = QtCore.Signal(object)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._selector = qMRMLNodeComboBox(self)
        self._selector.nodeTypes = ["vtkMRMLSegmentationNode"]
        for option in ("addEnabled", "removeEnabled"):
            setattr(self._selector, option, False)
        self._segments = ctkComboBox(self)
        self._segments.defaultText = "Select a segment"
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._selector)
        layout.addWidget(self._segments)
        self._filling = False
        self._selector.currentNodeChanged.connect(self._onNodeChanged)
        self._selector.nodeAboutToBeEdited.connect(self.nodeAboutToBeEdited)
        self._segments.currentIndexChanged.connect(self._onSegment)
        self._segments.model().itemChanged.connect(self._onChecked)
        self._observed: Any = None

    def setMRMLScene(self, scene: Any) -> None:
        super().setMRMLScene(scene)
        self._selector.setMRMLScene(scene)

    def currentNode(self) -> Any:
        return self._selector.currentNode()

    def currentNodeID(self) -> str:
        return str(self._selector.currentNodeID)

    def setCurrentNode(self, node: Any) -> None:
        self._selector.setCurrentNode(node)

    def setCurrentNodeID(self, nodeID: str) -> None:
        self._selector.setCurrentNodeID(nodeID)

    def segmentIDs(self) -> list[str]:
        node = self.currentNode()
        return list(node.GetSegmentation().GetSegmentIDs()) if node is not None else []

    def currentSegmentID(self) -> str:
        return str(self._segments.currentData() or "")

    def setCurrentSegmentID(self, segmentID: str) -> None:
        self._segments.setCurrentIndex(self._segments.findData(segmentID) if segmentID else self._noneRow())

    def _noneRow(self) -> int:
        return 0 if self.noneEnabled else -1

    def selectedSegmentIDs(self) -> list[str]:
        if not self.multiSelection:
            return [self.currentSegmentID()] if self.currentSegmentID() else []
        items = [self._segments.model().item(row) for row in range(self._segments.count())]
        checked = QtCore.Qt.CheckState.Checked
        return [item.data(QtCore.Qt.ItemDataRole.UserRole) for item in items if item.checkState() == checked]

    def setSelectedSegmentIDs(self, segmentIDs: list[str]) -> None:
        if not self.multiSelection:
            self.setCurrentSegmentID(segmentIDs[0] if segmentIDs else "")
            return
        states = QtCore.Qt.CheckState
        for row in range(self._segments.count()):
            item = self._segments.model().item(row)
            chosen = item.data(QtCore.Qt.ItemDataRole.UserRole) in segmentIDs
            item.setCheckState(states.Checked if chosen else states.Unchecked)

    def _onNodeChanged(self, node: Any) -> None:
        import slicer

        if self._observed is not None:
            self._observations.remove(self._observed)
        self._observed = node
        if node is not None:
            events = slicer.vtkSegmentation
            for event in (events.SegmentAdded, events.SegmentRemoved, events.SegmentModified):
                self._observations.add(node, event, self._fill)
        self._fill()
        self.currentNodeChanged.emit(node)
        self.currentNodeChanged[bool].emit(node is not None)

    def _fill(self, _caller: Any = None) -> None:
        current, selected = self.currentSegmentID(), self.selectedSegmentIDs()
        self._filling = True
        self._segments.clear()
        if self.noneEnabled and not self.multiSelection:
            self._segments.addItem("None", "")
        node = self.currentNode()
        for segmentID in self.segmentIDs():
            segment = node.GetSegmentation().GetSegment(segmentID)
            pixmap = QtGui.QPixmap(12, 12)
            pixmap.fill(QtGui.QColor.fromRgbF(*segment.GetColor()))
            self._segments.addItem(QtGui.QIcon(pixmap), segment.GetName() or "", segmentID)
        if self.multiSelection:
            self.setSelectedSegmentIDs(selected)
        row = self._segments.findData(current) if current else -1
        first = 0 if self._segments.count() else -1
        self._segments.setCurrentIndex(row if row >= 0 else first)
        self._filling = False
        if self.currentSegmentID() != current:
            self.currentSegmentChanged.emit(self.currentSegmentID())

    def _onSegment(self, _row: int) -> None:
        if not self._filling and not self.multiSelection:
            self.currentSegmentChanged.emit(self.currentSegmentID())

    def _onChecked(self, _item: Any) -> None:
        if not self._filling and self.multiSelection:
            self.segmentSelectionChanged.emit(self.selectedSegmentIDs())

    def _setSelectorVisible(self, visible: bool) -> None:
        self._selector.setVisible(visible)

    noneEnabled = stored(bool, False, "_fill")
    multiSelection = stored(bool, False, "_fill")
    horizontalLayout = stored(bool, False)
    editEnabled = passed(bool, "_selector", "editEnabled")
    segmentationNodeSelectorVisible = QtCore.Property(
        bool, lambda self: not self._selector.isHidden(), _setSelectorVisible
    )
    selectNodeUponCreation = passed(bool, "_selector", "selectNodeUponCreation")
