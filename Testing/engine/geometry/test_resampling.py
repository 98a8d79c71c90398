"""One axis after the other gives what resampling in three dimensions gives, for every parallel scan.

Scan to crop and back, for every orientation, spacing and anisotropy.
"""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from MemorizingSAM3DLib.engine.errors import VolumeError
from MemorizingSAM3DLib.engine.geometry import (
    OUTSIDE_LOGIT,
    Box,
    CropGrid,
    Volume,
    box_of_crop,
    mask_to_crop,
    paste_logits,
    pasting,
    resample_to_crop,
    threshold_on_scan,
)
from MemorizingSAM3DLib.engine.geometry import resampling as resampling_module
from MemorizingSAM3DLib.engine.geometry.resampling import parallel_axes, weighted

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
    from MemorizingSAM3DLib.engine.geometry import resampling as parallel_resampling

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


AXIS_ORIENTATIONS = [
    np.eye(3)[:, list(order)] * signs
    for order in itertools.permutations(range(3))
    for signs in itertools.product((1.0, -1.0), repeat=3)
]
OBLIQUE = [Rotation.random(random_state=seed).as_matrix() * (-1) ** seed for seed in range(6)]
GRADIENT = np.array([2.0, -3.0, 5.0])


def empty_scan(directions, spacing, extent_mm: float, centre=(17.0, -31.0, 83.0)) -> Volume:
    """A scan of about extent_mm^3 around a centre; its voxels do not matter."""
    counts = np.maximum(np.ceil(extent_mm / np.array(spacing)), 4).astype(int)
    matrix = np.eye(4)
    matrix[:3, :3] = np.asarray(directions) * spacing
    matrix[:3, 3] = centre - matrix[:3, :3] @ ((counts - 1) / 2)
    array = np.zeros(counts[::-1], np.uint8)
    array[0, 0, 0] = 1
    return Volume(array, matrix)


def ras_of_voxels(volume: Volume) -> np.ndarray:
    """(K, J, I, 3) RAS mm."""
    k, j, i = np.indices(volume.shape)
    return volume.ijk_to_ras_points(np.stack([i, j, k], axis=-1))


def ras_of_grid(grid: CropGrid) -> np.ndarray:
    return grid.index_to_ras(np.stack(np.indices((grid.size,) * 3), axis=-1))


def ramp_scan(directions, spacing, extent_mm: float) -> Volume:
    scan = empty_scan(directions, spacing, extent_mm)
    return Volume((ras_of_voxels(scan) @ GRADIENT).astype(np.float32), scan.ijk_to_ras)


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return 2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other))


def dice_of_pasted_ball(volume: Volume, centre: np.ndarray, radius: float, crop_spacing: float) -> float:
    grid = CropGrid.around(centre + np.array([0.31, -0.17, 0.44]) * crop_spacing, crop_spacing)
    logits = radius - np.linalg.norm(ras_of_grid(grid.coarser(64)) - centre, axis=-1)
    box, pasted = paste_logits(logits, grid, volume)
    mask = np.zeros(volume.shape, bool)
    mask[box.slices] = pasted > 0
    return dice(mask, np.linalg.norm(ras_of_voxels(volume) - centre, axis=-1) <= radius)


# -- resample_to_crop


