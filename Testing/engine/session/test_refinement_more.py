"""One click on a state: what it may change, which crops it looks through, and that no click is ever ignored."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from MemorizingSAM3DLib.engine.errors import ClickError
from MemorizingSAM3DLib.engine.geometry import Box, CropGrid, Volume, box_of_crop
from MemorizingSAM3DLib.engine.geometry.packed_mask import PackedMask
from MemorizingSAM3DLib.engine.prompts import Click
from MemorizingSAM3DLib.engine.session import refinement
from MemorizingSAM3DLib.engine.session.refinement import MaskState
from Testing.engine.click_networks import PUBLISHED_CROP, SMALL_CROP, BrightnessNetwork
from Testing.engine.phantoms import (
    LEFT_HANDED,
    OBLIQUE,
    ball,
    ct_of,
    dice,
    either,
    ras_of_voxels,
    tube,
)
from Testing.engine.refining import ORIGIN, ScriptedNetwork, a_refiner, after, mask_of

MR_LEVELS = (20.0, 200.0)
COARSER_RATIO = refinement._COARSER_RATIO

pytestmark = pytest.mark.usefixtures("the_scale_of_the_phantoms")


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
    assert network.attended[0][1].tolist() == [[0, 1]]
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


# --- the published families ------------------------------------------------------------------------------------------


def test_published_networks_get_one_click_the_previous_logits_and_their_own_spacing():
    volume, truth = ct_of(ball(30), (40, 40, 40), 3.0, levels=MR_LEVELS, modality="MR")
    network = BrightnessNetwork(PUBLISHED_CROP, gain=2.0, threshold=4.0)
    refiner = a_refiner(volume, network)
    state = after(refiner, Click((0.0, 0.0, 0.0)), Click((5.0, 29.0, 0.0)), Click((0.0, 0.0, 33.0), positive=False))
    assert [labels.tolist() for _, labels, _ in network.attended] == [[[1]], [[1]], [[0]]]
    assert network.attended[0][2] is None
    assert all(previous is not None for _, _, previous in network.attended[1:])
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
    assert all(labels.tolist() == [[1]] for _, labels, _ in network.attended)


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


@pytest.mark.parametrize(("config", "again"), [(SMALL_CROP, True), (PUBLISHED_CROP, False)])
def test_a_native_network_corrects_its_first_mask_and_a_published_one_is_asked_once(config, again):
    network = BrightnessNetwork(config)
    after(a_refiner(SCAN, network), FIRST)
    *_, (_, _, previous) = network.attended
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
