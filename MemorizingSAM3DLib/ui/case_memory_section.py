"""The case memory: what it holds, which one is used, and what can be done with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import qt
import slicer
from slicer.i18n import tr as _

from MemorizingSAM3DLib.ui import settings
from MemorizingSAM3DLib.ui.availability import asToolTip, setAvailable
from MemorizingSAM3DLib.ui.case_memory_texts import cases, described
from MemorizingSAM3DLib.ui.connections import Connections
from MemorizingSAM3DLib.ui.notices import Notices
from MemorizingSAM3DLib.ui.remember_dialog import RememberDialog
from MemorizingSAM3DLib.ui.segment_content import segmentName

if TYPE_CHECKING:
    from MemorizingSAM3DLib.scene.click_controller import ClickController


class CaseMemorySection:
    """Nothing is stored, removed or written before the user has agreed to it. The switch and the number of neighbours
    are bound to the parameter node; the folder goes to the settings."""

    def __init__(self, ui: Any, controller: ClickController, notices: Notices) -> None:
        self._ui = ui
        self._controller = controller
        self._notices = notices
        self._connections = Connections()
        self._showing = False
        self._dialog: RememberDialog | None = None
        connect = self._connections.toWidget
        connect(ui.caseMemoryFolderButton, "directoryChanged(QString)", self._choose)
        connect(ui.rememberCaseButton, "clicked()", self._remember)
        connect(ui.proposeButton, "clicked()", self._propose)
        connect(ui.clearCaseMemoryButton, "clicked()", self._clear)
        connect(ui.exportCaseMemoryButton, "clicked()", self._export)
        connect(ui.importCaseMemoryButton, "clicked()", self._import)
        for signal in (controller.statusChanged, controller.inputsChanged):
            self._connections.toSignal(signal, self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Shows what the controller says of the memory, and what can be done now."""
        ui, status = self._ui, self._controller.status
        facts = status.caseMemory
        ui.caseMemoryLabel.setText(described(facts, status.recalled, status.memoryNote))
        ui.caseMemoryLabel.toolTip = "".join(asToolTip(warning) for warning in facts.warnings)
        self._showing = True
        ui.caseMemoryFolderButton.directory = self._folder
        self._showing = False
        does = _("Lets cases that were remembered take part in the first click of a segment: the one that is like them "
                 "begins as they were. Segments that are there stay as they are.")  # fmt: skip
        setAvailable(ui.useCaseMemoryCheckBox, does)
        setAvailable(ui.neighboursSpinBox, _("How many of the most similar cases a first click listens to."))
        does = _(
            "The folder of the memory: {folder}. Choose another one with a memory, or an empty one for a new memory."
        )
        setAvailable(ui.caseMemoryFolderButton, does.format(folder=self._folder))
        busy = _("Wait until what is being computed is done, or cancel it.") if status.busy is not None else None
        does = _("Adds the selected segment to the memory. What is stored is shown first.")
        setAvailable(ui.rememberCaseButton, does, self._whyNotRemember() or facts.problem or busy)
        self._showStructures([name for name, _number in facts.structures if name])
        nameless = None if ui.rememberedStructureComboBox.count else _("No case with a name is remembered yet.")
        setAvailable(ui.rememberedStructureComboBox, _("A structure that the memory has a name for."), nameless)
        does = _(
            "Looks for this structure in the whole scan, and begins a segment with a point where it is recognised."
        )
        setAvailable(ui.proposeButton, does, self._whyNotPropose() or nameless or facts.problem or busy)
        empty = _("There is nothing in the memory.") if facts.isEmpty else None
        setAvailable(ui.clearCaseMemoryButton, _("Forgets all cases, after a question."), empty or busy)
        empty = None if facts.cases else _("There are no cases in the memory.")
        setAvailable(ui.exportCaseMemoryButton, _("Writes all cases into a single file, to copy it."), empty or busy)
        does = _("Takes over the cases of a file that was exported here or on another computer.")
        setAvailable(ui.importCaseMemoryButton, does, facts.problem or busy)

    def close(self) -> None:
        """Listens no more."""
        if self._dialog is not None:
            self._dialog.close()
        self._connections.close()

    @property
    def _folder(self) -> str:
        return self._controller.memories.choice.folder or settings.memoryFolder()

    def _whyNotRemember(self) -> str | None:
        controller = self._controller
        if controller.scanNode is None:
            return _("Choose a scan first.")
        return None if controller.selectedSegmentID else _("Select a segment in the table first.")

    def _whyNotPropose(self) -> str | None:
        if self._controller.scanNode is None:
            return _("Choose a scan first.")
        return None if self._controller.memories.choice.use else _("Turn the use of the memory on first.")

    def _showStructures(self, names: list[str]) -> None:
        combo = self._ui.rememberedStructureComboBox
        if names != [combo.itemText(number) for number in range(combo.count)]:
            chosen = combo.currentText
            combo.clear()
            for name in names:
                combo.addItem(name)
            if chosen in names:
                combo.setCurrentText(chosen)

    def _propose(self) -> None:
        structure = str(self._ui.rememberedStructureComboBox.currentText)
        self._notices.run(lambda: self._controller.memories.propose(structure))

    def _choose(self, folder: str) -> None:
        if not self._showing and folder != self._folder:
            settings.chooseMemoryFolder(folder)
            self._notices.run(lambda: self._controller.memories.choose(folder))

    def _remember(self) -> None:
        controller = self._controller
        if self._dialog is not None:
            self._dialog.close()
        name = segmentName(controller.segmentationNode, controller.selectedSegmentID)
        segment = controller.selectedSegmentID

        def remember(chosen: str) -> None:
            if controller.selectedSegmentID == segment:  # else another one would be stored under this name
                self._notices.run(lambda: controller.memories.remember(chosen))

        self._dialog = RememberDialog(name, self._folder, remember)
        self._dialog.show()

    def _clear(self) -> None:
        question = _("Forget {cases} in {folder}? This cannot be undone. Export them first to keep them.").format(
            cases=cases(self._controller.status.caseMemory.cases), folder=self._folder
        )
        if slicer.util.confirmYesNoDisplay(question, windowTitle=_("Clear the case memory")):
            self._notices.run(self._controller.memories.clear)

    def _export(self) -> None:
        file = qt.QFileDialog.getSaveFileName(
            slicer.util.mainWindow(), _("Export the case memory"), "CaseMemory.safetensors", _kinds()
        )
        if file:
            self._notices.run(lambda: self._controller.memories.exportTo(str(file)))

    def _import(self) -> None:
        file = qt.QFileDialog.getOpenFileName(slicer.util.mainWindow(), _("Import a case memory"), "", _kinds())
        if file:
            self._notices.run(lambda: self._controller.memories.importFrom(str(file)))


def _kinds() -> str:
    return str(_("Case memories") + " (*.safetensors)")
