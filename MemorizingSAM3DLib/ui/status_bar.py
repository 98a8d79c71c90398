"""The state of the work: model, device, last click, and what is being computed, with a way to stop it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

from MemorizingSAM3DLib.ui.availability import setAvailable
from MemorizingSAM3DLib.ui.connections import Connections
from MemorizingSAM3DLib.ui.icons import icon
from MemorizingSAM3DLib.ui.notices import Notices
from MemorizingSAM3DLib.ui.shortcuts import withKey

if TYPE_CHECKING:
    from MemorizingSAM3DLib.scene.click_controller import ClickController


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
