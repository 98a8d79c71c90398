"""The banner on top of the panel as long as packages are missing, with the button that installs them.

The rows of the settings page about packages and GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from MemorizingSAM3DLib.installation.accelerators import accelerators
from MemorizingSAM3DLib.installation.condition import Condition, PackageState, examine, examine_by_import
from MemorizingSAM3DLib.installation.installation import Store, take
from MemorizingSAM3DLib.installation.machine import Installer, Machine
from MemorizingSAM3DLib.installation.plan import Choice
from MemorizingSAM3DLib.installation.this_python import ThisPython
from MemorizingSAM3DLib.ui.controls import Connections, setAvailable
from MemorizingSAM3DLib.ui.error_line import FRAME, ICON_SIZE, icon
from MemorizingSAM3DLib.ui.installation.dialog import AMBER, InstallationDialog
from MemorizingSAM3DLib.ui.installation.slicer_installer import SlicerInstaller
from MemorizingSAM3DLib.ui.settings import SettingsStore


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


class InstallationRow:
    """What is installed, whether it works, whether the GPU does, and a way to repair it."""

    def __init__(
        self, ui: Any, machine: Machine | None = None, installer: Installer | None = None, store: Store | None = None
    ) -> None:
        self._ui = ui
        self._machine: Machine = machine or ThisPython()
        self._installer: Installer = installer or SlicerInstaller(self._machine)
        self._store: Store = store or SettingsStore()
        self._states: list[PackageState] = []
        self._connections = Connections()
        setAvailable(ui.checkPackagesButton, _("Loads every package for a test, and computes something on the GPU."))
        setAvailable(
            ui.repairPackagesButton,
            _(
                "Installs what is missing or damaged. If everything is whole, PyTorch is installed anew, for a new GPU "
                "or driver. You are asked before anything happens."
            ),
        )
        self._connections.toWidget(ui.checkPackagesButton, "clicked()", self.check)
        self._connections.toWidget(ui.repairPackagesButton, "clicked()", self.repair)
        self._show(examine(self._machine))

    def check(self) -> None:
        """Tries everything; takes some seconds."""
        self._ui.packagesStateLabel.setText(_("Looking..."))
        slicer.app.processEvents()
        self._show(examine_by_import(self._machine))
        self._ui.gpuStateLabel.setText(self._gpu())

    def repair(self) -> None:
        """Opens the dialog: for what does not work, or for PyTorch if everything does."""
        broken = tuple(state.name for state in self._states if not state.is_ready)
        InstallationDialog(self._machine, self._installer, self._store, broken or ("torch",)).open()
        self._show(examine(self._machine))

    def close(self) -> None:
        """Listens no more."""
        self._connections.close()

    def _show(self, states: list[PackageState]) -> None:
        self._states = states
        bad = [f"{state.name}: {state.detail or state.condition.value}" for state in states if not state.is_ready]
        torch = next((state.version for state in states if state.name == "torch"), None)
        found = [offer.module for offer in accelerators(self._machine) if offer.is_there]
        texts = bad or [_("Every package is there; PyTorch {version}.").format(version=torch)]
        if found:
            texts.append(_("Also: {names}.").format(names=", ".join(found)))
        self._ui.packagesStateLabel.setText("\n".join(texts))

    def _gpu(self) -> str:
        if any(state.name == "torch" and not state.is_ready for state in self._states):
            return _("Not known without PyTorch.")
        from MemorizingSAM3DLib.engine.runtime.cuda_check import check_cuda

        return str(check_cuda())
