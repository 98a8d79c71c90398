from __future__ import annotations

from types import SimpleNamespace

import pytest

from MemorizingSAM3DLib.scene.signals import Signal
from MemorizingSAM3DLib.ui.controls import setAvailable


def test_a_control_that_can_be_used_says_what_it_does():
    control = SimpleNamespace(enabled=False, toolTip="")
    setAvailable(control, "Undo the last edit.")

    assert control.enabled
    assert control.toolTip == "<p>Undo the last edit.</p>"


def test_a_control_that_cannot_be_used_says_that_and_why():
    control = SimpleNamespace(enabled=True, toolTip="")
    setAvailable(control, "Undo the last edit.", "There is nothing to undo.")

    assert not control.enabled
    assert control.toolTip == "<p>Undo the last edit.</p><p><b>There is nothing to undo.</b></p>"


def test_a_name_is_never_taken_for_markup():
    control = SimpleNamespace(enabled=True, toolTip="")
    setAvailable(control, "Remove 'a<b>'.")

    assert control.toolTip == "<p>Remove 'a&lt;b&gt;'.</p>"


@pytest.fixture
def connections(slicer_application):
    from MemorizingSAM3DLib.ui.controls import Connections

    return Connections()


def test_close_takes_back_connections_of_both_kinds(connections):
    import qt

    button, signal, heard = qt.QPushButton(), Signal(), []
    connections.toWidget(button, "clicked()", lambda: heard.append("button"))
    connections.toSignal(signal, lambda: heard.append("signal"))
    button.click()
    signal.emit()
    connections.close()
    button.click()
    signal.emit()

    assert heard == ["button", "signal"]


def test_a_signal_that_does_not_exist_is_an_error(connections):
    """PythonQt only returns False."""

    class PythonQtObject:
        def connect(self, signature, function):
            return False

        def className(self):
            return "QPushButton"

    with pytest.raises(RuntimeError, match=r"QPushButton has no signal pressedHard\(\)"):
        connections.toWidget(PythonQtObject(), "pressedHard()", print)
