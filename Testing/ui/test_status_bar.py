from __future__ import annotations

import pytest

from Testing.harness.pythonqt.driver import clickOn


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