@pytest.mark.parametrize("anti_alias", [False, True])
@pytest.mark.parametrize("directions", [*AXIS_ORIENTATIONS, *OBLIQUE])
def test_a_ramp_keeps_its_values_in_every_orientation(directions, anti_alias) -> None:
    volume = ramp_scan(directions, (0.5, 1.0, 2.0), 44.0)
    grid = CropGrid((18.0, -30.0, 82.0), 1.5, 16)
    crop, inside = resample_to_crop(volume, grid, anti_alias)
    assert crop.dtype == np.float32
    assert inside.all()
    assert np.abs(crop - ras_of_grid(grid) @ GRADIENT).max() < 2e-3


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    finest=st.floats(0.3, 3.0),
    stretch=st.permutations([1.0, 2.0, 10.0]),
    crop_spacing=st.floats(0.5, 3.0),
)
def test_a_ramp_keeps_its_values_in_oblique_anisotropic_scans(seed, finest, stretch, crop_spacing) -> None:
    spacing = tuple(min(finest * factor, 6.0) for factor in stretch)
    volume = ramp_scan(Rotation.random(random_state=seed).as_matrix(), spacing, 12 * max(spacing))
    assume(volume.array.size < 2e6)
    grid = CropGrid((17.0, -31.0, 83.0), crop_spacing, 12)
    crop, inside = resample_to_crop(volume, grid)
    # Near the scan's faces there is nothing to interpolate with: the ramp is flat there.
    beyond = 0.5 + np.maximum(5 * grid.spacing / np.array(spacing), 0)
    ijk = volume.ras_to_ijk(ras_of_grid(grid))
    deep = ((ijk > beyond) & (ijk < np.array(volume.shape[::-1]) - 1 - beyond)).all(axis=-1)
    assert inside[deep].all()
    assert np.abs(crop - ras_of_grid(grid) @ GRADIENT)[deep].max(initial=0) < 5e-3


@pytest.mark.parametrize("directions", [np.eye(3), AXIS_ORIENTATIONS[29], OBLIQUE[0], OBLIQUE[3]])
def test_inside_is_where_the_scan_is_and_the_rest_is_its_lowest_value(directions) -> None:
    volume = ramp_scan(directions, (1.0, 1.3, 2.1), 20.0)
    grid = CropGrid((25.0, -31.0, 90.0), 1.1, 32)
    crop, inside = resample_to_crop(volume, grid, anti_alias=False)
    ijk = volume.ras_to_ijk(ras_of_grid(grid))
    expected = ((ijk > -0.5) & (ijk < np.array(volume.shape[::-1]) - 0.5)).all(axis=-1)
    assert np.array_equal(inside, expected)
    assert 0.05 < inside.mean() < 0.95
    padding = np.unique(crop[~inside])
    assert padding.size == 1
    assert volume.array.min() <= padding[0] <= crop[inside].min()


def test_it_agrees_with_simpleitk_on_the_reference_image() -> None:
    scan = empty_scan(OBLIQUE[1], (1.0, 1.4, 2.0), 60.0)
    volume = Volume(np.random.default_rng(0).normal(size=scan.shape).astype(np.float32), scan.ijk_to_ras)
    grid = CropGrid((20.0, -35.0, 80.0), 1.2, 40)
    crop, inside = resample_to_crop(volume, grid, anti_alias=False)
    reference = sitk.Resample(volume.to_sitk(), grid.reference_image(), sitk.Transform(), sitk.sitkLinear, 0.0)
    assert np.abs(sitk.GetArrayFromImage(reference) - crop)[inside].max() < 1e-5


@pytest.mark.parametrize("spacing", [0.3, 0.7])
def test_shrinking_averages_fine_texture_away_and_aliasing_does_not(spacing) -> None:
    scan = empty_scan(np.eye(3), (spacing,) * 3, 42.0)
    checkers = (np.indices(scan.shape).sum(axis=0) % 2).astype(np.int16) * 1000
    volume, grid = Volume(checkers, scan.ijk_to_ras), CropGrid((17.0, -31.0, 83.0), 1.5, 16)
    smooth, _ = resample_to_crop(volume, grid)
    assert np.abs(smooth - 500).max() < 5
    assert resample_to_crop(volume, grid, anti_alias=False)[0].std() > 50


def test_magnifying_does_not_smooth() -> None:
    scan = empty_scan(np.eye(3), (2.0, 2.0, 2.0), 60.0)
    volume = Volume(np.random.default_rng(0).normal(size=scan.shape).astype(np.float32), scan.ijk_to_ras)
    grid = CropGrid((17.0, -31.0, 83.0), 1.8, 16)
    assert np.array_equal(resample_to_crop(volume, grid)[0], resample_to_crop(volume, grid, anti_alias=False)[0])


