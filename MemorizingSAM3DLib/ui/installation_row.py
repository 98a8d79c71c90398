"""The rows of the settings page about packages and GPU."""

from __future__ import annotations

from typing import Any

import slicer
from slicer.i18n import tr as _

from MemorizingSAM3DLib.installation.accelerators import accelerators
from MemorizingSAM3DLib.installation.condition import PackageState, examine, examine_by_import
from MemorizingSAM3DLib.installation.machine import Installer, Machine
from MemorizingSAM3DLib.installation.pending import Store
from MemorizingSAM3DLib.installation.this_python import ThisPython
from MemorizingSAM3DLib.ui.availability import setAvailable
from MemorizingSAM3DLib.ui.connections import Connections
from MemorizingSAM3DLib.ui.installation_dialog import InstallationDialog
from MemorizingSAM3DLib.ui.settings_store import SettingsStore
from MemorizingSAM3DLib.ui.slicer_installer import SlicerInstaller


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
        from MemorizingSAM3DLib.engine.cuda_check import check_cuda

        return str(check_cuda())
