"""One click on a state: what it may change, which crops it looks through, and that no click is ever ignored."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from MemorizingSAM3DLib.engine import refinement
from MemorizingSAM3DLib.engine.errors import ClickError
from MemorizingSAM3DLib.engine.geometry import Box, CropGrid, Volume, box_of_crop
from MemorizingSAM3DLib.engine.packed_mask import PackedMask
from MemorizingSAM3DLib.engine.predictor import Predictor
from MemorizingSAM3DLib.engine.prompts import Click
from MemorizingSAM3DLib.engine.refinement import MOST_FURTHER_CROPS, ClickRefiner, MaskState, _decided
from MemorizingSAM3DLib.engine.runtime import choose_runtime
from Testing.engine.click_networks import FULL_CROP, PUBLISHED_CROP, SMALL_CROP, BrightnessNetwork
from Testing.engine.phantoms import (
    DARK_HU,
    LEFT_HANDED,
    OBLIQUE,
    ball,
    ct_of,
    dice,
    either,
    ras_of_voxels,
    tube,
)

ORIGIN = (0.0, 0.0, 0.0)
MR_LEVELS = (20.0, 200.0)
COARSER_RATIO = refinement._COARSER_RATIO

pytestmark = pytest.mark.usefixtures("the_scale_of_the_phantoms")


class ScriptedNetwork(BrightnessNetwork):
    """Answers with formulas in RAS, one a decode, whatever the scan and the clicks are."""

    def __init__(self, *shapes, grid: CropGrid):
        super().__init__(SMALL_CROP)
        ras = grid.coarser(32).index_to_ras(np.stack(np.indices((32,) * 3), -1))
        self.answers = [np.where(shape(ras), 4.0, -4.0).astype(np.float32) for shape in shapes]

    def decode(self, features, coords, labels, logits=None):
        self.decodes += 1
        return torch.from_numpy(self.answers[self.decodes - 1])[None, None].clone()


def a_refiner(volume: Volume, network: BrightnessNetwork) -> ClickRefiner:
    predictor = Predictor(network, choose_runtime("cpu"))
    predictor.set_volume(volume)
    return ClickRefiner(predictor)


def after(refiner: ClickRefiner, *clicks: Click, start: MaskState | None = None) -> MaskState:
    state = start or MaskState()
    for click in clicks:
        state = refiner.refine(state, click)
    return state


def mask_of(state: MaskState, volume: Volume) -> np.ndarray:
    return state.mask.within(Box.whole(volume.shape))


# --- what a click may change -----------------------------------------------------------------------------------------

# A scan of 60 mm, looked at as a whole by a crop of 64 voxels an edge; the reach of a click is 0.2 x 60 = 12 mm.
SCAN_MM = 60.0
SCAN = ct_of(ball(1), (40, 40, 40), SCAN_MM / 40)[0]
CROP = CropGrid(ORIGIN, SCAN_MM / 64, 64)
FIRST, SECOND = Click((-18.0, 0.0, 0.0)), Click((-20.0, 2.0, 0.0))
NEAR_MM = 0.2 * SCAN_MM
HELD_MM = 2 * SCAN_MM / 32


def changes_of(first, second, click: Click = SECOND) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Masks after a first and a second click that the network answers so, and each voxel's distance to the second."""
    network = ScriptedNetwork(second, first, grid=CROP)
    refiner = a_refiner(SCAN, network)
    logits = network.answers[1]
    mask = refiner._written(PackedMask(), CROP, logits, np.ones_like(logits, dtype=bool))
    before = MaskState(mask, (FIRST,), CROP, logits, (CROP,))
    state = refiner.refine(before, click)
    assert state.grid == CROP
    distance = np.linalg.norm(ras_of_voxels(SCAN) - click.ras, axis=-1)
    return mask_of(before, SCAN), mask_of(state, SCAN), distance


OBJECT = tube(9, (1, 0, 0), 22)


def test_far_from_the_click_nothing_changes_when_the_network_forgets_a_part():
    before, now, distance = changes_of(OBJECT, lambda ras: OBJECT(ras) & (ras[..., 0] < -5))
    far = distance > NEAR_MM + HELD_MM
    assert before[far].any()
    assert (before[far] == now[far]).all()


def test_a_thin_flicker_far_from_the_click_is_rejected():
    before, now, distance = changes_of(OBJECT, tube(9 + CROP.spacing * 2, (1, 0, 0), 22))
    far = distance > NEAR_MM + HELD_MM
    assert (before[far] == now[far]).all()


def test_a_thick_addition_that_hangs_on_the_click_is_accepted_to_its_far_end():
    thicker = either(OBJECT, tube(16, (1, 0, 0), 22))
    before, now, distance = changes_of(OBJECT, thicker, Click((-18.0, 13.0, 0.0)))
    truth = thicker(ras_of_voxels(SCAN))
    assert (distance[truth] > 2 * NEAR_MM).any()
    assert dice(now, truth) > 0.95


