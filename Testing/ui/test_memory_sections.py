from __future__ import annotations

from pathlib import Path

import pytest

from MemorizingSAM3DLib.scene.compute.case_memory import DEFAULT_NEIGHBOURS, CaseMemoryFacts
from MemorizingSAM3DLib.scene.compute.engine_thread import INTERACTIONS_KEPT
from Testing.harness.pythonqt.driver import clickOn
from Testing.harness.pythonqt.looks import cutOffWidgets, grab
from Testing.ui.a_fake_controller import anEngineError

TWO = CaseMemoryFacts(12, (("Liver", 7), ("", 3), ("Kidney", 2)), 412_000)


@pytest.fixture
def a_selected_segment(controller, a_chosen_scan):
    controller.newSegment("Liver")
    return controller.selectedSegmentID


@pytest.fixture
def a_filled_memory(controller, a_selected_segment):
    controller.setStatus(caseMemory=TWO)


@pytest.fixture
def chosen_files(monkeypatch):
    """What the user chooses in the next file dialog, whichever it is."""
    import qt

    answer = [""]
    for name in ("getOpenFileName", "getSaveFileName"):
        monkeypatch.setattr(qt.QFileDialog, name, staticmethod(lambda *arguments: answer[0]))
    return answer


def reason(control):
    assert not control.enabled
    return control.toolTip


def dialogOf(a_module):
    return next(part for part in a_module.widget.panel._parts if hasattr(part, "_dialog"))._dialog


def parameters(a_module):
    return a_module.logic.getParameterNode()


# --- case memory


def test_what_a_memory_holds_is_told_in_words(ui, controller, a_filled_memory):
    assert ui.caseMemoryLabel.text == "12 cases (0.4 MB): 7 Liver, 3 without a name, 2 Kidney."


def test_many_structures_are_summed_up(ui, controller):
    names = tuple((f"Structure {number}", 1) for number in range(9))
    controller.setStatus(caseMemory=CaseMemoryFacts(9, names, 1_000_000))

    assert ui.caseMemoryLabel.text.endswith("1 Structure 5, 3 other structures.")


def test_an_empty_memory_says_what_it_is_good_for(ui):
    assert "Remember a finished segment" in ui.caseMemoryLabel.text
    assert "There is nothing in the memory." in reason(ui.clearCaseMemoryButton)
    assert "There are no cases" in reason(ui.exportCaseMemoryButton)


def test_damaged_cases_what_was_done_and_where_a_segment_began_are_told(ui, controller):
    facts = CaseMemoryFacts(1, (("Liver", 1),), 1_000_000, ("abc.safetensors is damaged.",))
    controller.setStatus(caseMemory=facts, recalled="Liver", memoryNote="Imported 1 case.")

    assert "Left out because damaged: 1 case." in ui.caseMemoryLabel.text
    assert "abc.safetensors is damaged." in ui.caseMemoryLabel.toolTip
    assert "This segment began from what was remembered as 'Liver'." in ui.caseMemoryLabel.text
    assert ui.caseMemoryLabel.text.endswith("Imported 1 case.")
    assert ui.clearCaseMemoryButton.enabled
    controller.setStatus(recalled="")
    assert "from remembered cases without a name" in ui.caseMemoryLabel.text


def test_why_a_memory_cannot_be_used_is_told_and_nothing_goes_into_it(ui, controller, a_selected_segment):
    controller.setStatus(caseMemory=CaseMemoryFacts(problem="It was made with another model."))

    assert ui.caseMemoryLabel.text == "It was made with another model."
    for button in (ui.rememberCaseButton, ui.importCaseMemoryButton):
        assert "another model" in reason(button)


def test_remembering_needs_a_scan_a_segment_and_time(ui, controller, a_volume_node):
    assert "Choose a scan" in reason(ui.rememberCaseButton)
    ui.scanSelector.setCurrentNode(a_volume_node)
    assert "Select a segment" in reason(ui.rememberCaseButton)
    controller.newSegment("Liver")
    assert ui.rememberCaseButton.enabled
    controller.setStatus(busy="Segmenting")
    assert "Wait" in reason(ui.rememberCaseButton)


