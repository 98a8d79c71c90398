from __future__ import annotations

import pytest

from MemorizingSAM3DLib.engine.prompts import Click
from MemorizingSAM3DLib.scene.edits.segment_edits import withoutClick, withTurnedClick

A, B = Click((1.0, 2.0, 3.0)), Click((4.0, 5.0, 6.0), False)


def test_one_click_is_left_out():
    assert withoutClick((A, B, A), 1) == (A, A)


def test_one_click_is_turned():
    assert withTurnedClick((A, B), 1) == (A, Click(B.ras, True))
    assert withTurnedClick((A, B), 0) == (Click(A.ras, False), B)


@pytest.mark.parametrize("number", [-1, 2])
def test_a_click_that_is_gone_is_left_alone(number):
    assert withoutClick((A, B), number) == withTurnedClick((A, B), number) == (A, B)
