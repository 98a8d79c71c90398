"""Boxes of voxels and the crop's grid."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st

from MemorizingSAM3DLib.engine.geometry import Box, CropGrid

SHAPE = (9, 8, 7)
EDGES = st.integers(-4, 12)
BOXES = st.builds(Box, EDGES, EDGES, EDGES, EDGES, EDGES, EDGES)


def voxels(box: Box) -> np.ndarray:
    """The box painted into an array, index by index: the meaning that the methods must keep."""
    k, j, i = np.indices((30, 30, 30)) - 10
    return (box.k0 <= k) & (k < box.k1) & (box.j0 <= j) & (j < box.j1) & (box.i0 <= i) & (i < box.i1)


@given(BOXES, BOXES)
def test_boxes_intersect_and_unite_as_sets_of_voxels(one, other) -> None:
    assert np.array_equal(voxels(one.intersection(other)), voxels(one) & voxels(other))
    union = one.union(other)
    assert not (voxels(one) | voxels(other))[~voxels(union)].any()
    assert union.is_empty == (one.is_empty and other.is_empty)


@given(BOXES)
def test_a_clipped_box_indexes_an_array_and_has_its_shape(box) -> None:
    clipped = box.clipped(SHAPE)
    assert np.zeros(SHAPE)[clipped.slices].shape == clipped.shape
    assert np.prod(clipped.shape) == (voxels(box) & voxels(Box.whole(SHAPE))).sum()
    assert clipped.is_empty == (clipped.shape[0] * clipped.shape[1] * clipped.shape[2] == 0)


@given(st.lists(st.tuples(*(st.integers(0, n - 1) for n in SHAPE)), max_size=5), st.sampled_from([bool, np.uint8, int]))
def test_the_box_of_a_mask_is_the_smallest_that_holds_it(points, dtype) -> None:
    mask = np.zeros(SHAPE, dtype)
    for point in points:
        mask[point] = 4 if dtype is not bool else True
    box = Box.of_mask(mask)
    assert box.is_empty == (not points)
    if points:
        assert box.low == tuple(np.min(points, axis=0))
        assert box.high == tuple(np.max(points, axis=0) + 1)


def test_dilation_grows_every_side_and_leaves_the_empty_box_empty() -> None:
    assert Box(1, 2, 3, 4, 5, 6).dilated(2) == Box(-1, 4, 1, 6, 3, 8)
    assert Box(1, 2, 3, 4, 5, 6).dilated((0, 1, 2)) == Box(1, 2, 2, 5, 3, 8)
    assert Box(3, 3, 0, 5, 0, 5).dilated(2).is_empty


def test_the_crop_is_centred_and_its_axes_run_with_ras() -> None:
    grid = CropGrid((10.0, -20.0, 30.0), 1.5, 128)
    assert grid.index_to_ras((63.5, 63.5, 63.5)) == pytest.approx((10.0, -20.0, 30.0))
    assert grid.index_to_ras((0, 0, 0)) == pytest.approx(np.array((10.0, -20.0, 30.0)) - 127 / 2 * 1.5)
    assert grid.index_to_ras((64.5, 63.5, 63.5)) == pytest.approx((11.5, -20.0, 30.0))
    points = np.random.default_rng(0).uniform(-500, 500, (20, 3))
    assert np.abs(grid.index_to_ras(grid.ras_to_index(points)) - points).max() < 1e-10
    assert np.allclose(grid.ras_to_index_matrix @ grid.index_to_ras_matrix, np.eye(4))
    assert CropGrid.around(np.array([10, -20, 30]), 1.5) == grid


def test_the_field_of_view_reaches_half_a_voxel_beyond_the_outermost_centres() -> None:
    grid = CropGrid((0.0, 0.0, 0.0), 2.0, 10)
    assert grid.contains((10.0, -10.0, 0.0))
    assert not grid.contains((10.01, 0.0, 0.0))
    assert grid.contains((8.0, 0.0, 0.0), margin_voxels=1)
    assert not grid.contains((8.01, 0.0, 0.0), margin_voxels=1)
    assert not grid.contains((np.nan, 0.0, 0.0))


def test_of_many_points_each_is_told_what_it_would_be_told_alone() -> None:
    grid = CropGrid((1.0, -2.0, 0.5), 0.7, 10)
    points = np.random.default_rng(0).uniform(-6, 6, (200, 3))
    points = np.vstack([points, grid.index_to_ras([[-0.5, 9.5, 0], [9.5, 9.6, 0]]), [[np.nan, 0.0, 0.0]]])
    told = grid.contains_each(points)
    assert told.tolist() == [grid.contains(point) for point in points]
    assert 0 < told.sum() < 200
    assert grid.contains_each([]).shape == (0,)


@pytest.mark.parametrize("size", [32, 64, 128, 256])
def test_a_coarser_grid_has_the_same_field_of_view(size) -> None:
    grid = CropGrid((1.0, 2.0, 3.0), 0.7, 128)
    coarse = grid.coarser(size)
    assert coarse.index_to_ras((-0.5,) * 3) == pytest.approx(grid.index_to_ras((-0.5,) * 3))
    assert coarse.index_to_ras((size - 0.5,) * 3) == pytest.approx(grid.index_to_ras((127.5,) * 3))


@pytest.mark.parametrize(
    "arguments", [((np.nan, 0, 0), 1.0, 8), ((0, 0, 0), 0.0, 8), ((0, 0, 0), np.inf, 8), ((0, 0, 0), 1.0, 0)]
)
def test_a_grid_without_sense_is_refused(arguments) -> None:
    with pytest.raises(ValueError, match="A crop needs"):
        CropGrid(*arguments)


def test_the_reference_image_puts_voxels_where_the_grid_does() -> None:
    grid = CropGrid((10.0, -20.0, 30.0), 1.5, 8)
    r, a, s = grid.index_to_ras((1, 2, 3))
    image = grid.reference_image()
    assert image.TransformIndexToPhysicalPoint((3, 2, 1)) == pytest.approx((-r, -a, s))
    assert sitk.GetArrayFromImage(image).shape == (8, 8, 8)
