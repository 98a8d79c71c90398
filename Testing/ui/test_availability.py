from __future__ import annotations

from types import SimpleNamespace

from MemorizingSAM3DLib.ui.availability import setAvailable


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
