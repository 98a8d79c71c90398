"""A packed mask says of every voxel what the array said."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from MemorizingSAM3DLib.engine.geometry import Box
from MemorizingSAM3DLib.engine.geometry.packed_mask import NOWHERE, PackedMask

MASKS = hnp.arrays(bool, st.tuples(*[st.integers(1, 9)] * 3))


def packed(array: np.ndarray) -> PackedMask:
    return PackedMask.of(array, Box.whole(array.shape))


@st.composite
def boxes(draw, shape):
    ends = [sorted(draw(st.tuples(st.integers(0, n), st.integers(0, n)))) for n in shape]
    return Box(*(end for pair in ends for end in pair))


@settings(max_examples=80, deadline=None)
@given(MASKS, st.lists(st.tuples(*[st.integers(-2, 11)] * 3), min_size=1))
def test_many_voxels_are_asked_for_at_once(array, voxels):
    mask = packed(array)
    told = mask.at_each(np.array(voxels))
    assert told.dtype == bool
    assert told.tolist() == [mask.at(voxel) for voxel in voxels]


@settings(max_examples=80, deadline=None)
@given(MASKS, st.data())
def test_any_box_of_it_is_what_the_array_has_there(array, data):
    mask = packed(array)
    box = data.draw(boxes(array.shape))
    part = mask.within(box)
    assert (part == array[box.slices]).all()
    part[...] = True  # fresh and writable: the packed mask keeps its own
    assert (mask.within(box) == array[box.slices]).all()


@settings(max_examples=80, deadline=None)
@given(MASKS)
def test_single_voxels_can_be_asked(array):
    mask = packed(array)
    assert [mask.at(voxel) for voxel in np.ndindex(array.shape)] == array.ravel().tolist()
    assert not mask.at((-1, 0, 0))
    assert not mask.at(array.shape)


@settings(max_examples=80, deadline=None)
@given(MASKS, st.data())
def test_the_difference_box_is_the_tightest_one(array, data):
    other = data.draw(hnp.arrays(bool, array.shape))
    assert packed(array).difference_box(packed(other)) == Box.of_mask(array != other)


def test_masks_that_agree_differ_nowhere():
    array = np.zeros((5, 6, 7), bool)
    array[2, 3, 4] = True
    assert packed(array).difference_box(packed(array.copy())).is_empty
    assert PackedMask().difference_box(PackedMask()) == NOWHERE


def test_the_array_may_cover_a_box_of_the_scan_only():
    array = np.zeros((4, 4, 4), bool)
    array[1:3, 2, 3] = True
    mask = PackedMask.of(array, Box(10, 14, 20, 24, 30, 34))
    assert mask.box == Box(11, 13, 22, 23, 33, 34)
    assert mask.at((11, 22, 33))
    assert mask.within(Box(0, 40, 0, 40, 0, 40)).sum() == 2


def test_an_empty_mask_is_empty_wherever_it_was_cut_from():
    mask = PackedMask.of(np.zeros((3, 3, 3), bool), Box(5, 8, 5, 8, 5, 8))
    assert mask.is_empty
    assert mask.box == NOWHERE
    assert not mask.at((5, 5, 5))
    assert not mask.within(Box(0, 9, 0, 9, 0, 9)).any()


def test_it_costs_a_bit_a_voxel_of_its_bounding_box():
    array = np.zeros((100, 100, 100), bool)
    array[10:30, 10:30, 10:30] = True
    assert len(packed(array).bits) == 20**3 / 8


@pytest.mark.parametrize("layout", [np.asfortranarray, lambda a: a[::-1, :, ::-1]])
def test_the_arrays_memory_layout_does_not_matter(layout):
    array = layout(np.random.default_rng(0).random((5, 6, 7)) > 0.5)
    assert (packed(array).within(Box.whole(array.shape)) == array).all()
