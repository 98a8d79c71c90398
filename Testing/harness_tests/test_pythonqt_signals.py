"""Connecting signals, as PythonQt does it (rule 5), but loud where PythonQt is silent."""

from __future__ import annotations

import functools

import pytest

from Testing.harness.pythonqt.driver import processEvents
from Testing.harness.pythonqt.errors import SilentFailure, takeRecordedErrors
from Testing.harness.pythonqt.fixtures import a_pythonqt, a_qt_application, no_error_in_slots  # noqa: F401
from Testing.harness.pythonqt.modules import modules

qt, ctk = modules["qt"], modules["ctk"]
pytestmark = pytest.mark.usefixtures("a_pythonqt")


@pytest.fixture
def button():
    made = qt.QPushButton("press")
    made.checkable = True
    return made


@pytest.mark.parametrize("signature", ["clicked(bool)", "clicked( bool )", "toggled(bool)", "2clicked(bool)"])
def test_a_function_is_called_with_what_the_signal_has(button, signature):
    got = []
    assert button.connect(signature, got.append) is True
    button.click()
    assert got == [True]


def test_an_overload_without_arguments_gives_none(button):
    got = []
    button.connect("clicked()", lambda *arguments: got.append(arguments))
    button.click()
    assert got == [()]


def test_a_function_gets_no_more_than_it_takes(button):
    got = []
    button.connect("clicked(bool)", lambda: got.append("called"))
    button.click()
    assert got == ["called"]


def test_an_argument_with_a_default_counts_as_taken(button):
    got = []
    button.connect("clicked(bool)", lambda value="default": got.append(value))
    button.click()
    assert got == [True]


def test_a_partial_gets_everything(button):
    button.connect("clicked(bool)", functools.partial(lambda: None))
    button.click()
    (error,) = takeRecordedErrors()
    assert isinstance(error.exception, TypeError)


def test_a_bound_method_does_not_count_its_self(button):
    class Listener:
        def __init__(self):
            self.calls = 0

        def heard(self):
            self.calls += 1

    listener = Listener()
    button.clicked.connect(listener.heard)
    button.click()
    assert listener.calls == 1


def test_the_signal_itself_connects_its_first_overload(button):
    got = []
    button.clicked.connect(got.append)
    button.click()
    assert got == [True]


@pytest.mark.parametrize("signature", ["klicked()", "clicked(int)", "clicked", "setText(QString)", "text"])
def test_a_signal_that_does_not_exist_fails_the_test(button, signature):
    with pytest.raises(SilentFailure):
        button.connect(signature, lambda: None)
    assert takeRecordedErrors()


def test_a_swallowed_failure_to_connect_is_still_recorded(button):
    try:
        button.connect("klicked()", lambda: None)
    except AssertionError:
        pass
    (error,) = takeRecordedErrors()
    assert "klicked()" in error.text


def test_a_signal_that_does_not_exist_is_no_attribute(button):
    with pytest.raises(AttributeError):
        button.klicked.connect(lambda: None)


def test_an_exception_in_a_slot_is_recorded_and_the_caller_goes_on(button, capsys):
    after = []
    button.connect("clicked(bool)", lambda: 1 / 0)
    button.connect("clicked(bool)", lambda: after.append(1))
    button.click()
    assert after == [1]
    (error,) = takeRecordedErrors()
    assert isinstance(error.exception, ZeroDivisionError)
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_a_connection_can_be_ended(button):
    got = []
    button.connect("clicked(bool)", got.append)
    assert button.disconnect("clicked(bool)", got.append) is True
    button.click()
    assert got == []


def test_bound_methods_are_found_again_for_disconnecting(button):
    class Listener:
        def heard(self, _checked):
            raise AssertionError("still connected")

    listener = Listener()
    button.clicked.connect(listener.heard)
    assert button.clicked.disconnect(listener.heard) is True
    button.click()


def test_ending_a_connection_that_is_not_there_returns_false(button):
    assert button.disconnect("clicked(bool)", print) is False


def test_ending_a_connection_of_a_signal_that_does_not_exist_fails_the_test(button):
    with pytest.raises(SilentFailure):
        button.disconnect("klicked()", print)
    takeRecordedErrors()


def test_a_signal_can_be_connected_to_a_slot_of_another_object(button):
    label = qt.QLabel()
    assert button.connect("clicked()", label, "hide()")
    label.show()
    button.click()
    assert not label.visible


@pytest.mark.parametrize("slot", ["hyde()", "text()", "setText(int)"])
def test_a_slot_that_does_not_exist_fails_the_test(button, slot):
    with pytest.raises(SilentFailure):
        button.connect("clicked()", qt.QLabel(), slot)
    takeRecordedErrors()


def test_a_deleted_receiver_is_forgotten(button):
    label = qt.QLabel()
    button.connect("clicked()", label, "hide()")
    label.delete()
    button.click()


def test_the_static_form_of_connect_works(button):
    got = []
    assert qt.QObject.connect(button, qt.SIGNAL("clicked()"), lambda: got.append(1))
    button.click()
    assert got == [1]


def test_calling_a_signal_emits_it(button):
    got = []
    button.connect("clicked(bool)", got.append)
    button.clicked(True)
    assert got == [True]


def test_qt_objects_arrive_as_proxies():
    group = qt.QButtonGroup()
    first = qt.QPushButton("first")
    group.addButton(first, 7)
    got = []
    group.connect("buttonClicked(QAbstractButton*)", got.append)
    first.click()
    assert got == [first] and got[0] is first


def test_signals_of_ctk_widgets_have_their_signatures():
    box, got = ctk.ctkDoubleSpinBox(), []
    box.connect("valueChanged(double)", got.append)
    box.connect("valueChanged(QString)", got.append)
    box.value = 2.5
    assert got == [2.5, "2.50"]


def test_nodes_arrive_as_nodes(a_scene):
    import slicer

    widget, got = slicer.qMRMLWidget(), []
    widget.connect("mrmlSceneChanged(vtkMRMLScene*)", got.append)
    widget.setMRMLScene(a_scene)
    assert got == [a_scene]


def test_a_pointer_of_another_class_is_refused(a_scene):
    import slicer

    with pytest.raises(ValueError, match="overload"):
        slicer.qMRMLWidget().setMRMLScene(slicer.vtkMRMLModelNode())


def test_a_timer_calls_until_it_is_stopped():
    timer, ticks = qt.QTimer(), []
    timer.interval = 1
    timer.timeout.connect(lambda: ticks.append(1))
    timer.start()
    processEvents(until=lambda: len(ticks) >= 3)
    timer.stop()
    assert timer.active is False
