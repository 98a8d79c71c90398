from __future__ import annotations

import re

import pytest

from Testing.harness.pythonqt.driver import clickOn, pressKey

# Slicer's own and those of the Segment Editor, from their documentation.
TAKEN = {"Esc", "Space", "Q", "W", "I", "R", "G", "V", "F", "B", "T", "[", "]", "{", "}", "Del", "Backspace"}
MENUS = {"Alt+F", "Alt+E", "Alt+V", "Alt+H"}


@pytest.fixture
def keys(slicer_application):
    from MemorizingSAM3DLib.ui.panel.shortcuts import KEYS

    return KEYS


def test_the_keys_do_what_their_buttons_do(ui, controller, a_module, a_chosen_scan, keys):
    pressKey(a_module.dock, keys["inside"])
    assert controller.placing is True
    pressKey(a_module.dock, keys["outside"])
    assert controller.placing is False
    pressKey(a_module.dock, keys["outside"])
    assert controller.placing is None

    pressKey(a_module.dock, keys["nextSegment"])
    controller.place((1, 2, 3))
    controller.place((4, 5, 6))
    pressKey(a_module.dock, keys["deleteLast"])
    assert len(controller.points) == 1
    pressKey(a_module.dock, keys["undo"])
    assert len(controller.points) == 2
    pressKey(a_module.dock, keys["redo"])
    assert len(controller.points) == 1

    controller.setStatus(busy="Encoding the scan", canCancel=True)
    pressKey(a_module.dock, keys["cancel"])
    assert controller.calls[-1] == "cancel"


def test_the_key_of_a_disabled_button_does_nothing(controller, a_module, keys):
    pressKey(a_module.dock, keys["inside"])

    assert controller.placing is None
    assert controller.calls == []


def test_the_keys_work_only_while_the_module_is_open(ui, controller, a_module, a_chosen_scan, keys):
    a_module.exit()
    a_module.dock.show()
    pressKey(a_module.dock, keys["inside"])
    assert controller.placing is None

    a_module.enter()
    pressKey(a_module.dock, keys["inside"])
    assert controller.placing is True


def test_entering_twice_does_not_double_a_key(controller, a_module, a_chosen_scan, keys):
    a_module.widget.enter()
    pressKey(a_module.dock, keys["inside"])

    assert controller.calls.count("startPlacing") == 1


def test_no_key_is_slicers_or_a_letter_that_is_typed(keys):
    assert not set(keys.values()) & (TAKEN | MENUS)
    assert all(re.fullmatch(r"Alt\+[A-Z]", key) for key in keys.values())
    assert len(set(keys.values())) == len(keys)


def test_a_key_stands_in_the_tooltip_of_its_button(ui, controller, a_chosen_scan, keys):
    controller.place((1, 2, 3))
    for name in ("inside", "outside", "undo", "redo", "deleteLast", "nextSegment", "cancel"):
        button = ui.shortcutsButton if name == "help" else getattr(ui, f"{name}Button", None) or ui.nextSegmentButton
        assert f"({keys[name]})" in button.toolTip, name


def test_the_list_of_keys_names_them_all(ui, slicer_application, keys):
    clickOn(ui.advancedSection)
    clickOn(ui.shortcutsButton)

    for key in keys.values():
        assert f"{key}: " in slicer_application.dialogs.last.text