def test_another_object_lighting_up_far_from_the_click_is_rejected():
    before, now, distance = changes_of(ball(8, (-18, 0, 0)), either(ball(8, (-18, 0, 0)), ball(7, (6, 0, 0))))
    far = distance > NEAR_MM + HELD_MM
    assert (before[far] == now[far]).all()


def test_a_negative_click_takes_a_thick_leak_away_to_its_far_end():
    leak = tube(7, (1, 0, 0), 22)
    before, now, distance = changes_of(leak, lambda ras: ras[..., 0] < -90, Click((-14.0, 0.0, 0.0), positive=False))
    assert (distance[before] > 2 * NEAR_MM).any()
    beside_the_first = np.linalg.norm(ras_of_voxels(SCAN) - FIRST.ras, axis=-1) < HELD_MM
    assert now[beside_the_first].any()
    assert not now[~beside_the_first].any()


def test_what_lies_outside_the_crop_stays_bit_for_bit():
    volume, _ = ct_of(ball(10), (150, 60, 60), 2.0)
    network = BrightnessNetwork(SMALL_CROP)
    refiner = a_refiner(volume, network)
    rng = np.random.default_rng(5)
    given_mask = rng.random(volume.shape) > 0.5
    state = MaskState(PackedMask.of(given_mask, Box.whole(volume.shape)), (), CropGrid(ORIGIN, 0.5, 64))
    for positive in (True, False):
        now = mask_of(refiner.refine(state, Click((1.0, 0.0, 0.0), positive)), volume)
        outside = np.ones(volume.shape, bool)
        for grid in refiner.refine(state, Click((1.0, 0.0, 0.0), positive)).seen:
            outside[box_of_crop(volume, grid).slices] = False
        assert outside.any()
        assert (now[outside] == given_mask[outside]).all()


def test_further_crops_only_add_to_a_mask_that_the_user_brought():
    volume, truth = ct_of(tube(8, (0, 0, 1), 70), (40, 40, 160), 1.5)
    brought = truth | either(ball(12, (0, 10, 70)))(ras_of_voxels(volume))
    refiner = a_refiner(volume, BrightnessNetwork(SMALL_CROP))
    start = MaskState(PackedMask.of(brought, Box.whole(volume.shape)), (), CropGrid(ORIGIN, 1.5, 64))
    state = refiner.refine(start, Click((0.0, 1.0, 0.0)))
    far = np.abs(ras_of_voxels(volume)[..., 2]) > 32 * 1.5
    assert len(state.seen) > 1
    assert mask_of(state, volume)[far & brought].all()


# --- no click is ignored ---------------------------------------------------------------------------------------------

GRIDS = {
    "0.3 mm": (0.3, (60, 62, 64)),
    "1.5 mm": (1.5, (40, 41, 42)),
    "6 mm": (6.0, (24, 25, 26)),
    "1 x 1 x 10 mm": ((1.0, 1.0, 10.0), (60, 60, 12)),
    "0.4 x 0.4 x 6 mm": ((0.4, 0.4, 6.0), (90, 90, 10)),
    "5 x 0.8 x 0.8 mm": ((5.0, 0.8, 0.8), (14, 70, 70)),
}


@pytest.mark.parametrize("directions", [np.eye(3), OBLIQUE, LEFT_HANDED], ids=["straight", "oblique", "left-handed"])
@pytest.mark.parametrize("name", GRIDS)
def test_the_clicked_voxel_takes_the_clicks_label_on_the_scans_own_grid(name, directions):
    spacing, counts = GRIDS[name]
    volume, truth = ct_of(lambda ras: ras[..., 0] < 0, counts, spacing, directions)
    refiner = a_refiner(volume, BrightnessNetwork(SMALL_CROP, push=0.0, memory=0.0))  # deaf to its clicks
    rng = np.random.default_rng(2)
    labels: dict[tuple[int, int, int], bool] = {}
    state = MaskState()
    for number in range(8):
        ijk = rng.uniform(-0.49, np.array(counts) - 0.51)
        click = Click(tuple(volume.ijk_to_ras_points(ijk).tolist()), bool(number % 3 != 1))
        state = refiner.refine(state, click)
        labels[volume.nearest_voxel(click.ras)[::-1]] = click.positive
        if not state.mask.is_empty:
            assert {voxel: state.mask.at(voxel) for voxel in labels} == labels


