"""The two memories: what they hold, and their switches."""

from __future__ import annotations

from typing import Any

from slicer.i18n import tr as _

from MemorizingSAM3DLib.ui.availability import setAvailable
from MemorizingSAM3DLib.ui.connections import Connections
from MemorizingSAM3DLib.ui.interface import Controller


class MemorySections:
    """Shows what the memories hold. Their controls are there, but no model of this version has a memory yet."""

    def __init__(self, ui: Any, controller: Controller) -> None:
        self._ui = ui
        self._controller = controller
        self._connections = Connections()
        self._connections.toSignal(controller.statusChanged, self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Shows what the controller says of the memories, and gives it as the reason for what is disabled."""
        ui, status = self._ui, self._controller.status
        ui.caseMemoryLabel.setText(status.caseMemory)
        for control, does in (
            (ui.useCaseMemoryCheckBox, _("Lets cases that were segmented before take part in this one.")),
            (ui.caseMemoryComboBox, _("Which memory is used.")),
            (ui.neighboursSpinBox, _("How many of the most similar places in the memory are looked up.")),
            (ui.localRatioSlider, _("How much this scan counts against the memory: 1 leaves the memory out.")),
            (ui.rememberCaseButton, _("Adds this scan and its segments to the memory, after you have confirmed it.")),
            (ui.clearCaseMemoryButton, _("Removes everything from the memory.")),
            (ui.exportCaseMemoryButton, _("Writes the memory to a file.")),
            (ui.importCaseMemoryButton, _("Reads a memory from a file.")),
        ):
            setAvailable(control, does, status.caseMemory)
        ui.interactionMemoryLabel.setText(status.interactionMemory)
        for control, does in (
            (ui.useInteractionMemoryCheckBox, _("Lets earlier clicks in this scan take part in the next ones.")),
            (ui.interactionMemorySizeSpinBox, _("How many clicks are kept.")),
            (ui.forgetInteractionsButton, _("Forgets the clicks that were kept.")),
        ):
            setAvailable(control, does, status.interactionMemory)

    def close(self) -> None:
        """Listens no more."""
        self._connections.close()
