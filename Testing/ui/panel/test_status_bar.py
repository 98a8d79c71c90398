from __future__ import annotations

import pytest

from Testing.harness.pythonqt.driver import clickOn

WARNING = "Running on the CPU: slower than on a GPU."
ERROR = "The click is outside the scan. Click inside it."


def test_a_new_panel_has_neither_warning_nor_error(ui):
    assert not ui.warningFrame.visible
    assert not ui.errorFrame.visible


def test_a_warning_stays_as_long_as_it_is_true(ui, controller, a_chosen_scan):
    controller.setStatus(warning=WARNING)
    clickOn(ui.insideButton)
    assert ui.warningFrame.visible
    assert ui.warningLabel.text == WARNING

    controller.setStatus(warning=None)
    assert not ui.warningFrame.visible


def test_an_error_stays_until_the_next_action(ui, controller, a_chosen_scan):
    controller.failed.emit(ERROR)
    controller.pointsChanged.emit()
    controller.statusChanged.emit()
    assert ui.errorFrame.visible
    assert ui.errorLabel.text == ERROR

    clickOn(ui.insideButton)
    assert not ui.errorFrame.visible


def test_opening_a_section_is_no_action(ui, controller):
    controller.failed.emit(ERROR)
    clickOn(ui.pointsSection)

    assert ui.errorFrame.visible


def test_a_click_in_a_view_that_is_computed_takes_the_error_away(ui, controller):
    controller.failed.emit(ERROR)
    controller.setStatus(busy="Segmenting")

    assert not ui.errorFrame.visible


def test_an_error_of_the_running_work_stays_when_it_ends(ui, controller):
    controller.setStatus(busy="Encoding the scan")
    controller.failed.emit(ERROR)
    controller.setStatus(busy=None)

    assert ui.errorFrame.visible


def test_an_error_can_be_hidden(ui, controller):
    controller.failed.emit(ERROR)
    clickOn(ui.dismissErrorButton)

    assert not ui.errorFrame.visible


def test_an_error_in_our_own_code_is_shown_with_its_details_and_not_swallowed(a_module, slicer_application):
    def fails():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        a_module.widget.panel.notices.run(fails)

    assert "please report it" in slicer_application.dialogs.last.text
    assert "ZeroDivisionError" in slicer_application.dialogs.last.details["detailedText"]


def test_a_message_is_shown_as_it_stands(ui, controller):
    controller.failed.emit("<b>5 < 7</b>")

    assert ui.errorLabel.text == "<b>5 < 7</b>"
    assert ui.errorLabel.textFormat == 0  # Qt.PlainText


def test_model_device_and_last_click_are_shown(ui, controller):
    controller.setStatus(model="Native 1", device="CPU (2 threads), float32", lastClickMilliseconds=412.4)

    assert ui.modelLabel.text == "Native 1"
    assert ui.deviceLabel.text == "CPU (2 threads), float32"
    assert ui.lastClickLabel.text == "412 ms"


@pytest.mark.parametrize(
    ("milliseconds", "text"), [(None, "\N{EN DASH}"), (0.4, "0 ms"), (999.0, "999 ms"), (1530.0, "1.5 s")]
)
def test_the_last_click_is_given_in_a_fitting_unit(ui, controller, milliseconds, text):
    controller.setStatus(lastClickMilliseconds=milliseconds)

    assert ui.lastClickLabel.text == text


def test_work_of_unknown_length_makes_the_bar_run(ui, controller):
    controller.setStatus(busy="Loading the model", canCancel=True)

    assert ui.busyLabel.text == "Loading the model"
    assert (ui.busyBar.minimum, ui.busyBar.maximum) == (0, 0)


def test_work_of_known_length_fills_the_bar(ui, controller):
    controller.setStatus(busy="Encoding the scan", progress=0.4, canCancel=True)

    assert ui.busyLabel.text == "Encoding the scan: 40 %"
    assert ui.busyBar.value == 0.4 * ui.busyBar.maximum


def test_cancel_cancels_and_is_disabled_when_nothing_is_computed(ui, controller):
    assert not ui.cancelButton.enabled
    assert "Nothing is being computed." in ui.cancelButton.toolTip

    controller.setStatus(busy="Encoding the scan", canCancel=True)
    clickOn(ui.cancelButton)

    assert controller.calls[-1] == "cancel"
    assert ui.busyLabel.text == "Ready"
    assert ui.busyBar.value == 0
    assert not ui.cancelButton.enabled


def test_what_cannot_be_cancelled_says_so(ui, controller):
    controller.setStatus(busy="Writing the segment", canCancel=False)

    assert not ui.cancelButton.enabled
    assert "cannot be stopped" in ui.cancelButton.toolTip


def test_nothing_jumps_when_work_begins_and_ends(ui, controller, a_module):
    before = ui.handSection.geometry
    controller.setStatus(busy="Encoding the scan", canCancel=True)

    assert ui.handSection.geometry == before
