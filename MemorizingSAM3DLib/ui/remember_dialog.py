"""The question before a segment is remembered: what is stored, and under which name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from MemorizingSAM3DLib.engine.resources import resource_path
from MemorizingSAM3DLib.ui.connections import Connections

MOST_CHARACTERS = 64  # of a name, in a memory
_WIDTH = 470  # pixels


class RememberDialog:
    """A small window in front of Slicer's.

    Args:
        name: of the segment, for the user to keep, change or delete. folder: of the memory.
        remember: called with the name that is to be stored, when the user agrees.

    Attributes:
        dialog: the QDialog.
    """

    def __init__(self, name: str, folder: str, remember: Callable[[str], object]) -> None:
        self.dialog = qt.QDialog(slicer.util.mainWindow())
        content = slicer.util.loadUI(str(resource_path("UI", "Remember.ui")))
        self.dialog.windowTitle = content.windowTitle
        qt.QVBoxLayout(self.dialog).addWidget(content)
        self.ui = ui = slicer.util.childWidgetVariables(content)
        self._remember = remember
        self._connections = Connections()
        ui.nameEdit.maxLength = MOST_CHARACTERS
        ui.nameEdit.text = "".join(character for character in name if character.isprintable())[:MOST_CHARACTERS]
        ui.folderLabel.setText(_("The memory is the folder {folder}.").format(folder=folder))
        self._connections.toWidget(ui.rememberButton, "clicked()", self._agree)
        self._connections.toWidget(ui.notNowButton, "clicked()", self.close)
        self._connections.toWidget(self.dialog, "finished(int)", self.close)

    def show(self) -> None:
        """Opens the window; Slicer waits for it."""
        self.dialog.setModal(True)
        self.dialog.resize(_WIDTH, self.dialog.heightForWidth(_WIDTH))  # by itself Qt takes part of a small screen only
        self.dialog.show()
        self.ui.nameEdit.setFocus()
        self.ui.nameEdit.selectAll()

    def close(self, *_result: Any) -> None:
        """Takes the window away; nothing is stored."""
        if self.dialog is None:
            return
        dialog, self.dialog = self.dialog, None
        self._connections.close()
        dialog.close()
        dialog.deleteLater()

    def _agree(self) -> None:
        name = str(self.ui.nameEdit.text).strip()
        self.close()
        self._remember(name)
