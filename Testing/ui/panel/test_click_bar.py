from __future__ import annotations

import pytest

from MemorizingSAM3DLib.engine.errors import VolumeError
from Testing.harness.pythonqt.driver import clickOn

EDIT_BUTTONS = ("undoButton", "redoButton", "deleteLastButton", "clearButton")


def test_without_a_scan_nothing_can_be_placed_and_the_tooltip_says_why(ui):
    for button in (ui.insideButton, ui.outsideButton):
        assert not button.enabled
        assert "Choose a scan first." in button.toolTip
    assert "Choose a scan" in ui.hintLabel.text


@pytest.mark.parametrize(("name", "positive"), [("insideButton", True), ("outsideButton", False)])
def test_one_press_starts_placing_and_the_next_ends_it(ui, controller, a_chosen_scan, name, positive):
    button = getattr(ui, name)

    clickOn(button)
    assert controller.placing is positive
    assert button.checked

    clickOn(button)
    assert controller.placing is None
    assert not button.checked


def test_the_other_button_switches(ui, controller, a_chosen_scan):
    clickOn(ui.insideButton)
    clickOn(ui.outsideButton)

    assert controller.placing is False
    assert (ui.insideButton.checked, ui.outsideButton.checked) == (False, True)
    assert "should not belong" in ui.hintLabel.text


def test_placing_that_is_ended_elsewhere_is_shown(ui, controller, a_chosen_scan):
    clickOn(ui.insideButton)
    controller.stopPlacing()

    assert not ui.insideButton.checked


def test_placing_that_cannot_start_leaves_the_button_up_and_says_why(ui, controller, a_chosen_scan):
    controller.error = VolumeError("The scan has no voxels.", "Load it again.")
    clickOn(ui.insideButton)

    assert not ui.insideButton.checked
    assert ui.errorFrame.visible
    assert ui.errorLabel.text == "The scan has no voxels. Load it again."


def test_a_new_panel_has_nothing_to_undo_redo_or_delete(ui, a_chosen_scan):
    for name in EDIT_BUTTONS:
        button = getattr(ui, name)
        assert not button.enabled, name
        assert "<b>" in button.toolTip, name


def test_undo_and_redo_say_what_they_would_do(ui, controller, a_chosen_scan):
    controller.place((1, 2, 3))
    assert ui.undoButton.text.startswith("Undo: Add point")
    assert "Add point (Segment 1)" in ui.undoButton.toolTip

    clickOn(ui.undoButton)
    assert controller.points == []
    assert ui.undoButton.text == "Undo"
    assert ui.redoButton.text.startswith("Redo: Add point")

    clickOn(ui.redoButton)
    assert len(controller.points) == 1


def test_a_long_name_of_an_edit_does_not_widen_the_panel(ui, controller, a_module, a_chosen_scan):
    width = a_module.parent.minimumSizeHint.width()
    controller.place((1, 2, 3))
    controller.newSegment("a lesion with a name as long as nobody would type it without being paid for it")
    controller.place((1, 2, 3))

    assert a_module.parent.minimumSizeHint.width() == width


def test_the_last_point_is_deleted(ui, controller, a_chosen_scan):
    controller.place((1, 2, 3))
    controller.place((4, 5, 6), positive=False)
    clickOn(ui.deleteLastButton)

    assert [point.ras for point in controller.points] == [(1, 2, 3)]


def test_all_points_are_cleared(ui, controller, a_chosen_scan):
    controller.place((1, 2, 3))
    controller.place((4, 5, 6))
    clickOn(ui.clearButton)

    assert controller.points == []
    assert not ui.clearButton.enabled


def test_a_locked_segment_cannot_be_clicked_into_and_the_tooltip_names_it(ui, controller, a_chosen_scan):
    controller.place((1, 2, 3))
    controller.setLocked(controller.selectedSegmentID, True)

    for name in ("insideButton", "outsideButton", "deleteLastButton", "clearButton"):
        button = getattr(ui, name)
        assert not button.enabled, name
        assert "The segment 'Segment 1' is locked." in button.toolTip
    assert "locked" in ui.hintLabel.text


def test_undo_reaches_other_segments_even_while_this_one_is_locked(ui, controller, a_chosen_scan):
    controller.place((1, 2, 3))
    controller.setLocked(controller.selectedSegmentID, True)

    assert ui.undoButton.enabled


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Add point", "⟦Add point⟧"),
        ("Add point (Liver (left))", "⟦Add point⟧ (Liver (left))"),
        ("Something new (Liver)", "Something new (Liver)"),
    ],
)
def test_the_edit_is_translated_and_the_segments_name_is_not(slicer_application, monkeypatch, name, shown):
    from MemorizingSAM3DLib.ui.panel import click_bar as edit_names

    monkeypatch.setattr(edit_names, "_", lambda text: f"⟦{text}⟧")

    assert edit_names.editName(name) == shown


def test_every_name_that_the_scene_gives_is_known(slicer_application, monkeypatch):
    from MemorizingSAM3DLib.engine.prompts import Click, Prompts
    from MemorizingSAM3DLib.scene.edits.history import describeEdit
    from MemorizingSAM3DLib.ui.panel import click_bar as edit_names

    monkeypatch.setattr(edit_names, "_", lambda text: f"⟦{text}⟧")
    a, b, c = (Click((float(x), 0.0, 0.0), True) for x in range(3))
    outside = Click(a.ras, False)
    histories = [(), (a,), (b,), (outside,), (a, b), (b, a), (a, b, c)]
    pairs = [(before, after) for before in histories for after in histories if before != after]
    names = {describeEdit(Prompts(0, before), Prompts(0, after)) for before, after in pairs}
    names.add(describeEdit(Prompts(0, (a,)), Prompts(1, (a,))))

    assert len(names) >= 7
    assert {edit_names.editName(name) for name in names} == {f"⟦{name}⟧" for name in names}
