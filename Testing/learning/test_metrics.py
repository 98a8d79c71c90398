from __future__ import annotations

import numpy as np

from MemorizingSAM3DLib.learning.metrics import dice


def test_dice_is_twice_the_overlap_over_the_sum():
    a, b = np.zeros((4, 4, 4), bool), np.zeros((4, 4, 4), bool)
    a[0, 0, :3] = True
    b[0, 0, 2:] = True
    assert dice(a, b) == 2 * 1 / 5
    assert dice(a, a) == 1


def test_two_empty_masks_agree():
    empty = np.zeros((2, 2, 2), bool)
    assert dice(empty, empty) == 1
