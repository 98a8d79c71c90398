from __future__ import annotations

import pytest

from Testing.harness.pythonqt.driver import clickOn

CASE_CONTROLS = (
    "useCaseMemoryCheckBox",
    "caseMemoryComboBox",
    "neighboursSpinBox",
    "localRatioSlider",
    "rememberCaseButton",
    "clearCaseMemoryButton",
    "exportCaseMemoryButton",
    "importCaseMemoryButton",
)
INTERACTION_CONTROLS = ("useInteractionMemoryCheckBox", "interactionMemorySizeSpinBox", "forgetInteractionsButton")


@pytest.mark.parametrize("name", CASE_CONTROLS + INTERACTION_CONTROLS)
def test_what_this_version_does_not_have_is_there_disabled_and_says_so(ui, name):
    control = getattr(ui, name)

    assert not control.enabled
    assert "Not part of this version." in control.toolTip


def test_the_sections_show_what_the_memories_hold(ui, controller):
    clickOn(ui.caseMemorySection)
    controller.setStatus(caseMemory="12 cases, 3 similar to this scan", interactionMemory="7 clicks")

    assert ui.caseMemoryLabel.text == "12 cases, 3 similar to this scan"
    assert ui.interactionMemoryLabel.text == "7 clicks"
