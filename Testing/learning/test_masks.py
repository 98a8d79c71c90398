from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from MemorizingSAM3DLib.learning.masks import dilated, eroded, foreground, occupied_box, otsu_threshold


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


@pytest.mark.parametrize("radius", [1, 2, 3])
def test_an_axis_after_the_other_gives_what_a_box_gives(radius):
    masks = (torch.rand(2, 1, 14, 15, 16, generator=torch.Generator().manual_seed(0)) > 0.97).float()
    width = 2 * radius + 1
    assert torch.equal(dilated(masks, radius), functional.max_pool3d(masks, width, stride=1, padding=radius))
    filled = functional.pad(1 - masks, [radius] * 6)  # beyond the array there is nothing
    assert torch.equal(eroded(1 - masks, radius), 1 - functional.max_pool3d(1 - filled, width, stride=1))


def test_dilation_keeps_values_between_nothing_and_all():
    masks = torch.zeros(1, 1, 5, 5, 5)
    masks[0, 0, 2, 2, 2] = 0.25
    assert set(dilated(masks, 1).unique().tolist()) == {0.0, 0.25}
