"""What went wrong last, where the user looks, and not in a dialog that has to be closed.

The icons in Resources/Icons. Shapes differ as well as colours, so that no colour has to be told from another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from MemorizingSAM3DLib.engine.errors import EngineError
from MemorizingSAM3DLib.engine.files import resource_path
from MemorizingSAM3DLib.ui.controls import Connections, asToolTip


def icon(name: str) -> Any:
    """A QIcon; Qt itself finds `name@2x.png` beside it for screens of high resolution."""
    return qt.QIcon(str(resource_path("Icons", f"{name}.png")))


ICON_SIZE = 20  # pixels
# No background, so that it reads well in Slicer's light and dark style; the icons' shapes differ too.
FRAME = "QFrame#%s { border: 1px solid %s; border-left: 4px solid %s; border-radius: 3px; }"
_VERMILION = "#d55e00"


class ErrorLine:
    """The frame with the error of a window that has errorFrame, errorIcon, errorLabel and dismissErrorButton. An error
    stays until the user's next action."""

    def __init__(self, ui: Any) -> None:
        self._ui = ui
        self._connections = Connections()
        ui.errorFrame.setStyleSheet(FRAME % ("errorFrame", _VERMILION, _VERMILION))
        ui.errorIcon.setPixmap(icon("Error").pixmap(ICON_SIZE, ICON_SIZE))
        ui.dismissErrorButton.icon = icon("Cancel")
        ui.dismissErrorButton.toolTip = asToolTip(_("Hide this message."))
        self._connections.toWidget(ui.dismissErrorButton, "clicked()", self.clear)
        self.clear()

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

    def close(self) -> None:
        """Listens no more."""
        self._connections.close()
