"""The buttons that are pressed all the time: place inside, place outside, undo, redo, delete, clear.

The names of edits, as the scene gives them, in the user's language.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import qt
from slicer.i18n import tr as _

from MemorizingSAM3DLib.scene.points.markups import NEGATIVE_COLOR, POSITIVE_COLOR
from MemorizingSAM3DLib.ui.controls import Connections, setAvailable
from MemorizingSAM3DLib.ui.error_line import icon
from MemorizingSAM3DLib.ui.panel.segment_list import segmentName
from MemorizingSAM3DLib.ui.panel.shortcuts import withKey
from MemorizingSAM3DLib.ui.panel.status_bar import Notices

if TYPE_CHECKING:
    from MemorizingSAM3DLib.scene.click_controller import ClickController


def editName(name: str) -> str:
    """The translated name of an edit, which may be followed by a segment in brackets. What is not known stays."""
    kind, bracket, segment = name.partition(" (")
    translated = {
        "Add point": _("Add point"),
        "Add points": _("Add points"),
        "Move point": _("Move point"),
        "Turn point": _("Turn point"),
        "Delete point": _("Delete point"),
        "Delete points": _("Delete points"),
        "Clear points": _("Clear points"),
        "Change points": _("Change points"),
        "Change by hand": _("Change by hand"),
    }.get(kind, kind)
    return translated + bracket + segment


# Black on both colours has a contrast above 5:1; white would not.
_PRESSED = "QPushButton:checked { background-color: %s; color: black; font-weight: bold; border-radius: 4px; }"
_TEXT_WIDTH = 116  # pixels for the text of undo and redo, so that a long one does not widen the panel


class ClickBar:
    """Starts and ends placing, and edits the history of points. Shows at any time what the next click will do."""

    def __init__(self, ui: Any, controller: ClickController, notices: Notices) -> None:
        self._ui = ui
        self._controller = controller
        self._notices = notices
        self._connections = Connections()
        for button, name in ((ui.insideButton, "Inside"), (ui.outsideButton, "Outside"), (ui.undoButton, "Undo"),
                             (ui.redoButton, "Redo"), (ui.deleteLastButton, "DeleteLast"),
                             (ui.clearButton, "Clear")):  # fmt: skip
            button.icon = icon(name)
        ui.insideButton.setStyleSheet(_PRESSED % _hexadecimal(POSITIVE_COLOR))
        ui.outsideButton.setStyleSheet(_PRESSED % _hexadecimal(NEGATIVE_COLOR))
        # Room for two lines whatever it says, so that the buttons below never jump away from under the mouse.
        ui.hintLabel.setMinimumHeight(2 * ui.hintLabel.fontMetrics().lineSpacing())
        connect = self._connections.toWidget
        connect(ui.insideButton, "clicked(bool)", lambda checked: self._place(True, checked))
        connect(ui.outsideButton, "clicked(bool)", lambda checked: self._place(False, checked))
        connect(ui.undoButton, "clicked()", lambda: notices.run(controller.undo))
        connect(ui.redoButton, "clicked()", lambda: notices.run(controller.redo))
        connect(ui.deleteLastButton, "clicked()", lambda: notices.run(controller.removeLastPoint))
        connect(ui.clearButton, "clicked()", lambda: notices.run(controller.clearPoints))
        for signal in (controller.inputsChanged, controller.segmentsChanged, controller.pointsChanged,
                       controller.placingChanged):  # fmt: skip
            self._connections.toSignal(signal, self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Shows what the controller can do now."""
        ui, controller = self._ui, self._controller
        placing = controller.placing
        ui.insideButton.checked = placing is True
        ui.outsideButton.checked = placing is False
        reason = self._whyNotEdit()
        inside = _("Start placing points inside the object, in any view; every point segments at once. Press again to "
                   "stop.")  # fmt: skip
        outside = _("Start placing points outside the object, where the segment is too large. Press again to stop.")
        setAvailable(ui.insideButton, withKey(inside, "inside"), reason)
        setAvailable(ui.outsideButton, withKey(outside, "outside"), reason)
        self._refreshHistory()
        reason = reason or (None if controller.points else _("The segment has no points yet."))
        last = _("Delete the point that was placed last, and segment without it.")
        setAvailable(ui.deleteLastButton, withKey(last, "deleteLast"), reason)
        setAvailable(ui.clearButton, _("Delete all points of the segment. Undo brings them back."), reason)
        ui.hintLabel.setText(self._hint())

    def close(self) -> None:
        """Listens no more."""
        self._connections.close()

    def _place(self, positive: bool, start: bool) -> None:
        controller = self._controller
        self._notices.run(lambda: controller.startPlacing(positive) if start else controller.stopPlacing())
        self.refresh()  # the click has toggled the button, whether or not placing started

    def _refreshHistory(self) -> None:
        ui, controller = self._ui, self._controller
        undo = editName(controller.undoText) if controller.canUndo else ""
        redo = editName(controller.redoText) if controller.canRedo else ""
        does = _("Take back the last edit of points, in whichever segment it was made.")
        if undo:
            does = _("Take back the last edit of points, in whichever segment it was made: {edit}.").format(edit=undo)
        reason = None if undo else _("There is nothing to undo yet.")
        setAvailable(ui.undoButton, withKey(does, "undo"), reason)
        does = _("Make the edit again that was taken back last.")
        if redo:
            does = _("Make the edit again that was taken back last: {edit}.").format(edit=redo)
        reason = None if redo else _("There is nothing to redo: nothing was undone.")
        setAvailable(ui.redoButton, withKey(does, "redo"), reason)
        ui.undoButton.text = self._shortened(ui.undoButton, _("Undo: {edit}").format(edit=undo) if undo else _("Undo"))
        ui.redoButton.text = self._shortened(ui.redoButton, _("Redo: {edit}").format(edit=redo) if redo else _("Redo"))

    @staticmethod
    def _shortened(button: Any, text: str) -> str:
        """Without the segment's name, which the tooltip has."""
        return str(button.fontMetrics().elidedText(text.partition(" (")[0], qt.Qt.ElideRight, _TEXT_WIDTH))

    def _whyNotEdit(self) -> str | None:
        controller = self._controller
        if controller.scanNode is None:
            return _("Choose a scan first.")
        if controller.isLocked(controller.selectedSegmentID):
            return _("The segment '{name}' is locked. Press Lock to unlock it, or choose another segment.").format(
                name=segmentName(controller.segmentationNode, controller.selectedSegmentID)
            )
        return None

    def _hint(self) -> str:
        controller = self._controller
        if controller.scanNode is None:
            return _("Choose a scan to begin. Load one with Slicer's Add Data if the list is empty.")
        if controller.isLocked(controller.selectedSegmentID):
            return _("This segment is locked: clicks do not change it.")
        if controller.placing is True:
            return _("Click inside the object in any slice view. Every click segments at once.")
        if controller.placing is False:
            return _("Click on what should not belong to the segment.")
        if not controller.points:
            return _("Press Inside (+), then click into the object in a slice view.")
        return _(
            "Add Inside (+) where something is missing, Outside (\N{MINUS SIGN}) where there is too much. Drag to move."
        )


def _hexadecimal(color: tuple[float, float, float]) -> str:
    return "#" + "".join(f"{round(255 * channel):02x}" for channel in color)
