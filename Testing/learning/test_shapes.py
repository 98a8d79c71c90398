from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from MemorizingSAM3DLib.learning.shapes import LABELS, NESTED, label_map, smooth_field


def a_map(seed: int, size: int = 40) -> torch.Tensor:
    return label_map(np.random.default_rng(seed), torch.Generator().manual_seed(seed), size)


@pytest.fixture(scope="module")
def some_maps() -> list[np.ndarray]:
    return [a_map(seed).numpy() for seed in range(20)]


def test_a_label_map_follows_from_its_generators():
    assert torch.equal(a_map(3), a_map(3))
    assert not torch.equal(a_map(3), a_map(4))
    assert a_map(3).dtype == torch.uint8 and a_map(3).shape == (40, 40, 40)


def test_maps_hold_several_structures(some_maps):
    counts = [len(np.unique(labels)) - 1 for labels in some_maps]
    assert max(counts) < LABELS and np.median(counts) >= 6


def test_some_structures_are_nested(some_maps):
    nested = 0
    for labels in some_maps:
        for inner in np.unique(labels[labels >= NESTED]).tolist():
            lumen, wall = labels == inner, labels == inner - NESTED
            around = ndimage.binary_dilation(lumen) & ~lumen
            nested += int(around.any() and wall[around].mean() > 0.9)
    assert nested >= 5


def test_some_structures_touch(some_maps):
    touching = 0
    for labels in some_maps:
        a, b = labels[:-1], labels[1:]
        pairs = np.unique(np.stack([a, b])[:, (a != b) & (a > 1) & (b > 1)], axis=1)
        touching += pairs.shape[1]
    assert touching > 80


def test_some_structures_have_holes(some_maps):
    holed = 0
    for labels in some_maps:
        for label in np.unique(labels[labels > 0]).tolist():
            mask = labels == label
            holed += int((ndimage.binary_fill_holes(mask) & ~mask).any())
    assert holed >= 10


def test_maps_have_no_straight_boundaries_from_the_boxes_they_are_painted_in(some_maps):
    # A shape cut by its box would end in a plane: many voxels of a label in one slice, none in the next.
    cut = 0
    for labels in some_maps:
        for label in np.unique(labels[labels > 0]).tolist():
            profile = (labels == label).sum((1, 2))[1:-1]
            cut += int((np.abs(np.diff(profile)) > 0.25 * labels[0].size).any())
    assert cut <= 2


def test_a_smooth_field_has_little_difference_between_neighbours():
    field = smooth_field((3,), 4, 24, torch.Generator().manual_seed(0))
    assert field.shape == (3, 24, 24, 24)
    assert field.diff(dim=1).abs().max() < field.std() * 1.5
    assert smooth_field((), 4, 24, torch.Generator().manual_seed(0)).shape == (24, 24, 24)
