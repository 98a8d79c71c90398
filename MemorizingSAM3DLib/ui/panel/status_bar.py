"""The state of the work: model, device, last click, and what is being computed, with a way to stop it.

What the user must not miss: a lasting warning, and what went wrong last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

from MemorizingSAM3DLib.scene.segments.oriented_images import isOnOtherGrid
from MemorizingSAM3DLib.scene.segments.resampled_copy import resampleToScan
from MemorizingSAM3DLib.ui.controls import Connections, asToolTip, setAvailable
from MemorizingSAM3DLib.ui.error_line import FRAME, ICON_SIZE, ErrorLine, icon
from MemorizingSAM3DLib.ui.panel.shortcuts import withKey

if TYPE_CHECKING:
    from MemorizingSAM3DLib.scene.click_controller import ClickController

_AMBER = "#e69f00"


class Notices(ErrorLine):
    """The banner and the error line on top of the panel. An error stays until the user's next action."""

    def __init__(self, ui: Any, controller: ClickController) -> None:
        self._controller = controller
        super().__init__(ui)
        self._wasBusy = False
        ui.warningFrame.setStyleSheet(FRAME % ("warningFrame", _AMBER, _AMBER))
        ui.warningIcon.setPixmap(icon("Warning").pixmap(ICON_SIZE, ICON_SIZE))
        ui.resampleButton.toolTip = asToolTip(
            _("Make a copy of the segmentation on the grid of this scan and go on in it. The old one stays.")
        )
        self._connections.toWidget(ui.resampleButton, "clicked()", self._resample)
        self._connections.toSignal(controller.failed, self.showError)
        self._connections.toSignal(controller.statusChanged, self.refresh)
        self.refresh()

    def showError(self, message: str) -> None:
        """Shows the message until the next action, with a way on where there is one."""
        super().showError(message)
        node, scan = self._controller.segmentationNode, self._controller.scanNode
        self._ui.resampleButton.setVisible(bool(message) and isOnOtherGrid(node, scan))

    def _resample(self) -> None:
        self.run(lambda: resampleToScan(self._controller))

    def refresh(self) -> None:
        """Shows the warning of the controller's status."""
        status = self._controller.status
        self._ui.warningLabel.setText(status.warning or "")
        self._ui.warningFrame.setVisible(bool(status.warning))
        isBusy = status.busy is not None
        if isBusy and not self._wasBusy:
            self.clear()  # a click in a view is an action as well, and this is how the panel learns of it
        self._wasBusy = isBusy


_UNKNOWN = "\N{EN DASH}"
_STEPS = 1000  # of the progress bar


class StatusBar:
    """The frame with the live status. Its rows stay in place, so that nothing jumps when work begins or ends."""

    def __init__(self, ui: Any, controller: ClickController, notices: Notices) -> None:
        self._ui = ui
        self._controller = controller
        self._connections = Connections()
        ui.cancelButton.icon = icon("Cancel")
        self._connections.toWidget(ui.cancelButton, "clicked()", lambda: notices.run(controller.cancel))
        self._connections.toSignal(controller.statusChanged, self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Shows the controller's status."""
        status, ui = self._controller.status, self._ui
        ui.modelLabel.setText(status.model or _UNKNOWN)
        ui.deviceLabel.setText(status.device or _UNKNOWN)
        ui.lastClickLabel.setText(_duration(status.lastClickMilliseconds))
        ui.busyLabel.setText(_busyText(status.busy, status.progress))
        # Equal ends make the bar run to and fro: something happens, nobody knows how long.
        ui.busyBar.setRange(0, 0 if status.busy is not None and status.progress is None else _STEPS)
        ui.busyBar.setValue(round(_STEPS * (status.progress or 0.0)) if status.busy is not None else 0)
        does = withKey(_("Stops what is being computed. Nothing is changed."), "cancel")
        setAvailable(ui.cancelButton, does, self._whyNotCancel())

    def close(self) -> None:
        """Listens no more."""
        self._connections.close()

    def _whyNotCancel(self) -> str | None:
        status = self._controller.status
        if status.busy is None:
            return _("Nothing is being computed.")
        return None if status.canCancel else _("This step cannot be stopped. It will be over in a moment.")


def _busyText(busy: str | None, progress: float | None) -> str:
    if busy is None:
        return _("Ready")
    return busy if progress is None else _("{work}: {percent} %").format(work=busy, percent=round(100 * progress))


def _duration(milliseconds: float | None) -> str:
    if milliseconds is None:
        return _UNKNOWN
    if milliseconds < 1000:
        return _("{number} ms").format(number=round(milliseconds))
    return _("{number} s").format(number=f"{milliseconds / 1000:.1f}")
