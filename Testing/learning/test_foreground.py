from __future__ import annotations

import numpy as np
import pytest

from MemorizingSAM3DLib.learning.foreground import foreground, occupied_box, otsu_threshold


def test_the_foreground_is_the_body_with_its_holes():
    body = np.zeros((20, 20, 20), dtype=bool)
    body[3:15, 4:16, 5:17] = True
    image = np.where(body, 500, 20).astype(np.int16)
    image[8:10, 8:10, 8:10] = 20  # a hole
    image[18, 18, 18] = 500  # a speck beside it
    np.testing.assert_array_equal(foreground(image), body)


@pytest.mark.parametrize("levels", [(-1000, 40), (0.0, 0.02)])
def test_the_threshold_lies_between_two_classes(levels):
    rng = np.random.default_rng(0)
    dark, bright = levels
    values = np.concatenate([np.full(6000, dark), np.full(2000, bright)]) + rng.normal(0, 0.05 * (bright - dark), 8000)
    threshold = otsu_threshold(rng.permutation(values).reshape(20, 20, 20))
    assert dark + 0.2 * (bright - dark) < threshold < bright - 0.2 * (bright - dark)


def test_the_box_of_a_scan_holds_both_legs_and_what_is_dim_but_no_specks():
    image = np.zeros((40, 30, 20), dtype=np.float32)
    image[4:14, 8:20, 3:18] = 100
    image[24:34, 9:21, 3:17] = 100
    image[16:18, 22:27, 5:15] = 15  # dim, as most of a PET
    image[39, 29, 19] = 100
    assert occupied_box(image) == (slice(4, 34), slice(8, 27), slice(3, 18))


def test_a_constant_image_is_all_foreground():
    image = np.full((5, 6, 7), 3, dtype=np.int16)
    assert foreground(image).all()
    assert occupied_box(image) == (slice(0, 5), slice(0, 6), slice(0, 7))
