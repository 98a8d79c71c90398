from __future__ import annotations

import pytest

from MemorizingSAM3DLib.scene.signals import Signal


@pytest.fixture
def connections(slicer_application):
    from MemorizingSAM3DLib.ui.connections import Connections

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
