"""One axis after the other gives what resampling in three dimensions gives, for every parallel scan."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from MemorizingSAM3DLib.engine.errors import VolumeError
from MemorizingSAM3DLib.engine.geometry import CropGrid, Volume, resample_to_crop
from MemorizingSAM3DLib.engine.geometry import resampling as resampling_module
from MemorizingSAM3DLib.engine.geometry.parallel_resampling import parallel_axes, weighted

ORIENTATIONS = [
    np.eye(3)[:, list(order)] * signs
    for order in itertools.permutations(range(3))
    for signs in itertools.product((1.0, -1.0), repeat=3)
]


def a_scan(directions, spacing, shape, seed: int = 0, dtype=np.int16) -> Volume:
    matrix = np.eye(4)
    matrix[:3, :3] = np.asarray(directions) * spacing
    matrix[:3, 3] = (12.0, -7.0, 30.0)
    return Volume(np.random.default_rng(seed).integers(-1000, 1000, shape).astype(dtype), matrix)


def both_ways(volume: Volume, grid: CropGrid) -> tuple[np.ndarray, np.ndarray]:
    fast, inside = resample_to_crop(volume, grid)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resampling_module, "parallel_axes", lambda matrix, size: None)
        slow, same_inside = resample_to_crop(volume, grid)
    np.testing.assert_array_equal(inside, same_inside)
    return fast, slow


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(ORIENTATIONS), st.tuples(*[st.floats(0.3, 4)] * 3), st.tuples(*[st.integers(4, 30)] * 3),
       st.tuples(*[st.floats(-0.6, 1.6)] * 3), st.floats(0.3, 6))  # fmt: skip
def test_it_gives_what_resampling_in_three_dimensions_gives(directions, spacing, shape, place, crop_spacing):
    volume = a_scan(directions, spacing, shape)
    centre = volume.ijk_to_ras_points(np.array(place) * shape[::-1])
    try:
        fast, slow = both_ways(volume, CropGrid.around(centre, crop_spacing, 17))
    except VolumeError:
        assume(False)  # the crop lies beside the scan
    assert np.abs(fast - slow).max() < 1e-4 * 2000  # of the range of intensities
    assert fast.flags.c_contiguous and fast.dtype == np.float32


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float16, np.float32, np.float64, ">i2"])
def test_any_type_of_voxel_will_do(dtype):
    volume = a_scan(np.eye(3), (0.8, 0.7, 1.5), (20, 40, 41), dtype=dtype)
    fast, slow = both_ways(volume, CropGrid.around(volume.ijk_to_ras_points((20, 20, 10)), 2.0, 16))
    np.testing.assert_allclose(fast, slow, atol=1e-4 * float(np.abs(slow).max()))


def test_many_slices_are_taken_a_few_at_a_time(monkeypatch):
    from MemorizingSAM3DLib.engine.geometry import parallel_resampling

    generator = np.random.default_rng(0)
    region = generator.random((23, 11, 13))
    weights = [generator.random(shape).astype(np.float32) for shape in ((5, 23), (40, 11), (70, 13))]
    expected = np.einsum("xk,yj,zi,kji->xyz", *weights, region)
    for voxels in (1, 300, 10_000):
        monkeypatch.setattr(parallel_resampling, "_VOXELS_AT_ONCE", voxels)
        np.testing.assert_allclose(weighted(region, weights), expected, rtol=1e-5)


def test_a_scan_turned_by_a_degree_is_not_parallel():
    matrix = np.eye(4)
    assert parallel_axes(matrix, 128) == [0, 1, 2]
    angle = np.deg2rad(1.0)
    matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    assert parallel_axes(matrix, 128) is None


def test_the_rounding_of_a_header_does_not_turn_a_scan():
    matrix = np.eye(4)[[2, 0, 1, 3]] + 1e-7
    assert parallel_axes(matrix, 128) == [2, 0, 1]