def test_before_anything_is_stored_the_user_sees_what_and_may_change_the_name(
    ui, controller, a_module, a_selected_segment
):
    clickOn(ui.caseMemorySection)
    clickOn(ui.rememberCaseButton)
    dialog = dialogOf(a_module)

    assert controller.memories.calls == []
    assert dialog.ui.nameEdit.text == "Liver"
    for word in ("coarse shape", "date", "no name of a patient", "on this computer only"):
        assert word in dialog.ui.storedLabel.text
    assert "CaseMemory" in dialog.ui.folderLabel.text
    dialog.ui.nameEdit.text = " Right liver "
    clickOn(dialog.ui.rememberButton)
    assert controller.memories.calls == [("remember", "Right liver")]
    assert dialog.dialog is None


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_nothing_of_the_question_is_cut_off(ui, a_module, a_selected_segment, tmp_path, scale):
    clickOn(ui.caseMemorySection)
    clickOn(ui.rememberCaseButton)
    dialog = dialogOf(a_module).dialog
    grab(dialog, tmp_path / f"remember-{scale:g}.png", scale)

    assert cutOffWidgets(dialog) == []


def test_the_name_may_be_left_empty_and_the_whole_be_declined(ui, controller, a_module, a_selected_segment):
    clickOn(ui.caseMemorySection)
    clickOn(ui.rememberCaseButton)
    clickOn(dialogOf(a_module).ui.notNowButton)
    assert controller.memories.calls == []

    clickOn(ui.rememberCaseButton)
    dialogOf(a_module).ui.nameEdit.text = ""
    clickOn(dialogOf(a_module).ui.rememberButton)
    assert controller.memories.calls == [("remember", "")]


def test_another_segment_is_not_remembered_under_this_ones_name(ui, controller, a_module, a_selected_segment):
    clickOn(ui.caseMemorySection)
    clickOn(ui.rememberCaseButton)
    controller.newSegment("Kidney")
    clickOn(dialogOf(a_module).ui.rememberButton)

    assert controller.memories.calls == []


def test_a_name_is_not_longer_than_a_memory_keeps(ui, controller, a_module, a_chosen_scan):
    controller.newSegment("x" * 80)
    clickOn(ui.caseMemorySection)
    clickOn(ui.rememberCaseButton)

    assert dialogOf(a_module).ui.nameEdit.text == "x" * 64


def test_what_stands_against_remembering_goes_to_the_error_line(ui, controller, a_module, a_selected_segment):
    controller.memories.error = anEngineError()
    clickOn(ui.caseMemorySection)
    clickOn(ui.rememberCaseButton)
    clickOn(dialogOf(a_module).ui.rememberButton)

    assert ui.errorLabel.text == str(anEngineError())


def test_cases_are_forgotten_only_after_a_question(ui, controller, slicer_application, a_filled_memory):
    clickOn(ui.caseMemorySection)
    slicer_application.dialogs.answer(False, True)
    clickOn(ui.clearCaseMemoryButton)
    assert controller.memories.calls == []
    assert "Forget 12 cases in" in slicer_application.dialogs.last.text

    clickOn(ui.clearCaseMemoryButton)
    assert controller.memories.calls == [("clear", None)]


def test_a_memory_is_written_to_a_file_and_read_from_one(ui, controller, a_filled_memory, chosen_files):
    clickOn(ui.caseMemorySection)
    clickOn(ui.exportCaseMemoryButton)
    clickOn(ui.importCaseMemoryButton)
    assert controller.memories.calls == []

    chosen_files[0] = "/a/mine.safetensors"
    clickOn(ui.exportCaseMemoryButton)
    clickOn(ui.importCaseMemoryButton)
    assert controller.memories.calls == [("exportTo", "/a/mine.safetensors"), ("importFrom", "/a/mine.safetensors")]


def test_the_usual_folder_lies_beside_slicers_settings(ui, slicer_application):
    import slicer

    usual = Path(slicer.app.slicerUserSettingsFilePath).parent / "MemorizingSAM3D" / "CaseMemory"
    assert Path(ui.caseMemoryFolderButton.directory) == usual
    assert str(usual) in ui.caseMemoryFolderButton.toolTip
    assert not usual.parent.exists()


def test_another_folder_is_used_and_set_for_ever(ui, controller, slicer_application, tmp_path):
    from MemorizingSAM3DLib.ui import settings

    ui.caseMemoryFolderButton.directory = str(tmp_path)

    assert controller.memories.choice.folder == str(tmp_path)
    assert settings.memoryFolder() == str(tmp_path)


