"""`qMRMLSegmentsModel`: the rows of the segments table, kept equal to a segmentation node."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtGui

from Testing.harness.pythonqt.implementations import implements
from Testing.harness.pythonqt.observing import Observations
from Testing.harness.pythonqt.slicer_widgets.segment_icons import statusIcon, visibilityIcon

SEGMENT_ID = QtCore.Qt.ItemDataRole.UserRole + 1
STATUS = QtCore.Qt.ItemDataRole.UserRole + 4
VISIBILITY, COLOR, OPACITY, NAME, LAYER, STATE = range(6)
STATES = ("Not started", "In progress", "Completed", "Flagged")


@implements
class qMRMLSegmentsModel(QtGui.QStandardItemModel):
    segmentAboutToBeModified = QtCore.Signal(str)
    requestSelectItems = QtCore.Signal(list)

    def __init__(self, parent: QtCore.QObject | None = None) -> None:
        super().__init__(0, 6, parent)
        self._node: Any = None
        self._observations = Observations(self)
        self._updating = False
        self.setHorizontalHeaderLabels(["", "", "Opacity", "Name", "Layer", ""])
        self.horizontalHeaderItem(VISIBILITY).setIcon(visibilityIcon(True))
        self.itemChanged.connect(self._onItemChanged)

    nameColumn = QtCore.Property(int, lambda self: NAME)
    visibilityColumn = QtCore.Property(int, lambda self: VISIBILITY)
    colorColumn = QtCore.Property(int, lambda self: COLOR)
    opacityColumn = QtCore.Property(int, lambda self: OPACITY)
    statusColumn = QtCore.Property(int, lambda self: STATE)
    layerColumn = QtCore.Property(int, lambda self: LAYER)

    def segmentationNode(self) -> Any:
        return self._node

    def setSegmentationNode(self, node: Any) -> None:
        import slicer

        if node is self._node:
            return
        self._observations.removeAll()
        self._node = node
        self.removeRows(0, self.rowCount())
        if node is None:
            return
        self.update(node)
        events = slicer.vtkSegmentation
        for event in (
            events.SegmentAdded,
            events.SegmentRemoved,
            events.SegmentModified,
            events.SegmentsOrderModified,
            slicer.vtkMRMLDisplayableNode.DisplayModifiedEvent,
        ):
            self._observations.add(node, event, self.update)

    def rowOf(self, segmentID: str) -> int:
        for row in range(self.rowCount()):
            if self.item(row).data(SEGMENT_ID) == segmentID:
                return row
        return -1

    def update(self, _caller: Any = None) -> None:
        """Removes, inserts and rewrites rows; a row that stays keeps its selection."""
        wanted = list(self._node.GetSegmentation().GetSegmentIDs())
        for row in reversed(range(self.rowCount())):
            if self.item(row).data(SEGMENT_ID) not in wanted:
                self.removeRow(row)
        for row, segmentID in enumerate(wanted):
            present = self.rowOf(segmentID)
            if present < 0:
                self.insertRow(row, [self._newItem(segmentID, column) for column in range(6)])
            elif present != row:
                self.insertRow(row, self.takeRow(present))
        self._updating = True
        for segmentID in wanted:
            self._write(segmentID)
        self._updating = False

    @staticmethod
    def _newItem(segmentID: str, column: int) -> QtGui.QStandardItem:
        item = QtGui.QStandardItem()
        item.setData(segmentID, SEGMENT_ID)
        flag = QtCore.Qt.ItemFlag
        flags = flag.ItemIsEnabled | flag.ItemIsSelectable
        item.setFlags(flags | flag.ItemIsEditable if column in (COLOR, OPACITY, NAME) else flags)
        return item

    def _write(self, segmentID: str) -> None:
        import slicer

        row, segmentation = self.rowOf(segmentID), self._node.GetSegmentation()
        segment, display = segmentation.GetSegment(segmentID), self._node.GetDisplayNode()
        self.item(row, NAME).setText(segment.GetName() or "")
        color = QtGui.QColor.fromRgbF(*segment.GetColor())
        self.item(row, COLOR).setData(color, QtCore.Qt.ItemDataRole.DecorationRole)
        self.item(row, COLOR).setToolTip(self.terminologyTooltipForSegment(segment))
        if display is not None:
            self.item(row, VISIBILITY).setIcon(visibilityIcon(bool(display.GetSegmentVisibility(segmentID))))
            self.item(row, OPACITY).setText(f"{display.GetSegmentOpacity3D(segmentID):.2f}")
        representation = slicer.vtkSegmentationConverter.GetBinaryLabelmapRepresentationName()
        self.item(row, LAYER).setText(str(segmentation.GetLayerIndex(segmentID, representation)))
        status = slicer.vtkSlicerSegmentationsModuleLogic.GetSegmentStatus(segment)
        item = self.item(row, STATE)
        if item.data(STATUS) != status:
            item.setData(status, STATUS)
            item.setIcon(statusIcon(status))
            item.setToolTip(STATES[status] if 0 <= status < len(STATES) else "")

    def _onItemChanged(self, item: QtGui.QStandardItem) -> None:
        segmentID = item.data(SEGMENT_ID)
        if self._updating or self._node is None or not segmentID:
            return
        segment = self._node.GetSegmentation().GetSegment(segmentID)
        if segment is None:
            return
        text = item.text()  # taken now: each change of the segment writes the row anew
        if item.column() == NAME and text != segment.GetName():
            self.segmentAboutToBeModified.emit(segmentID)
            segment.SetName(text)
            segment.SetNameAutoGenerated(False)
        elif item.column() == COLOR:
            color = item.data(QtCore.Qt.ItemDataRole.DecorationRole)
            if color != QtGui.QColor.fromRgbF(*segment.GetColor()):
                self.segmentAboutToBeModified.emit(segmentID)
                segment.SetColor(color.redF(), color.greenF(), color.blueF())
        elif item.column() == OPACITY:
            self._node.GetDisplayNode().SetSegmentOpacity3D(segmentID, float(text))

    def terminologyTooltipForSegment(self, segment: Any) -> str:
        """The parts of the terminology entry in words."""
        from vtkmodules.vtkCommonCore import reference

        entry = reference("")
        name = segment.GetTerminologyEntryTagName()
        if not segment.GetTag(name, entry):
            return "No terminology information"
        parts = [part.split("^")[2] for part in str(entry).split("~") if part.count("^") == 2]
        return ", ".join(part for part in parts if part)
