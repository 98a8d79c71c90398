"""The banner on top of the panel as long as packages are missing, with the button that installs them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import qt
from slicer.i18n import tr as _

from MemorizingSAM3DLib.installation.choice import Choice
from MemorizingSAM3DLib.installation.condition import Condition, PackageState, examine
from MemorizingSAM3DLib.installation.machine import Installer, Machine
from MemorizingSAM3DLib.installation.pending import Store, take
from MemorizingSAM3DLib.installation.this_python import ThisPython
from MemorizingSAM3DLib.ui.availability import setAvailable
from MemorizingSAM3DLib.ui.connections import Connections
from MemorizingSAM3DLib.ui.error_line import FRAME, ICON_SIZE
from MemorizingSAM3DLib.ui.icons import icon
from MemorizingSAM3DLib.ui.installation_dialog import AMBER, InstallationDialog
from MemorizingSAM3DLib.ui.settings_store import SettingsStore
from MemorizingSAM3DLib.ui.slicer_installer import SlicerInstaller


class InstallationBanner:
    """Looks whether everything is there when the module is opened; hidden if it is. Imports none of the packages.

    Args:
        completed: called when the last package has come.

    Attributes:
        isComplete: whether everything is there, as of the last look.
    """

    def __init__(
        self,
        ui: Any,
        completed: Callable[[], object],
        machine: Machine | None = None,
        installer: Installer | None = None,
        store: Store | None = None,
    ) -> None:
        self._ui = ui
        self._machine: Machine = machine or ThisPython()
        self._installer: Installer = installer or SlicerInstaller(self._machine)
        self._store: Store = store or SettingsStore()
        self._completed = completed
        self._isOpen = False
        self.isComplete = False
        self._connections = Connections()
        ui.installFrame.setStyleSheet(FRAME % ("installFrame", AMBER, AMBER))
        ui.installIcon.setPixmap(icon("Warning").pixmap(ICON_SIZE, ICON_SIZE))
        setAvailable(
            ui.installButton,
            _("Shows what is to be installed, from the internet or from a folder. Nothing happens before you agree."),
        )
        self._connections.toWidget(ui.installButton, "clicked()", self.openDialog)
        ui.installFrame.setVisible(False)

    def enter(self) -> None:
        """The module is opened: goes on with what a restart interrupted."""
        self.refresh()
        agreed = take(self._store)
        if agreed is not None:
            qt.QTimer.singleShot(0, lambda: self.openDialog(agreed))  # first the module is shown

    def refresh(self) -> None:
        """Shows what is missing now."""
        states = [state for state in examine(self._machine) if not state.is_ready]
        self.isComplete = not states
        self._ui.installLabel.setText(_message(states))
        self._ui.installFrame.setVisible(bool(states))

    def openDialog(self, resumed: Choice | None = None) -> None:
        """Asks and installs.

        Args:
            resumed: what was agreed to before a restart.
        """
        if self._isOpen:
            return
        self._isOpen = True
        try:
            InstallationDialog(self._machine, self._installer, self._store).open(resumed)
        finally:
            self._isOpen = False
        self.refresh()
        if self.isComplete:
            self._completed()

    def close(self) -> None:
        """Listens no more."""
        self._connections.close()


def _message(states: Sequence[PackageState]) -> str:
    missing = [_shown(state) for state in states if state.condition is Condition.MISSING]
    others = [f"{_shown(state)} ({state.detail})" for state in states if state.condition is not Condition.MISSING]
    sentences = []
    if missing:
        sentences.append(_("Packages are missing that segmenting needs: {names}.").format(names=", ".join(missing)))
    if others:
        sentences.append(_("Packages do not work: {names}.").format(names=", ".join(others)))
    return " ".join(sentences)


def _shown(state: PackageState) -> str:
    return "PyTorch" if state.name == "torch" else state.name