def test_a_voxel_so_thick_that_its_centre_lies_outside_the_crop_takes_the_label_too():
    volume, _ = ct_of(ball(0.1), (40, 40, 4), (1.0, 1.0, 12.0))
    refiner = a_refiner(volume, BrightnessNetwork(SMALL_CROP, push=0.0, memory=0.0))
    start = MaskState(
        PackedMask.of(np.ones((1, 4, 4), bool), Box(2, 3, 18, 22, 18, 22)), (), CropGrid((0, 0, 1), 0.5, 64)
    )
    click = Click((0.0, 0.0, 12.5))  # in the slice whose centre is at 18 mm; the crop ends at 17
    state = refiner.refine(start, click)
    assert state.grid == start.grid
    assert state.mask.at(volume.nearest_voxel(click.ras)[::-1])


def test_on_a_fine_scan_a_click_leaves_more_than_its_own_voxel():
    volume, _ = ct_of(ball(0.1), (100, 100, 100), 0.5)
    refiner = a_refiner(volume, BrightnessNetwork(PUBLISHED_CROP, push=0.0, memory=0.0))  # cells of 6 mm
    mask = mask_of(after(refiner, Click((1.3, -2.2, 0.4))), volume)
    assert mask.sum() > 100
    assert ndimage.label(mask)[1] == 1


@pytest.mark.parametrize("last", [True, False])
def test_of_two_clicks_at_one_place_the_newest_wins(last):
    volume, _ = ct_of(ball(10), (40, 40, 40), 1.5)
    refiner = a_refiner(volume, BrightnessNetwork(SMALL_CROP))
    place = (9.0, 3.0, 1.0)
    state = after(refiner, Click(ORIGIN), Click(place, not last), Click(place, last))
    assert state.mask.at(volume.nearest_voxel(place)[::-1]) == last


def test_clicks_side_by_side_both_keep_their_voxels():
    volume, _ = ct_of(ball(10), (40, 40, 40), 1.5)
    refiner = a_refiner(volume, BrightnessNetwork(SMALL_CROP))
    inside, outside = (10.0, 0.0, 0.0), (11.5, 0.0, 0.0)
    for clicks in ((Click(inside), Click(outside, False)), (Click(outside, False), Click(inside))):
        state = after(refiner, Click(ORIGIN), *clicks)
        assert state.mask.at(volume.nearest_voxel(inside)[::-1])
        assert not state.mask.at(volume.nearest_voxel(outside)[::-1])


def test_the_same_click_twice_is_no_contradiction():
    volume, truth = ct_of(ball(15), (40, 40, 40), 1.5)
    refiner = a_refiner(volume, BrightnessNetwork(SMALL_CROP))
    assert dice(mask_of(after(refiner, Click(ORIGIN), Click(ORIGIN)), volume), truth) > 0.95


def test_a_click_after_many_asks_the_scan_about_itself_alone(monkeypatch):
    volume, _ = ct_of(ball(15), (40, 40, 40), 1.5)
    refiner = a_refiner(volume, BrightnessNetwork(SMALL_CROP))
    state = after(refiner, *(Click((0.7 * n - 2, 0.0, 0.0)) for n in range(6)))
    asked = []
    nearest_voxel = Volume.nearest_voxel
    monkeypatch.setattr(Volume, "nearest_voxel", lambda *given: asked.append(given[1]) or nearest_voxel(*given))
    newest = Click((0.0, 3.0, 0.0))
    refiner.refine(state, newest)
    assert set(asked) == {newest.ras}


# --- first clicks, negative clicks, bad clicks -----------------------------------------------------------------------


def test_a_negative_click_on_nothing_changes_nothing_and_is_heard_with_the_next_one():
    volume, _ = ct_of(ball(10), (40, 40, 40), 1.5)
    network = BrightnessNetwork(SMALL_CROP)
    refiner = a_refiner(volume, network)
    negative = Click((8.0, 0.0, 0.0), positive=False)
    state = refiner.refine(MaskState(), negative)
    assert state.mask.is_empty
    assert network.encodes == 0
    state = refiner.refine(state, Click(ORIGIN))
    assert network.heard[0][1].tolist() == [[0, 1]]
    assert not state.mask.at(volume.nearest_voxel(negative.ras)[::-1])


def test_a_mask_that_clicks_emptied_starts_afresh_elsewhere():
    volume, _ = ct_of(either(ball(6, (0, 0, -70)), tube(8, (0, 1, 1), 60)), (60, 120, 120), 1.5)
    refiner = a_refiner(volume, BrightnessNetwork(SMALL_CROP))
    first = after(refiner, Click((0.0, 0.0, -70.0)))
    emptied = replace(first, mask=PackedMask())
    again = refiner.refine(emptied, Click((0.0, 3.0, 3.0)))
    alone = after(refiner, Click((0.0, 0.0, -70.0), False), Click((0.0, 3.0, 3.0)))
    assert first.grid not in again.seen
    assert abs(int(mask_of(again, volume).sum()) - int(mask_of(alone, volume).sum())) < 60  # but for the first click


