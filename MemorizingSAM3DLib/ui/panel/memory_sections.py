"""The case memory: what it holds, which one is used, and what can be done with it.

What a case memory holds, in words.

The interaction memory: on or off, how many clicks it keeps, and how many it holds of the selected segment.

The question before a segment is remembered: what is stored, and under which name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import qt
import slicer
from slicer.i18n import tr as _

from MemorizingSAM3DLib.engine.files import resource_path
from MemorizingSAM3DLib.scene.compute.case_memory import CaseMemoryFacts
from MemorizingSAM3DLib.ui import settings
from MemorizingSAM3DLib.ui.controls import Connections, asToolTip, setAvailable
from MemorizingSAM3DLib.ui.panel.segment_list import segmentName
from MemorizingSAM3DLib.ui.panel.status_bar import Notices

if TYPE_CHECKING:
    from MemorizingSAM3DLib.scene.click_controller import ClickController

_MOST_NAMES = 6


def described(facts: CaseMemoryFacts, recalled: str | None, note: str) -> str:
    """A few sentences for the panel.

    Args:
        recalled: the remembered structure that the selected segment began from, "" if it has no name; None: from none.
        note: what was done last, or "".
    """
    sentences = [facts.problem or _summary(facts)]
    if facts.warnings:
        sentences.append(_("Left out because damaged: {cases}.").format(cases=cases(len(facts.warnings))))
    if recalled:
        sentences.append(_("This segment began from what was remembered as '{name}'.").format(name=recalled))
    elif recalled is not None:
        sentences.append(_("This segment began from remembered cases without a name."))
    return " ".join([*sentences, *([note] if note else [])])


def cases(number: int) -> str:
    """How many cases."""
    return str(_("1 case")) if number == 1 else str(_("{number} cases")).format(number=number)


def _summary(facts: CaseMemoryFacts) -> str:
    if not facts.cases:
        return str(
            _("No case is remembered yet. Remember a finished segment: the next one like it needs fewer clicks.")
        )
    shown = [f"{number} {name or _('without a name')}" for name, number in facts.structures[:_MOST_NAMES]]
    rest = len(facts.structures) - len(shown)
    if rest:
        shown.append(_("{number} other structures").format(number=rest))
    return str(_("{cases} ({size} MB): {structures}.")).format(
        cases=cases(facts.cases), size=f"{facts.sizeBytes / 1e6:.1f}", structures=", ".join(shown)
    )


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
