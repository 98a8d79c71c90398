"""What the user must not miss: a lasting warning, and what went wrong last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

from MemorizingSAM3DLib.scene.alignment import isOnOtherGrid
from MemorizingSAM3DLib.scene.resampled_copy import resampleToScan
from MemorizingSAM3DLib.ui.availability import asToolTip
from MemorizingSAM3DLib.ui.error_line import FRAME, ICON_SIZE, ErrorLine
from MemorizingSAM3DLib.ui.icons import icon

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
