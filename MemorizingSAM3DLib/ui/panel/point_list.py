"""The points of the selected segment, one row each, with what can be done to a single one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import qt
from slicer.i18n import tr as _

from MemorizingSAM3DLib.ui.controls import Connections, setAvailable
from MemorizingSAM3DLib.ui.error_line import icon
from MemorizingSAM3DLib.ui.panel.status_bar import Notices

if TYPE_CHECKING:
    from MemorizingSAM3DLib.scene.click_controller import ClickController
    from MemorizingSAM3DLib.scene.points.point_lists import Point


_NUMBER, _SIGN = 0, 1
_COORDINATES = (2, 3, 4)


class PointList:
    """A table in click order. A row is a point's number, so a selection survives a drag and an added point."""

    def __init__(self, ui: Any, controller: ClickController, notices: Notices) -> None:
        self._ui = ui
        self._controller = controller
        self._notices = notices
        self._connections = Connections()
        self._icons = {True: icon("Inside"), False: icon("Outside")}
        self._prepareTable()
        ui.togglePointButton.icon = icon("Toggle")
        ui.deletePointButton.icon = icon("DeleteLast")
        ui.jumpToPointButton.icon = icon("Jump")
        connect = self._connections.toWidget
        connect(ui.pointTable, "itemSelectionChanged()", self._refreshButtons)
        connect(ui.pointTable, "cellDoubleClicked(int,int)", lambda row: self._do(controller.jumpToPoint, row))
        connect(ui.togglePointButton, "clicked()", lambda: self._do(controller.togglePoint))
        connect(ui.deletePointButton, "clicked()", lambda: self._do(controller.removePoint))
        connect(ui.jumpToPointButton, "clicked()", lambda: self._do(controller.jumpToPoint))
        for signal in (controller.inputsChanged, controller.segmentsChanged, controller.pointsChanged):
            self._connections.toSignal(signal, self.refresh)
        self.refresh()

    @property
    def selectedNumber(self) -> int | None:
        """The number of the selected point."""
        rows = {item.row() for item in self._ui.pointTable.selectedItems()}
        return min(rows) if rows else None

    def refresh(self) -> None:
        """Shows the controller's points."""
        points = self._controller.points
        table = self._ui.pointTable
        selected = self.selectedNumber
        table.setRowCount(len(points))
        for row, point in enumerate(points):
            self._fill(row, point)
        if selected is not None and selected >= len(points):
            table.clearSelection()
        title = _("Points ({number})").format(number=len(points)) if points else _("Points")
        self._ui.pointsSection.text = title
        self._refreshButtons()

    def close(self) -> None:
        """Listens no more."""
        self._connections.close()

    def _prepareTable(self) -> None:
        table = self._ui.pointTable
        table.verticalHeader().setVisible(False)
        table.verticalHeader().setDefaultSectionSize(table.fontMetrics().height() + 6)
        header = table.horizontalHeader()
        header.setSectionResizeMode(qt.QHeaderView.Stretch)
        for column in (_NUMBER, _SIGN):
            header.setSectionResizeMode(column, qt.QHeaderView.ResizeToContents)

    def _fill(self, row: int, point: Point) -> None:
        # Rows are kept and rewritten: while a point is dragged this is called at every move of the mouse.
        table = self._ui.pointTable
        sign = _("+ inside") if point.positive else _("\N{MINUS SIGN} outside")
        texts = [str(point.number + 1), sign, *(f"{value:.1f}" for value in point.ras)]
        for column, text in enumerate(texts):
            item = table.item(row, column)
            if item is None:
                item = qt.QTableWidgetItem()
                if column in (_NUMBER, *_COORDINATES):
                    item.setData(qt.Qt.TextAlignmentRole, int(qt.Qt.AlignRight | qt.Qt.AlignVCenter))
                table.setItem(row, column, item)
            if item.text() != text:
                item.setText(text)
                if column == _SIGN:
                    item.setIcon(self._icons[point.positive])

    def _refreshButtons(self) -> None:
        ui, controller = self._ui, self._controller
        number = self.selectedNumber
        reason = None
        if not controller.points:
            reason = _("The segment has no points yet.")
        elif number is None:
            reason = _("Select a point in the list first.")
        setAvailable(ui.jumpToPointButton, _("Show the selected point in the slice views."), reason)
        if reason is None and controller.isLocked(controller.selectedSegmentID):
            reason = _("The segment is locked. Press Lock to unlock it.")
        does = _("Make an inside point an outside point, or the other way round, and segment again.")
        setAvailable(ui.togglePointButton, does, reason)
        setAvailable(ui.deletePointButton, _("Delete the selected point, and segment without it."), reason)

    def _do(self, action: Callable[[int], object], number: int | None = None) -> None:
        number = self.selectedNumber if number is None else number
        if number is not None:
            self._notices.run(lambda: action(number))
