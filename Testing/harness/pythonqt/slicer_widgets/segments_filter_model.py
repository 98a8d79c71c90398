"""`qMRMLSortFilterSegmentsProxyModel`: which segments the table shows."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore

from Testing.harness.pythonqt.declaring import stored
from Testing.harness.pythonqt.implementations import implements
from Testing.harness.pythonqt.slicer_widgets.segments_model import NAME, SEGMENT_ID, STATE, STATUS


@implements
class qMRMLSortFilterSegmentsProxyModel(QtCore.QSortFilterProxyModel):
    filterModified = QtCore.Signal()

    def __init__(self, parent: QtCore.QObject | None = None) -> None:
        super().__init__(parent)
        self._hidden: list[str] = []
        self._shownStates: set[int] = set()

    def _refilter(self) -> None:
        self.invalidate()
        self.filterModified.emit()

    filterEnabled = stored(bool, False, "_refilter")
    nameFilter = stored(str, "", "_refilter")
    textFilter = stored(str, "", "_refilter")

    def setFilterEnabled(self, enabled: bool) -> None:
        self.filterEnabled = enabled

    def setNameFilter(self, text: str) -> None:
        self.nameFilter = text

    def setTextFilter(self, text: str) -> None:
        self.textFilter = text

    def segmentationNode(self) -> Any:
        return self.sourceModel().segmentationNode()

    def setHideSegments(self, segmentIDs: list[str]) -> None:
        self._hidden = list(segmentIDs)
        self._refilter()

    def hideSegments(self) -> list[str]:
        return list(self._hidden)

    def showStatus(self, status: int) -> bool:
        return status in self._shownStates

    def setShowStatus(self, status: int, shown: bool) -> None:
        (self._shownStates.add if shown else self._shownStates.discard)(status)
        self._refilter()

    def segmentIDFromIndex(self, index: QtCore.QModelIndex) -> str:
        return str(index.data(SEGMENT_ID) or "") if index.isValid() else ""

    def indexFromSegmentID(self, segmentID: str, column: int = 0) -> QtCore.QModelIndex:
        for row in range(self.rowCount()):
            if self.index(row, 0).data(SEGMENT_ID) == segmentID:
                return self.index(row, column)
        return QtCore.QModelIndex()

    def filterAcceptsRow(self, row: int, parent: QtCore.QModelIndex | QtCore.QPersistentModelIndex) -> bool:
        model = self.sourceModel()
        if model.index(row, 0, parent).data(SEGMENT_ID) in self._hidden:
            return False
        name = str(model.index(row, NAME, parent).data() or "").lower()
        if self.textFilter.lower() not in name or self.nameFilter.lower() not in name:
            return False
        return not self._shownStates or model.index(row, STATE, parent).data(STATUS) in self._shownStates
