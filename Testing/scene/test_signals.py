from __future__ import annotations

import sys

import pytest

from MemorizingSAM3DLib.scene.signals import Signal


@pytest.fixture
def reported(monkeypatch):
    """What was given to `sys.excepthook`."""
    errors = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, traceback: errors.append(error))
    return errors


def test_connected_functions_are_called_in_their_order_with_the_arguments():
    heard, signal = [], Signal()
    signal.connect(lambda *values: heard.append(("first", values)))
    signal.connect(lambda *values: heard.append(("second", values)))
    signal.emit(1, "two")

    assert heard == [("first", (1, "two")), ("second", (1, "two"))]


def test_connecting_twice_calls_once():
    heard, signal = [], Signal()
    signal.connect(heard.append)
    signal.connect(heard.append)
    signal.emit(1)

    assert heard == [1]


def test_a_disconnected_function_is_not_called():
    heard, signal = [], Signal()
    signal.connect(heard.append)
    signal.disconnect(heard.append)
    signal.disconnect(heard.append)
    signal.emit(1)

    assert heard == []


def test_a_function_that_is_disconnected_while_the_signal_is_emitted_is_not_called_any_more():
    heard, signal = [], Signal()
    signal.connect(lambda: signal.disconnect(last))

    def last():
        heard.append(1)

    signal.connect(last)
    signal.emit()

    assert heard == []


def test_a_function_that_is_connected_while_the_signal_is_emitted_waits_for_the_next_time():
    heard, signal = [], Signal()

    def last():
        heard.append(1)

    signal.connect(lambda: signal.connect(last))
    signal.emit()
    assert heard == []
    signal.emit()
    assert heard == [1]


def test_an_error_in_one_function_is_reported_and_stops_neither_the_others_nor_the_caller(reported):
    heard, signal = [], Signal()
    signal.connect(lambda: 1 / 0)
    signal.connect(lambda: heard.append(1))
    signal.emit()

    assert heard == [1]
    assert [type(error) for error in reported] == [ZeroDivisionError]
