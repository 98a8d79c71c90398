"""The segments: select, add, remove, lock, show in 3D. Names, colours and visibility are left to Slicer's table.

What the panel has to know of a segment: its name, and whether anything would be lost with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import slicer
from slicer.i18n import tr as _

from MemorizingSAM3DLib.ui.controls import Connections, setAvailable
from MemorizingSAM3DLib.ui.error_line import icon
from MemorizingSAM3DLib.ui.panel.shortcuts import withKey
from MemorizingSAM3DLib.ui.panel.status_bar import Notices

if TYPE_CHECKING:
    from MemorizingSAM3DLib.scene.click_controller import ClickController


def segmentName(segmentationNode: Any, segmentID: str) -> str:
    """The segment's name; empty when there is no such segment."""
    segment = findSegment(segmentationNode, segmentID)
    return "" if segment is None else str(segment.GetName() or "")


def findSegment(segmentationNode: Any, segmentID: str) -> Any:
    """vtkSegment, or None."""
    if segmentationNode is None or segmentationNode.GetSegmentation() is None or not segmentID:
        return None
    return segmentationNode.GetSegmentation().GetSegment(segmentID)


def hasContent(segmentationNode: Any, segmentID: str) -> bool:
    """Whether the segment has any voxel or surface."""
    import slicer

    segment = findSegment(segmentationNode, segmentID)
    if segment is None:
        return False
    labelmap = segmentationNode.GetBinaryLabelmapInternalRepresentation(segmentID)
    if labelmap is not None:
        # Not the segment's bounds: those are of all segments that share its labelmap.
        if labelmap.GetNumberOfPoints() == 0 or labelmap.GetPointData().GetScalars() is None:
            return False
        voxels = slicer.util.arrayFromSegmentInternalBinaryLabelmap(segmentationNode, segmentID)
        return bool((voxels == segment.GetLabelValue()).any())
    bounds = [1.0, -1.0] * 3
    segment.GetBounds(bounds)
    return bounds[0] <= bounds[1]


class SegmentList:
    """Keeps Slicer's segment table and the controller's selected segment together."""

    def __init__(self, ui: Any, controller: ClickController, notices: Notices) -> None:
        self._ui = ui
        self._controller = controller
        self._notices = notices
        self._connections = Connections()
        self._updating = False
        ui.nextSegmentButton.icon = icon("NextSegment")
        ui.removeSegmentButton.icon = icon("RemoveSegment")
        connect = self._connections.toWidget
        connect(ui.segmentTable, "selectionChanged(QItemSelection,QItemSelection)", self._onTableSelection)
        connect(ui.nextSegmentButton, "clicked()", lambda: notices.run(controller.newSegment))
        connect(ui.removeSegmentButton, "clicked()", self._remove)
        connect(ui.lockSegmentButton, "clicked(bool)", self._lock)
        for signal in (controller.inputsChanged, controller.segmentsChanged, controller.pointsChanged):
            self._connections.toSignal(signal, self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Shows the controller's segmentation and its selected segment."""
        self._refreshTable()
        ui, controller = self._ui, self._controller
        segmentID = controller.selectedSegmentID
        isLocked = controller.isLocked(segmentID) if segmentID else False
        ui.lockSegmentButton.checked = isLocked
        ui.lockSegmentButton.text = _("Locked") if isLocked else _("Lock")
        ui.lockSegmentButton.icon = icon("Lock" if isLocked else "Unlock")
        does = _("Begin the next segment: adds one and selects it. Placing goes on.")
        reason = None if controller.scanNode is not None else _("Choose a scan first.")
        setAvailable(ui.nextSegmentButton, withKey(does, "nextSegment"), reason)
        reason = None if self._segmentExists() else _("Select a segment in the table first.")
        whyNotRemove = _("The segment is locked. Unlock it first.") if isLocked else reason
        setAvailable(ui.removeSegmentButton, _("Remove the selected segment with its points."), whyNotRemove)
        does = _("Protect the selected segment: clicks neither change it nor take voxels away from it.")
        setAvailable(ui.lockSegmentButton, does, reason)
        self._showLocked()
        hasSegments = bool(self._segmentIDs())
        reason = None if hasSegments else _("There is no segment to show yet.")
        setAvailable(ui.show3DButton, _("Show the segments as surfaces in the 3D view."), reason)

    def close(self) -> None:
        """Listens no more."""
        self._connections.close()

    def _refreshTable(self) -> None:
        ui, controller = self._ui, self._controller
        node, segmentID = controller.segmentationNode, controller.selectedSegmentID
        self._updating = True
        try:
            if ui.segmentTable.segmentationNode() is not node:
                ui.segmentTable.setSegmentationNode(node)
            if ui.show3DButton.segmentationNode() is not node:
                ui.show3DButton.setSegmentationNode(node)
            wanted = [segmentID] if self._segmentExists() else []
            if list(ui.segmentTable.selectedSegmentIDs()) != wanted:
                ui.segmentTable.setSelectedSegmentIDs(wanted)
        finally:
            self._updating = False

    def _onTableSelection(self) -> None:
        if self._updating:
            return
        selected = self._ui.segmentTable.selectedSegmentIDs()
        # An empty selection is what the table has while it rebuilds its rows; nobody asked for it.
        if selected and selected[0] != self._controller.selectedSegmentID:
            self._notices.run(lambda: self._controller.selectSegment(selected[0]))

    def _remove(self) -> None:
        controller = self._controller
        segmentID = controller.selectedSegmentID
        if hasContent(controller.segmentationNode, segmentID) or controller.points:
            question = _("Remove the segment '{name}'? It has content, which is lost with it.").format(
                name=segmentName(controller.segmentationNode, segmentID)
            )
            if not slicer.util.confirmYesNoDisplay(question, windowTitle=_("Remove segment")):
                return
        self._notices.run(lambda: controller.removeSegment(segmentID))

    def _lock(self, locked: bool) -> None:
        controller = self._controller
        self._notices.run(lambda: controller.setLocked(controller.selectedSegmentID, locked))
        self.refresh()  # the click has toggled the button, whether or not the segment could be locked

    def _segmentExists(self) -> bool:
        controller = self._controller
        return findSegment(controller.segmentationNode, controller.selectedSegmentID) is not None

    def _segmentIDs(self) -> tuple[str, ...]:
        node = self._controller.segmentationNode
        return () if node is None else tuple(node.GetSegmentation().GetSegmentIDs())

    def _showLocked(self) -> None:
        """Names the locked segments: Slicer's table has no column for them."""
        controller = self._controller
        locked = [segmentID for segmentID in self._segmentIDs() if controller.isLocked(segmentID)]
        names = ", ".join(segmentName(controller.segmentationNode, segmentID) for segmentID in locked)
        self._ui.lockedLabel.setText(_("Locked: {names}").format(names=names) if names else "")
        self._ui.lockedLabel.setVisible(bool(names))
