from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from MemorizingSAM3DLib.learning.morphology import dilated, eroded


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