def test_only_the_region_under_the_crop_is_read() -> None:
    scan = empty_scan(np.eye(3), (0.7, 0.7, 1.5), 90.0)
    array = np.random.default_rng(0).normal(size=scan.shape).astype(np.float32)
    volume, grid = Volume(array, scan.ijk_to_ras), CropGrid((17.0, -31.0, 83.0), 1.5, 16)
    before, _ = resample_to_crop(volume, grid)
    kept = box_of_crop(volume, grid).dilated(10)
    outside = np.ones(volume.shape, bool)
    outside[kept.slices] = False
    array[outside] = np.nan
    assert np.array_equal(resample_to_crop(volume, grid)[0], before)


@pytest.mark.parametrize("far", [(500.0, 0.0, 0.0), (1e12, -1e12, 0.0)])
def test_a_crop_beside_the_scan_is_refused(far) -> None:
    volume = empty_scan(OBLIQUE[0], (1.0, 1.0, 1.0), 30.0)
    assert box_of_crop(volume, CropGrid(far, 1.0, 32)).is_empty
    with pytest.raises(VolumeError, match="does not meet the scan"):
        resample_to_crop(volume, CropGrid(far, 1.0, 32))


# -- box_of_crop and paste_logits


@pytest.mark.parametrize("directions", [*AXIS_ORIENTATIONS[::5], *OBLIQUE])
def test_the_box_of_a_crop_is_the_smallest_with_every_voxel_of_the_field_of_view(directions) -> None:
    volume = empty_scan(directions, (0.8, 1.0, 2.5), 40.0)
    grid = CropGrid((24.0, -40.0, 83.0), 0.9, 25)
    index = grid.ras_to_index(ras_of_voxels(volume))
    covered = ((index >= -0.5 - 1e-9) & (index <= 24.5 + 1e-9)).all(axis=-1)
    box, tight = box_of_crop(volume, grid), Box.of_mask(covered)
    assert box.union(tight) == box
    if any(np.array_equal(directions, axes) for axes in AXIS_ORIENTATIONS):
        assert box == tight


@pytest.mark.parametrize("size", [32, 64, 128])
@pytest.mark.parametrize("directions", [*AXIS_ORIENTATIONS[::6], *OBLIQUE[:2]])
def test_linear_logits_are_pasted_exactly_and_clamped_at_the_border(directions, size) -> None:
    volume = empty_scan(directions, (0.8, 1.0, 2.5), 50.0)
    grid = CropGrid((24.0, -40.0, 83.0), 0.3, 128)
    logits = ras_of_grid(grid.coarser(size)) @ GRADIENT
    box, pasted = paste_logits(logits, grid, volume, Box.whole(volume.shape))
    assert box == Box.whole(volume.shape)
    assert pasted.dtype == np.float32
    index = grid.coarser(size).ras_to_index(ras_of_voxels(volume))
    clamped = grid.coarser(size).index_to_ras(np.clip(index, 0, size - 1)) @ GRADIENT
    covered = ((index > -0.5 - 1e-9) & (index < size - 0.5 + 1e-9)).all(axis=-1)
    assert np.abs(pasted - clamped)[covered].max() < 2e-3
    assert (pasted[~covered] == OUTSIDE_LOGIT).all()
    assert (pasted[covered] > OUTSIDE_LOGIT).all()


@pytest.mark.parametrize("directions", AXIS_ORIENTATIONS)
def test_matrix_products_and_itk_paste_the_same(directions, monkeypatch) -> None:
    volume = empty_scan(directions, (0.83, 1.1, 2.37), 40.0)
    grid = CropGrid((22.3, -33.7, 79.9), 0.61, 64)
    logits = np.random.default_rng(0).normal(size=(32,) * 3)
    box, products = paste_logits(logits, grid, volume)
    monkeypatch.setattr(pasting, "_parallel_axes", lambda matrix, box: None)
    same_box, by_itk = paste_logits(logits, grid, volume)
    assert same_box == box
    assert np.array_equal(products == OUTSIDE_LOGIT, by_itk == OUTSIDE_LOGIT)
    assert np.abs(products - by_itk).max() < 1e-4


