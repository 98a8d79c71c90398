"""`qMRMLSegmentsTableView`: the segments of a segmentation node, to select, rename, colour, show and hide."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtWidgets

from Testing.harness.pythonqt.declaring import forwarded, stored
from Testing.harness.pythonqt.implementations import implements
from Testing.harness.pythonqt.slicer_widgets import segments_model as columns
from Testing.harness.pythonqt.slicer_widgets.mrml_widget import qMRMLWidget
from Testing.harness.pythonqt.slicer_widgets.segments_filter_model import qMRMLSortFilterSegmentsProxyModel
from Testing.harness.pythonqt.slicer_widgets.segments_model import STATUS, qMRMLSegmentsModel


def _column(number: int) -> Any:
    def read(self: qMRMLSegmentsTableView) -> bool:
        return not self._table.isColumnHidden(number)

    def write(self: qMRMLSegmentsTableView, visible: bool) -> None:
        self._table.setColumnHidden(number, not visible)

    return QtCore.Property(bool, read, write)


@implements
class qMRMLSegmentsTableView(qMRMLWidget):
    """Not imitated: the terminology selector that a double click on a colour opens."""

    selectionChanged = QtCore.Signal(QtCore.QItemSelection, QtCore.QItemSelection)
    segmentAboutToBeModified = QtCore.Signal(str)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._model = qMRMLSegmentsModel(self)
        self._proxy = qMRMLSortFilterSegmentsProxyModel(self)
        self._proxy.setSourceModel(self._model)
        self._table = QtWidgets.QTableView(self)
        self._table.setObjectName("SegmentsTable")
        self._table.setModel(self._proxy)
        self._filterBar = QtWidgets.QLineEdit(self)
        self._filterBar.setPlaceholderText("Filter by name...")
        self._filterBar.hide()
        self._filterBar.textChanged.connect(self._proxy.setTextFilter)
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._table)
        layout.addWidget(self._filterBar)
        self._arrangeTable()
        self._model.segmentAboutToBeModified.connect(self.segmentAboutToBeModified)
        self._table.clicked.connect(self._onClicked)
        self._table.selectionModel().selectionChanged.connect(self._onSelectionChanged)

    def _arrangeTable(self) -> None:
        table, resize = self._table, QtWidgets.QHeaderView.ResizeMode
        table.setSelectionBehavior(QtWidgets.QAbstractItemView.SelectionBehavior.SelectRows)
        table.verticalHeader().hide()
        table.verticalHeader().setDefaultSectionSize(self.fontMetrics().height() + 8)
        header = table.horizontalHeader()
        header.setMinimumSectionSize(20)
        header.setSectionResizeMode(resize.ResizeToContents)
        header.setSectionResizeMode(columns.NAME, resize.Stretch)
        header.moveSection(columns.STATE, columns.NAME)
        table.setColumnHidden(columns.LAYER, True)
        table.setColumnHidden(columns.STATE, True)
        self._setReadOnly(False)

    # --- segmentation

    def segmentationNode(self) -> Any:
        return self._model.segmentationNode()

    def setSegmentationNode(self, node: Any) -> None:
        isSegmentation = node is not None and node.IsA("vtkMRMLSegmentationNode")
        self._model.setSegmentationNode(node if isSegmentation else None)

    def setMRMLScene(self, scene: Any) -> None:
        node = self.segmentationNode()
        if node is not None and scene is not node.GetScene():
            self.setSegmentationNode(None)
        super().setMRMLScene(scene)

    def model(self) -> qMRMLSegmentsModel:
        return self._model

    def sortFilterProxyModel(self) -> qMRMLSortFilterSegmentsProxyModel:
        return self._proxy

    def tableWidget(self) -> QtWidgets.QTableView:
        return self._table

    # --- selection

    def _onSelectionChanged(self, selected: Any, deselected: Any) -> None:
        self.selectionChanged.emit(selected, deselected)
        if self.jumpToSelectedSegmentEnabled:
            self.jumpSlices()

    def selectedSegmentIDs(self) -> list[str]:
        rows = self._table.selectionModel().selectedRows()
        return [self._proxy.segmentIDFromIndex(index) for index in sorted(rows, key=lambda index: index.row())]

    def setSelectedSegmentIDs(self, segmentIDs: list[str]) -> None:
        """Unknown IDs are left out. Nothing is emitted when the selection is the same already."""
        chosen, selection = [], QtCore.QItemSelection()
        for segmentID in segmentIDs:
            index = self._proxy.indexFromSegmentID(segmentID)
            if index.isValid():
                chosen.append(index)
                selection.select(index, index)
        flags = QtCore.QItemSelectionModel.SelectionFlag
        model = self._table.selectionModel()
        if chosen:
            model.setCurrentIndex(chosen[0], flags.NoUpdate)
        model.select(selection, flags.ClearAndSelect | flags.Rows)

    def clearSelection(self) -> None:
        self._table.clearSelection()

    def displayedSegmentIDs(self) -> list[str]:
        return [self.segmentIDForRow(row) for row in range(self._proxy.rowCount())]

    def rowForSegmentID(self, segmentID: str) -> int:
        return self._proxy.indexFromSegmentID(segmentID).row()

    def segmentIDForRow(self, row: int) -> str:
        return self._proxy.segmentIDFromIndex(self._proxy.index(row, 0))

    def setHideSegments(self, segmentIDs: list[str]) -> None:
        self._proxy.setHideSegments(segmentIDs)

    def hideSegments(self) -> list[str]:
        return self._proxy.hideSegments()

    # --- what a click does

    def _onClicked(self, index: QtCore.QModelIndex) -> None:
        segmentID = self._proxy.segmentIDFromIndex(index)
        display = self.segmentationNode().GetDisplayNode()
        if index.column() == columns.VISIBILITY and display is not None:
            display.SetSegmentVisibility(segmentID, not display.GetSegmentVisibility(segmentID))
        elif index.column() == columns.STATE:
            self._setStatus([segmentID], ((index.data(STATUS) or 0) + 1) % len(columns.STATES))

    def _setStatus(self, segmentIDs: list[str], status: int) -> None:
        import slicer

        segmentation = self.segmentationNode().GetSegmentation()
        for segmentID in segmentIDs:
            logic = slicer.vtkSlicerSegmentationsModuleLogic
            logic.SetSegmentStatus(segmentation.GetSegment(segmentID), status)

    def setSelectedSegmentsStatus(self, status: int = -1) -> None:
        self._setStatus(self.selectedSegmentIDs(), max(status, 0))

    def showOnlySelectedSegments(self) -> None:
        self.segmentationNode().GetDisplayNode().ShowOnlySegments(self.selectedSegmentIDs())

    def toggleSelectedSegmentsVisibility(self) -> None:
        display, chosen = self.segmentationNode().GetDisplayNode(), self.selectedSegmentIDs()
        visible = not all(display.GetSegmentVisibility(segmentID) for segmentID in chosen)
        for segmentID in chosen:
            display.SetSegmentVisibility(segmentID, visible)

    def clearSelectedSegments(self) -> None:
        import slicer

        for segmentID in self.selectedSegmentIDs():
            segment = self.segmentationNode().GetSegmentation().GetSegment(segmentID)
            slicer.vtkSlicerSegmentationsModuleLogic.ClearSegment(self.segmentationNode(), segmentID)
            slicer.vtkSlicerSegmentationsModuleLogic.SetSegmentStatus(segment, 0)

    def _move(self, by: int) -> None:
        segmentation, chosen = self.segmentationNode().GetSegmentation(), self.selectedSegmentIDs()
        for segmentID in chosen if by < 0 else reversed(chosen):
            index = segmentation.GetSegmentIndex(segmentID) + by
            if 0 <= index < segmentation.GetNumberOfSegments():
                segmentation.SetSegmentIndex(segmentID, index)
        self.setSelectedSegmentIDs(chosen)

    def moveSelectedSegmentsUp(self) -> None:
        self._move(-1)

    def moveSelectedSegmentsDown(self) -> None:
        self._move(1)

    def jumpSlices(self) -> None:
        """Moves the slice views to the centre of the first selected segment."""
        chosen, scene = self.selectedSegmentIDs(), self.mrmlScene()
        if not chosen or scene is None:
            return
        center = self.segmentationNode().GetSegmentCenterRAS(chosen[0])
        for number in range(scene.GetNumberOfNodesByClass("vtkMRMLSliceNode")):
            if center is not None:
                scene.GetNthNodeByClass(number, "vtkMRMLSliceNode").JumpSliceByCentering(*center)

    def terminologyTooltipForSegment(self, segment: Any) -> str:
        return self._model.terminologyTooltipForSegment(segment)

    def statusShown(self, status: int) -> bool:
        return self._proxy.showStatus(status)

    def setStatusShown(self, status: int, shown: bool) -> None:
        self._proxy.setShowStatus(status, shown)

    # --- looks

    def _setReadOnly(self, readOnly: bool) -> None:
        self._readOnly = readOnly
        trigger = QtWidgets.QAbstractItemView.EditTrigger
        triggers = trigger.NoEditTriggers if readOnly else trigger.DoubleClicked | trigger.EditKeyPressed
        self._table.setEditTriggers(triggers)

    def _setSelectionMode(self, mode: int) -> None:
        self._table.setSelectionMode(QtWidgets.QAbstractItemView.SelectionMode(mode))

    def _setHeaderVisible(self, visible: bool) -> None:
        self._table.horizontalHeader().setVisible(visible)

    def _setFilterBarVisible(self, visible: bool) -> None:
        self._filterBar.setVisible(visible)

    selectionMode = QtCore.Property(int, lambda self: self._table.selectionMode().value, _setSelectionMode)
    headerVisible = QtCore.Property(bool, lambda self: not self._table.horizontalHeader().isHidden(), _setHeaderVisible)
    visibilityColumnVisible = _column(columns.VISIBILITY)
    colorColumnVisible = _column(columns.COLOR)
    opacityColumnVisible = _column(columns.OPACITY)
    statusColumnVisible = _column(columns.STATE)
    layerColumnVisible = _column(columns.LAYER)
    readOnly = QtCore.Property(bool, lambda self: self._readOnly, _setReadOnly)
    filterBarVisible = QtCore.Property(bool, lambda self: not self._filterBar.isHidden(), _setFilterBarVisible)
    textFilter = forwarded(str, "_filterBar", "text", "setText")
    segmentCount = QtCore.Property(int, lambda self: self._proxy.rowCount())
    jumpToSelectedSegmentEnabled = stored(bool, False)
    useTerminologySelectorSettingsKey = stored(str, "")
    useTerminologySelector = stored(bool, True)
    terminologySelectorOptionVisible = stored(bool, False)
    terminologySelectorAutoDisable = stored(bool, False)
