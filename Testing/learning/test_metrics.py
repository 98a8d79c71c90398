from __future__ import annotations

import numpy as np
import pytest

from MemorizingSAM3DLib.learning.metrics import area_under_clicks, dice


def test_dice_is_twice_the_overlap_over_the_sum():
    a, b = np.zeros((4, 4, 4), bool), np.zeros((4, 4, 4), bool)
    a[0, 0, :3] = True
    b[0, 0, 2:] = True
    assert dice(a, b) == 2 * 1 / 5
    assert dice(a, a) == 1


def test_two_empty_masks_agree():
    empty = np.zeros((2, 2, 2), bool)
    assert dice(empty, empty) == 1


@pytest.mark.parametrize(
    ("scores", "area"), [([0.7], 0.7), ([1, 1, 1, 1], 1), ([0, 1], 0.5), ([0, 1, 1], 0.75), ([0.2, 0.4, 0.9], 0.475)]
)
def test_the_area_is_that_of_trapezoids_over_the_clicks_between(scores, area):
    assert area_under_clicks(scores) == pytest.approx(area)
