"""Through which crops the clicks of a session look: how near, how many, and which again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from MemorizingSAM3DLib.engine.geometry import Box, CropGrid, Volume
from MemorizingSAM3DLib.engine.geometry.packed_mask import PackedMask
from MemorizingSAM3DLib.engine.prompts import Click
from MemorizingSAM3DLib.engine.session import refinement
from MemorizingSAM3DLib.engine.session.refinement import MOST_FURTHER_CROPS, MaskState, _decided
from Testing.engine.click_networks import FULL_CROP, PUBLISHED_CROP, SMALL_CROP, BrightnessNetwork
from Testing.engine.phantoms import DARK_HU, LEFT_HANDED, OBLIQUE, ball, ct_of, dice, either, ras_of_voxels, tube
from Testing.engine.refining import ORIGIN, a_refiner, after, mask_of, middle_of

COARSER_RATIO = refinement._COARSER_RATIO

pytestmark = pytest.mark.usefixtures("the_scale_of_the_phantoms")


@pytest.mark.parametrize(("radius", "low", "high"), [(4, 0.5, 0.6), (25, 0.6, 1.2), (45, 0.9, 1.7), (100, 2.3, 3.0)])
def test_the_crop_is_finer_for_a_small_ball_and_coarser_for_a_large_one(radius, low, high):
    voxel = radius / 14
    volume, truth = ct_of(ball(radius), (40, 40, 40), voxel)
    padded = Volume(np.pad(volume.array, 40, constant_values=DARK_HU), volume.ijk_to_ras, "CT")
    network = BrightnessNetwork(FULL_CROP)
    state = after(a_refiner(padded, network), middle_of(padded))
    assert low <= state.grid.spacing <= high
    assert dice(mask_of(state, padded), np.pad(truth, 40)) > 0.97
    assert network.encodes <= 3


@pytest.mark.parametrize("direction", [(0, 0, 1), (0.25, -0.2, 1), (1, 1, 1)])
@pytest.mark.parametrize("directions", [np.eye(3), LEFT_HANDED], ids=["straight", "oblique"])
def test_a_long_tube_is_followed_across_crops_without_a_cut(direction, directions):
    half = 120.0
    axis = np.array(direction) / np.linalg.norm(direction)
    span = np.abs(np.linalg.inv(directions) @ axis) * 2 * half + 50
    volume, truth = ct_of(tube(9, direction, half), np.ceil(span / 1.5).astype(int).tolist(), 1.5, directions)
    network = BrightnessNetwork(SMALL_CROP)  # crops of 96 mm
    state = after(a_refiner(volume, network), Click((1.0, 0.0, -1.0)))
    mask = mask_of(state, volume)
    assert dice(mask, truth) > 0.93
    slabs = np.floor((ras_of_voxels(volume) @ axis + half) / 2).astype(int)  # of 2 mm, across the tube
    whole, found = np.bincount(slabs[truth]), np.bincount(slabs[truth & mask])
    assert len(found) >= len(whole) - 3
    assert (found[3:-3] > 0.8 * whole[3 : len(found) - 3]).all()
    assert ndimage.label(mask)[1] == 1
    assert network.encodes <= 3 + MOST_FURTHER_CROPS


def test_what_is_thin_for_its_length_is_looked_at_from_near_after_three_points():
    volume, truth = ct_of(tube(6, (0, 0, 1), 150.0), (40, 40, 210), 1.5)
    refiner = a_refiner(volume, BrightnessNetwork(SMALL_CROP))
    brought = MaskState(PackedMask.of(truth, Box.whole(truth.shape)))
    clicks = [Click((0.0, 0.0, z)) for z in (0.0, -100.0, -104.0, 100.0, 104.0)]
    states = [brought]
    for click in clicks:
        states.append(refiner.refine(states[-1], click))
    assert all(state.grid.extent_mm > 300 for state in states[1:4])
    near = states[4].grid
    assert near == CropGrid(clicks[3].ras, 110 / 64, 64)
    assert states[5].grid == near  # also good for a click beside it
    around = np.abs(ras_of_voxels(volume)[..., 2] - 100) < 25
    assert dice(mask_of(states[5], volume) & around, truth & around) > 0.9


def test_with_many_clicks_a_ball_too_is_looked_at_from_near_and_no_crop_continues_what_was_seen():
    volume, truth = ct_of(ball(40), (70, 70, 70), 2.0)
    network = BrightnessNetwork(SMALL_CROP)
    refiner = a_refiner(volume, network)
    surface = [Click((38.0 * np.cos(t), 38.0 * np.sin(t), 0.0)) for t in np.linspace(0, 6, 32)]
    state = after(refiner, Click(ORIGIN), *surface[:5])
    whole = state.grid
    assert whole.extent_mm > 90
    state = after(refiner, *surface[5:31], start=state)
    assert state.grid.spacing < whole.spacing / 1.35 and state.grid.contains(surface[30].ras)
    before = network.encodes
    after(refiner, Click((0.0, 0.0, -38.0)), start=state)
    assert network.encodes <= before + 1
    assert dice(mask_of(state, volume), truth) > 0.9


def test_however_long_the_object_the_crops_are_bounded():
    volume, _ = ct_of(lambda ras: ras[..., 2] < 30, (100, 100, 100), 6.0)  # half of a scan of 600 mm
    network = BrightnessNetwork(SMALL_CROP)
    after(a_refiner(volume, network), Click((0.0, 0.0, -100.0)))
    assert network.encodes <= 3 + MOST_FURTHER_CROPS


@settings(max_examples=30, deadline=None)
@given(st.tuples(*[st.floats(-20, 20)] * 3), st.sampled_from([0.8, 1.0, 1.37]), st.booleans())
def test_no_slit_is_left_between_the_crop_that_decided_and_the_next(offset, spacing, oblique):
    volume, _ = ct_of(ball(1), (40, 40, 40), 0.7, OBLIQUE if oblique else None)
    refiner = a_refiner(volume, BrightnessNetwork(SMALL_CROP))
    first = CropGrid((-10.0, 3.0, -2.0), 0.5, 64)
    second = CropGrid(tuple(np.add(first.center_ras, offset).tolist()), 0.5 * spacing, 64)
    everything = np.ones((32,) * 3, np.float32)
    mask = refiner._written(PackedMask(), first, everything, everything > 0)
    mask = refiner._written(mask, second, everything, ~_decided(second, (first,), 32), only_add=True)
    ras = ras_of_voxels(volume)
    covered = np.zeros(volume.shape, bool)
    for grid in (first, second):
        # Half a cell at the faces is the interpolation's, not the slit's.
        covered |= (np.abs(ras - grid.center_ras) < grid.extent_mm / 2 - 1e-6).all(-1)
    assert mask.within(Box.whole(volume.shape))[covered].all()


@pytest.mark.parametrize("directions", [np.eye(3), OBLIQUE], ids=["straight", "oblique"])
def test_clicks_in_the_corners_of_a_scan_are_served(directions):
    counts = (50, 44, 40)
    volume, truth = ct_of(lambda ras: np.ones(ras.shape[:-1], bool), counts, 3.0, directions)
    network = BrightnessNetwork(SMALL_CROP)
    refiner = a_refiner(volume, network)
    for corner in np.ndindex(2, 2, 2):
        ijk = np.where(np.array(corner, bool), np.array(counts) - 0.5001, -0.4999)  # on the outer faces
        click = Click(tuple(volume.ijk_to_ras_points(ijk).tolist()))
        state = refiner.refine(MaskState(), click)
        assert state.mask.at(volume.nearest_voxel(click.ras)[::-1])
        refined = refiner.refine(state, replace(click, positive=False))
        assert not refined.mask.at(volume.nearest_voxel(click.ras)[::-1])


def test_a_second_click_at_the_scans_own_face_keeps_the_crop():
    volume, _ = ct_of(ball(14), (40, 40, 40), 2.0)
    network = BrightnessNetwork(SMALL_CROP)
    refiner = a_refiner(volume, network)
    state = after(refiner, Click((0.0, 0.0, 2.0)))
    assert not state.grid.contains((0.0, 0.0, 39.5), margin_voxels=8)
    encodes = network.encodes
    after(refiner, Click((0.0, 0.0, 39.5)), Click((0.0, 39.0, 20.0)), start=state)
    assert network.encodes == encodes


def test_a_click_near_the_crops_face_where_the_scan_goes_on_gets_another_crop():
    volume, _ = ct_of(ball(20), (100, 100, 100), 2.0)
    refiner = a_refiner(volume, BrightnessNetwork(SMALL_CROP))
    state = after(refiner, Click(ORIGIN))
    edge = state.grid.center_ras[0] + state.grid.extent_mm / 2 - 2 * state.grid.spacing
    now = refiner.refine(state, Click((edge, 0.0, 0.0)))
    assert now.grid != state.grid
    assert now.grid.contains((edge, 0.0, 0.0), margin_voxels=8)


def test_a_scan_smaller_than_the_crop_is_segmented():
    volume, truth = ct_of(ball(3.2), (12, 11, 10), 0.8)
    for config in (FULL_CROP, PUBLISHED_CROP):
        named = replace(volume, modality="CT")
        mask = mask_of(after(a_refiner(named, BrightnessNetwork(config)), Click((0.4, 0.0, 0.0))), volume)
        assert mask[truth].mean() > 0.5


def test_a_click_far_from_the_mask_is_looked_at_where_it_is():
    volume, truth = ct_of(either(ball(9, (-120, 0, 0)), ball(9, (120, 0, 0))), (140, 30, 30), 2.0)
    refiner = a_refiner(volume, BrightnessNetwork(SMALL_CROP))
    state = after(refiner, Click((-120.0, 0.0, 0.0)), Click((120.0, 1.0, 0.0)))
    assert dice(mask_of(state, volume), truth) > 0.9


def test_coming_back_to_a_crop_already_seen_costs_no_encoding():
    volume, _ = ct_of(either(ball(9, (-60, 0, 0)), ball(9, (60, 0, 0))), (100, 30, 30), 2.0)
    network = BrightnessNetwork(SMALL_CROP)
    refiner = a_refiner(volume, network)
    state = after(refiner, Click((-60.0, 0.0, 0.0)), Click((60.0, 1.0, 0.0)))
    encodes = network.encodes
    refiner.refine(state, Click((-60.0, 2.0, 0.0)))
    assert network.encodes == encodes


# --- stepping back ---------------------------------------------------------------------------------------------------


def test_a_mask_that_outgrows_its_crop_in_two_directions_is_seen_from_farther(monkeypatch):
    monkeypatch.setattr(refinement, "_COARSER_RATIO", COARSER_RATIO)
    volume, truth = ct_of(ball(60), (64, 64, 64), 3.0)
    refiner = a_refiner(volume, BrightnessNetwork(SMALL_CROP, reach=0.3))
    first = after(refiner, Click(ORIGIN))

    second = after(refiner, Click((0.0, 40.0, 0.0)), start=first)

    assert second.grid.spacing > 1.2 * first.grid.spacing
    assert dice(mask_of(second, volume), truth) > dice(mask_of(first, volume), truth)


def test_a_negative_click_never_steps_back(monkeypatch):
    monkeypatch.setattr(refinement, "_COARSER_RATIO", 0.01)
    volume, _ = ct_of(ball(30), (64, 64, 64), 3.0)
    refiner = a_refiner(volume, BrightnessNetwork(SMALL_CROP, reach=0.3))
    first = after(refiner, Click(ORIGIN))
    assert after(refiner, Click((0.0, 20.0, 0.0), positive=False), start=first).grid == first.grid