@pytest.mark.parametrize("fast", [True, False])
def test_voxels_on_the_faces_of_the_crop_belong_to_it(fast, monkeypatch) -> None:
    volume, grid = empty_scan(np.eye(3), (1.0, 1.0, 1.0), 41.0), CropGrid((17.0, -31.0, 83.0), 0.25, 64)
    if not fast:
        monkeypatch.setattr(pasting, "_parallel_axes", lambda matrix, box: None)
    box, pasted = paste_logits(np.full((32,) * 3, 5.0), grid, volume)
    assert box.shape == (17, 17, 17)
    assert np.allclose(pasted, 5.0)


@pytest.mark.parametrize(("degrees", "parallel"), [(0.0, True), (0.001, True), (0.5, False)])
def test_a_hair_of_obliqueness_takes_the_fast_path_and_more_does_not(degrees, parallel, monkeypatch) -> None:
    tilt = Rotation.from_euler("xyz", [degrees] * 3, degrees=True).as_matrix()
    volume, grid = empty_scan(tilt, (0.7, 0.7, 1.5), 90.0), CropGrid((17.0, -31.0, 83.0), 1.0, 64)
    logits = 10 - np.linalg.norm(ras_of_grid(grid.coarser(32)) - grid.center_ras, axis=-1)
    calls = []
    original = resampling_module.interpolated
    monkeypatch.setattr(pasting, "interpolated", lambda *a: calls.append(1) or original(*a))
    _, pasted = paste_logits(logits, grid, volume)
    assert (not calls) is parallel
    monkeypatch.setattr(pasting, "_parallel_axes", lambda matrix, box: None)
    assert np.abs(pasted - paste_logits(logits, grid, volume)[1]).max() < 0.02


@pytest.mark.parametrize("directions", [AXIS_ORIENTATIONS[13], OBLIQUE[2]])
def test_a_part_of_the_box_is_pasted_as_within_the_whole(directions) -> None:
    volume, grid = empty_scan(directions, (0.8, 1.0, 2.5), 40.0), CropGrid((17.0, -31.0, 83.0), 0.5, 64)
    logits = np.random.default_rng(0).normal(size=(64,) * 3)
    whole_box, whole = paste_logits(logits, grid, volume)
    part = Box(whole_box.k0 + 1, whole_box.k0 + 4, whole_box.j0 + 3, whole_box.j1, whole_box.i0 + 5, whole_box.i0 + 6)
    box, pasted = paste_logits(logits, grid, volume, part)
    k, j, i = np.subtract(box.low, whole_box.low)
    inner = whole[k : k + box.shape[0], j : j + box.shape[1], i : i + box.shape[2]]
    assert box == part
    assert np.abs(pasted - inner).max() < 1e-5


def test_a_box_beyond_the_scan_is_clipped_and_one_beyond_the_crop_is_outside() -> None:
    volume, grid = empty_scan(np.eye(3), (1.0, 1.0, 1.0), 40.0), CropGrid((17.0, -31.0, 83.0), 0.25, 32)
    logits = np.ones((32,) * 3)
    box, pasted = paste_logits(logits, grid, volume, Box(-5, 3, -5, 3, 38, 99))
    assert box == Box(0, 3, 0, 3, 38, 40)
    assert (pasted == OUTSIDE_LOGIT).all()
    empty, nothing = paste_logits(logits, grid, volume, Box(90, 95, 0, 3, 0, 3))
    assert empty.is_empty
    assert nothing.size == 0


@pytest.mark.parametrize("logits", [np.zeros((8, 8, 9)), np.zeros((8, 8)), np.full((8, 8, 8), np.nan)])
def test_logits_that_are_no_finite_cube_are_refused(logits) -> None:
    volume = empty_scan(np.eye(3), (1.0, 1.0, 1.0), 20.0)
    with pytest.raises(ValueError, match="Logits must be finite"):
        paste_logits(logits, CropGrid((0, 0, 0), 1.0, 16), volume)


# -- the bar: a ball painted as smooth logits and pasted back


@pytest.mark.parametrize("directions", AXIS_ORIENTATIONS)
def test_a_ball_20_mm_across_comes_back_in_every_axis_orientation(directions) -> None:
    volume = empty_scan(directions, (0.8, 1.0, 1.6), 26.0)
    assert dice_of_pasted_ball(volume, np.array([17.3, -31.4, 82.9]), 10.0, 0.75) >= 0.985


