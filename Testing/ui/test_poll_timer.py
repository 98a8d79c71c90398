from __future__ import annotations

import sys

from Testing.harness.application.waiting import waitFor, waitSeconds


def polls(controller):
    return controller.calls.count("poll")


def test_nothing_is_polled_while_nothing_is_outstanding(a_module, controller):
    waitSeconds(0.05)

    assert polls(controller) == 0


def test_it_polls_as_long_as_something_is_outstanding_and_then_stops(a_module, controller):
    controller.outstanding = 5
    controller.wakeUp.emit()
    waitFor(lambda: polls(controller) == 5)
    waitSeconds(0.05)

    assert polls(controller) == 5


def test_waking_twice_polls_once(a_module, controller):
    controller.wakeUp.emit()
    controller.wakeUp.emit()
    waitSeconds(0.05)

    assert polls(controller) == 1


def test_work_goes_on_when_the_user_leaves_the_module(a_module, controller):
    controller.outstanding = 3
    a_module.exit()
    controller.wakeUp.emit()
    waitFor(lambda: polls(controller) == 3)


def test_a_closed_panel_polls_no_more(a_module, controller):
    controller.outstanding = 100
    controller.wakeUp.emit()
    a_module.close()
    before = polls(controller)
    waitSeconds(0.05)

    assert polls(controller) == before


def test_after_an_error_it_goes_on(a_module, controller, monkeypatch):
    from Testing.harness.pythonqt.errors import takeRecordedErrors

    monkeypatch.setattr(sys.modules["MemorizingSAM3DLib.ui.poll_timer"], "_INTERVAL_AFTER_ERROR", 20)
    poll, errors = controller.poll, [ZeroDivisionError()]

    def fails(wait):
        if errors:
            raise errors.pop()
        return poll(wait)

    controller.poll = fails
    controller.wakeUp.emit()
    waitFor(lambda: polls(controller) == 1)

    assert ["ZeroDivisionError" in error.text for error in takeRecordedErrors()] == [True]