@pytest.mark.parametrize("ras", [(500.0, 0.0, 0.0), (float("nan"), 0.0, 0.0), (0.0, float("inf"), 0.0)])
def test_a_click_outside_the_scan_or_without_a_place_is_refused(ras):
    refiner = a_refiner(SCAN, BrightnessNetwork(SMALL_CROP))
    with pytest.raises(ClickError):
        refiner.refine(MaskState(), Click(ras))


def test_a_network_that_answers_nan_is_refused():
    network = ScriptedNetwork(ball(8), ball(8), ball(8), grid=CROP)
    for answer in network.answers:
        answer[3, 4, 5] = np.nan
    refiner = a_refiner(SCAN, network)
    with pytest.raises(ValueError, match="finite"):
        refiner.refine(MaskState(), FIRST)


# --- crops -----------------------------------------------------------------------------------------------------------


def middle_of(volume: Volume) -> Click:
    r, a, s = volume.ijk_to_ras_points((np.array(volume.shape[::-1]) - 1) / 2).tolist()
    return Click((r, a, s))


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


# --- the published families ------------------------------------------------------------------------------------------


def test_published_networks_get_one_click_the_previous_logits_and_their_own_spacing():
    volume, truth = ct_of(ball(30), (40, 40, 40), 3.0, levels=MR_LEVELS, modality="MR")
    network = BrightnessNetwork(PUBLISHED_CROP, gain=2.0, threshold=4.0)
    refiner = a_refiner(volume, network)
    state = after(refiner, Click((0.0, 0.0, 0.0)), Click((5.0, 29.0, 0.0)), Click((0.0, 0.0, 33.0), positive=False))
    assert [labels.tolist() for _, labels, _ in network.heard] == [[[1]], [[1]], [[0]]]
    assert network.heard[0][2] is None
    assert all(previous is not None for _, _, previous in network.heard[1:])
    assert {grid.spacing for grid in state.seen} == {1.5}
    assert network.encodes == 1
    assert dice(mask_of(state, volume), truth) > 0.9


def test_published_networks_follow_a_tube_with_a_positive_click_in_every_crop():
    volume, truth = ct_of(tube(12, (0, 0, 1), 200), (30, 30, 220), 2.0, levels=MR_LEVELS, modality="MR")
    network = BrightnessNetwork(PUBLISHED_CROP, gain=2.0, threshold=4.0)
    refiner = a_refiner(volume, network)
    earlier = MaskState(clicks=(Click((0.0, 0.0, 110.0)), Click((0.0, 18.0, 120.0), False)))
    state = after(refiner, Click(ORIGIN), start=earlier)
    assert dice(mask_of(state, volume), truth) > 0.85
    assert all(labels.tolist() == [[1]] for _, labels, _ in network.heard)


# --- any scan --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_any_type_of_voxel_will_do(dtype):
    volume, truth = ct_of(ball(20), (40, 40, 40), 1.5, dtype=dtype, levels=(10, 120), modality="MR")
    mask = mask_of(after(a_refiner(volume, BrightnessNetwork(SMALL_CROP)), Click((1.0, 0.0, 0.0))), volume)
    assert dice(mask, truth) > 0.95


@pytest.mark.parametrize("directions", [OBLIQUE, LEFT_HANDED, np.eye(3)[:, [2, 0, 1]] * (-1, 1, -1)])
def test_any_orientation_gives_the_same_object(directions):
    shape = either(ball(16), ball(8, (14, 10, -6)))
    volume, truth = ct_of(shape, (52, 46, 40), (1.4, 1.6, 2.0), directions)
    mask = mask_of(after(a_refiner(volume, BrightnessNetwork(SMALL_CROP)), Click((2.0, 1.0, 0.0))), volume)
    assert dice(mask, truth) > 0.95


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


@pytest.mark.parametrize(("config", "again"), [(SMALL_CROP, True), (PUBLISHED_CROP, False)])
def test_a_native_network_corrects_its_first_mask_and_a_published_one_is_asked_once(config, again):
    network = BrightnessNetwork(config)
    after(a_refiner(SCAN, network), FIRST)
    *_, (_, _, previous) = network.heard
    assert (previous is not None) == again
    assert (network.decodes > network.encodes) == again


def test_a_like_object_that_nobody_clicked_is_left_out_and_comes_with_a_click_of_its_own():
    like = either(ball(7, (-14, 0, 0)), ball(7, (14, 0, 0)))
    scan, truth = ct_of(like, (40, 40, 40), SCAN_MM / 40)
    refiner, ras = a_refiner(scan, BrightnessNetwork()), ras_of_voxels(scan)
    first = after(refiner, Click((-14.0, 0.0, 0.0)))
    assert dice(mask_of(first, scan), ball(7, (-14, 0, 0))(ras)) > 0.8
    both = after(refiner, Click((14.0, 0.0, 0.0)), start=first)
    assert dice(mask_of(both, scan), truth) > 0.8