@pytest.mark.parametrize("crop_spacing", [0.5, 1.0, 1.5])
@pytest.mark.parametrize("spacing", [(6.0,) * 3, (0.6, 0.6, 6.0), (6.0, 0.6, 6.0), (2.0,) * 3, (0.8, 0.8, 1.5)])
def test_a_ball_of_20_mm_radius_comes_back_at_every_crop_spacing(spacing, crop_spacing) -> None:
    for directions in (AXIS_ORIENTATIONS[19], OBLIQUE[4]):
        volume = empty_scan(directions, spacing, 48.0)
        assert dice_of_pasted_ball(volume, np.array([17.9, -30.2, 84.1]), 20.0, crop_spacing) >= 0.97


@pytest.mark.parametrize("directions", [AXIS_ORIENTATIONS[41], OBLIQUE[5]])
def test_a_ball_20_mm_across_comes_back_on_a_grid_of_a_third_of_a_millimetre(directions) -> None:
    for spacing in ((0.3, 0.3, 0.3), (0.3, 3.0, 0.3)):
        volume = empty_scan(directions, spacing, 22.0)
        assert dice_of_pasted_ball(volume, np.array([17.0, -31.0, 83.0]), 10.0, 0.5) >= 0.99


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    finest=st.floats(0.3, 3.0),
    stretch=st.permutations([1.0, 1.5, 10.0]),
    mirrored=st.booleans(),
)
def test_a_ball_20_mm_across_comes_back_from_any_scan(seed, finest, stretch, mirrored) -> None:
    directions = Rotation.random(random_state=seed).as_matrix() * (-1 if mirrored else 1)
    spacing = tuple(min(finest * factor, 6.0 if finest < 1 else 3.0) for factor in stretch)
    centre = np.array([17.0, -31.0, 83.0]) + np.random.default_rng(seed).uniform(-1, 1, 3)
    assert dice_of_pasted_ball(empty_scan(directions, spacing, 26.0), centre, 10.0, 0.5) >= 0.97


# -- mask_to_crop


@pytest.mark.parametrize("size", [32, 64, 128])
@pytest.mark.parametrize("directions", [AXIS_ORIENTATIONS[7], OBLIQUE[1]])
def test_a_mask_keeps_its_volume_and_place(directions, size) -> None:
    volume = empty_scan(directions, (0.6, 0.8, 1.5), 40.0)
    centre = np.array([18.0, -30.0, 82.0])
    mask = np.linalg.norm(ras_of_voxels(volume) - centre, axis=-1) <= 10
    grid = CropGrid((17.0, -31.0, 83.0), 0.5, 128)
    occupancy = mask_to_crop(mask, volume, grid, size)
    coarse = grid.coarser(size)
    assert occupancy.dtype == np.float32
    assert 0 <= occupancy.min() and occupancy.max() <= 1 + 1e-6
    assert occupancy.sum() * coarse.spacing**3 == pytest.approx(mask.sum() * 0.6 * 0.8 * 1.5, rel=0.01)
    centroid = (ras_of_grid(coarse) * occupancy[..., None]).sum(axis=(0, 1, 2)) / occupancy.sum()
    assert np.abs(centroid - centre).max() < 0.1
    truth = np.linalg.norm(ras_of_grid(coarse) - centre, axis=-1) <= 10
    assert dice(occupancy > 0.5, truth) > 0.95


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), spacing=st.floats(0.3, 3.0), oblique=st.booleans())
def test_a_mask_of_one_voxel_does_not_vanish(seed, spacing, oblique) -> None:
    rng = np.random.default_rng(seed)
    directions = Rotation.random(random_state=seed).as_matrix() if oblique else AXIS_ORIENTATIONS[seed % 48]
    volume = empty_scan(directions, (spacing,) * 3, 30.0)
    mask = np.zeros(volume.shape, np.uint8)
    mask[tuple(rng.integers(0, n) for n in volume.shape)] = 255
    grid = CropGrid((17.0, -31.0, 83.0), 0.75, 128)
    occupancy = mask_to_crop(mask, volume, grid, 32)
    share = (spacing / 3.0) ** 3
    assert 0.02 * share < occupancy.max() <= 1 + 1e-6
    assert 0.3 * share < occupancy.sum() < 2.5 * share


