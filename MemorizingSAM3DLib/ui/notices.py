"""What the user must not miss: a lasting warning, and what went wrong last."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer
from slicer.i18n import tr as _

from MemorizingSAM3DLib.engine.errors import EngineError
from MemorizingSAM3DLib.ui.availability import asToolTip
from MemorizingSAM3DLib.ui.connections import Connections
from MemorizingSAM3DLib.ui.icons import icon
from MemorizingSAM3DLib.ui.interface import Controller

_ICON_SIZE = 20  # pixels
# No background, so that both read well in Slicer's light and dark style; the icons' shapes differ too.
_FRAME = "QFrame#%s { border: 1px solid %s; border-left: 4px solid %s; border-radius: 3px; }"
_AMBER = "#e69f00"
_VERMILION = "#d55e00"


class Notices:
    """The banner and the error line on top of the panel. An error stays until the user's next action."""

    def __init__(self, ui: Any, controller: Controller) -> None:
        self._ui = ui
        self._controller = controller
        self._wasBusy = False
        self._connections = Connections()
        ui.warningFrame.setStyleSheet(_FRAME % ("warningFrame", _AMBER, _AMBER))
        ui.errorFrame.setStyleSheet(_FRAME % ("errorFrame", _VERMILION, _VERMILION))
        ui.warningIcon.setPixmap(icon("Warning").pixmap(_ICON_SIZE, _ICON_SIZE))
        ui.errorIcon.setPixmap(icon("Error").pixmap(_ICON_SIZE, _ICON_SIZE))
        ui.dismissErrorButton.icon = icon("Cancel")
        ui.dismissErrorButton.toolTip = asToolTip(_("Hide this message."))
        self._connections.toWidget(ui.dismissErrorButton, "clicked()", self.clear)
        self._connections.toSignal(controller.failed, self.showError)
        self._connections.toSignal(controller.statusChanged, self.refresh)
        self.clear()
        self.refresh()

    def run(self, action: Callable[[], object]) -> bool:
        """Does what the user asked for.

        An error that is meant for the user goes to the error line. Any other is a fault of ours: Slicer shows it with
        its details, and it goes on.

        Returns:
            whether it was done.
        """
        self.clear()
        with slicer.util.tryWithErrorDisplay(_("This should not have happened; please report it.")):
            try:
                action()
            except EngineError as error:
                self.showError(str(error))
                return False
        return True

    def showError(self, message: str) -> None:
        """Shows the message until the next action."""
        self._ui.errorLabel.setText(message)
        self._ui.errorFrame.setVisible(bool(message))

    def clear(self) -> None:
        """Hides the error."""
        self.showError("")

    def refresh(self) -> None:
        """Shows the warning of the controller's status."""
        status = self._controller.status
        self._ui.warningLabel.setText(status.warning or "")
        self._ui.warningFrame.setVisible(bool(status.warning))
        isBusy = status.busy is not None
        if isBusy and not self._wasBusy:
            self.clear()  # a click in a view is an action as well, and this is how the panel learns of it
        self._wasBusy = isBusy

    def close(self) -> None:
        """Listens no more."""
        self._connections.close()
