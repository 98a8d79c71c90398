"""The interaction memory: on or off, how many clicks it keeps, and how many it holds of the selected segment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

from MemorizingSAM3DLib.ui.availability import setAvailable
from MemorizingSAM3DLib.ui.connections import Connections

if TYPE_CHECKING:
    from MemorizingSAM3DLib.scene.click_controller import ClickController


class InteractionMemorySection:
    """Says what is kept, or why nothing is. The switch and the number are bound to the parameter node."""

    def __init__(self, ui: Any, controller: ClickController) -> None:
        self._ui = ui
        self._controller = controller
        self._connections = Connections()
        self._connections.toSignal(controller.statusChanged, self.refresh)
        self._connections.toWidget(ui.useInteractionMemoryCheckBox, "toggled(bool)", self.refresh)
        self._connections.toWidget(ui.interactionMemorySizeSpinBox, "valueChanged(int)", self.refresh)
        self.refresh()

    def refresh(self, *_value: Any) -> None:
        """Shows what the controller says of the memory."""
        ui = self._ui
        reason = self._whyNot()
        ui.interactionMemoryLabel.setText(reason or self._kept())
        does = _("Lets earlier clicks in a segment, and what they led to, take part in its next ones. That counts from "
                 "the next click on; what is segmented stays.")  # fmt: skip
        setAvailable(ui.useInteractionMemoryCheckBox, does, reason)
        if reason is None and not ui.useInteractionMemoryCheckBox.checked:
            reason = _("Earlier clicks are not used.")
        setAvailable(ui.interactionMemorySizeSpinBox, _("How many clicks are kept: the newest ones."), reason)

    def close(self) -> None:
        """Listens no more."""
        self._connections.close()

    def _whyNot(self) -> str | None:
        there = self._controller.status.hasInteractionMemory
        if there is None:
            return _("Choose a scan first: this is known when the model is loaded.")
        return None if there else _("There is none for this model. Choose another model, or train one: "
                                    "memorizing-sam3d train-memory.")  # fmt: skip

    def _kept(self) -> str:
        if not self._ui.useInteractionMemoryCheckBox.checked:
            return _("Off: a click knows the segment as it is, and its points.")
        scans = self._controller.status.interactionMemoryScans
        if scans:
            return _("Not used in this scan: it helps in {kinds} only.").format(kinds=", ".join(scans))
        return _("{number} of {most} clicks kept.").format(
            number=self._controller.status.interactions, most=self._ui.interactionMemorySizeSpinBox.value
        )