def test_a_mask_fades_at_the_scans_edge_and_an_empty_or_distant_one_is_empty() -> None:
    volume, grid = empty_scan(np.eye(3), (0.5, 0.5, 0.5), 40.0), CropGrid((30.0, -31.0, 83.0), 0.5, 64)
    full = mask_to_crop(np.ones(volume.shape, bool), volume, grid, 32)
    ras = ras_of_grid(grid.coarser(32))
    assert np.allclose(full[ras[..., 0] < 35.4], 1, atol=1e-5)
    assert (full[ras[..., 0] > 38.6] == 0).all()
    assert np.allclose(full.sum(axis=0), 37 - 14, atol=0.01)
    assert not mask_to_crop(np.zeros(volume.shape, bool), volume, grid, 32).any()
    distant = np.zeros(volume.shape, bool)
    distant[:, :, :4] = True
    assert not mask_to_crop(distant, volume, grid, 32).any()


def test_a_mask_of_another_scan_is_refused() -> None:
    volume = empty_scan(np.eye(3), (1.0, 1.0, 1.0), 20.0)
    with pytest.raises(ValueError, match="not the scan's"):
        mask_to_crop(np.ones((5, 5, 5), bool), volume, CropGrid((0, 0, 0), 1.0, 16), 16)


# -- cost, with room for a slow or busy machine


def test_a_large_scan_is_cropped_and_pasted_in_time() -> None:
    rng = np.random.default_rng(0)
    array = np.tile(rng.integers(-1000, 1000, (200, 512, 8)).astype(np.int16), (1, 1, 64))
    volume = Volume(array, np.diag([-0.7, -0.7, 1.5, 1.0]))
    grid = CropGrid.around(volume.ijk_to_ras_points((256, 256, 100)), 1.5)
    logits = rng.normal(size=(64,) * 3)
    box = Box(9, 191, 165, 347, 165, 347)
    crop_times, paste_times = [], []
    for _ in range(3):  # the process's own time, as other processes may keep the machine busy
        start = time.process_time()
        resample_to_crop(volume, grid)
        middle = time.process_time()
        paste_logits(logits, grid, volume, box)
        crop_times.append(middle - start)
        paste_times.append(time.process_time() - middle)
    assert min(crop_times) < 1.0
    assert min(paste_times) < 0.2


@settings(max_examples=25, deadline=None)
@given(st.sampled_from([*AXIS_ORIENTATIONS, *OBLIQUE[:2]]), st.tuples(*[st.floats(0.5, 3)] * 3), st.integers(0, 9))
def test_refined_logits_are_pasted_without_being_made(directions, spacing, seed):
    scan = empty_scan(directions, spacing, 30)
    grid = CropGrid((14.0, -33.0, 80.0), 1.6, 16)
    logits = np.random.default_rng(seed).normal(size=(8, 8, 8)).astype(np.float32)
    box, found = paste_logits(logits, grid, scan, refined=True)
    same_box, expected = paste_logits(pasting.refined_logits(logits), grid, scan)
    assert box == same_box
    np.testing.assert_allclose(found, expected, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from([*AXIS_ORIENTATIONS, *OBLIQUE[:2]]), st.booleans(), st.integers(0, 9))
def test_pasted_signs_are_those_of_the_pasted_logits(directions, refined, seed):
    scan = empty_scan(directions, (1.1, 0.8, 2.0), 30)
    grid = CropGrid((14.0, -33.0, 80.0), 1.6, 16)
    logits = np.random.default_rng(seed).normal(size=(8, 8, 8)).astype(np.float32)
    for box in (None, Box(2, 3, 1, 11, 9, 12), Box(0, 0, 0, 0, 0, 0)):
        done, signs = threshold_on_scan(logits, grid, scan, box, refined, torch.device("cpu"))
        same, values = paste_logits(logits, grid, scan, box, refined)
        assert done == same and signs.dtype == bool
        np.testing.assert_array_equal(signs, values > 0)