def test_a_folder_that_was_set_in_the_settings_is_used(ui, controller, a_module, slicer_application, tmp_path):
    from MemorizingSAM3DLib.ui import settings

    controller.memories.choose("/before")
    settings.chooseMemoryFolder(str(tmp_path))
    a_module.widget.panel.applySettings()

    assert controller.memories.choice.folder == str(tmp_path)


def test_a_structure_that_has_a_name_can_be_proposed(ui, controller, a_filled_memory):
    combo = ui.rememberedStructureComboBox
    assert [combo.itemText(number) for number in range(combo.count)] == ["Liver", "Kidney"]
    combo.setCurrentText("Kidney")
    ui.caseMemorySection.collapsed = False
    clickOn(ui.proposeButton)

    assert controller.memories.calls[-1] == ("propose", "Kidney")


def test_the_chosen_structure_stays_when_the_memory_grows(ui, controller, a_filled_memory):
    ui.rememberedStructureComboBox.setCurrentText("Kidney")
    controller.setStatus(caseMemory=CaseMemoryFacts(3, (("Brain", 2), ("Kidney", 1)), 9_000))
    assert ui.rememberedStructureComboBox.currentText == "Kidney"
    controller.setStatus(caseMemory=CaseMemoryFacts(2, (("Brain", 2),), 6_000))
    assert ui.rememberedStructureComboBox.currentText == "Brain"


def test_why_nothing_can_be_proposed_is_told(ui, controller, a_chosen_scan):
    assert "No case with a name" in reason(ui.proposeButton)
    controller.setStatus(caseMemory=TWO)
    controller.memories.setUse(False)
    controller.statusChanged.emit()
    assert "Turn the use of the memory on" in reason(ui.proposeButton)
    controller.memories.setUse(True)
    controller.setStatus(busy="Segmenting")
    assert "Wait until" in reason(ui.proposeButton)


# --- interaction memory


def test_without_an_interaction_memory_the_switch_says_why_it_is_off(ui, controller):
    assert "known when the model is loaded" in reason(ui.useInteractionMemoryCheckBox)
    controller.setStatus(hasInteractionMemory=False)

    assert "There is none for this model." in reason(ui.useInteractionMemoryCheckBox)
    assert "There is none for this model." in reason(ui.interactionMemorySizeSpinBox)
    assert ui.interactionMemoryLabel.text.startswith("There is none for this model.")


def test_how_many_clicks_are_kept_is_told(ui, controller):
    controller.setStatus(hasInteractionMemory=True, interactions=12)
    assert ui.interactionMemoryLabel.text == "12 of 60 clicks kept."

    ui.interactionMemorySizeSpinBox.value = 20
    assert ui.interactionMemoryLabel.text == "12 of 20 clicks kept."
    assert controller.memories.interactions == 20


def test_where_the_memory_does_not_help_it_is_said_that_it_is_not_used(ui, controller):
    controller.setStatus(hasInteractionMemory=True, interactionMemoryScans=("CT", "PET"))
    assert ui.interactionMemoryLabel.text == "Not used in this scan: it helps in CT, PET only."


def test_both_memories_are_on_at_first_and_switched_in_the_panel(ui, controller):
    controller.setStatus(hasInteractionMemory=True)
    assert controller.memories.choice.use
    assert controller.memories.choice.neighbours == DEFAULT_NEIGHBOURS
    assert controller.memories.interactions == INTERACTIONS_KEPT

    clickOn(ui.caseMemorySection)
    clickOn(ui.useCaseMemoryCheckBox)
    clickOn(ui.interactionMemorySection)
    clickOn(ui.useInteractionMemoryCheckBox)
    assert not controller.memories.choice.use
    assert controller.memories.interactions is None
    assert "Earlier clicks are not used." in reason(ui.interactionMemorySizeSpinBox)
    assert ui.interactionMemoryLabel.text.startswith("Off")


def test_the_switches_and_numbers_are_kept_with_the_scene(ui, controller, a_module):
    node = parameters(a_module)
    node.useCaseMemory = False
    node.caseNeighbours = 9
    node.interactionsKept = 200

    assert not ui.useCaseMemoryCheckBox.checked
    assert ui.neighboursSpinBox.value == 9
    assert (controller.memories.choice.use, controller.memories.choice.neighbours) == (False, 9)
    assert controller.memories.interactions == 200
    assert (ui.interactionMemorySizeSpinBox.minimum, ui.interactionMemorySizeSpinBox.maximum) == (1, 256)
