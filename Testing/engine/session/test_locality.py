"""What was right and is far from a click stays: the rule, cell by cell."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from MemorizingSAM3DLib.engine.session.locality import NEAR_CELLS, accepted_region, hold_clicks, stray_parts, within

SIZE = 40
CLICK = np.array([8.0, 20.0, 20.0])
EMPTY = np.full((SIZE,) * 3, -3.0, np.float32)


def with_block(logits: np.ndarray, r: slice, a: slice, s: slice, value: float = 4.0) -> np.ndarray:
    result = logits.copy()
    result[r, a, s] = value
    return result


def distance_to(click: np.ndarray) -> np.ndarray:
    return np.linalg.norm(np.stack(np.indices((SIZE,) * 3), -1) - click, axis=-1)


def test_everything_near_the_click_is_accepted_additions_and_removals():
    old = with_block(EMPTY, slice(6, 8), slice(18, 22), slice(18, 22))
    new = with_block(EMPTY, slice(10, 12), slice(18, 22), slice(18, 22))
    region = accepted_region(old, new, CLICK, positive=True)
    assert region[((old > 0) | (new > 0))].all()
    assert (region == (distance_to(CLICK) <= NEAR_CELLS * SIZE)).all()


def test_a_far_change_that_hangs_on_one_near_the_click_is_accepted_whole():
    new = with_block(EMPTY, slice(8, 36), slice(16, 24), slice(16, 24))
    assert accepted_region(EMPTY, new, CLICK, positive=True)[new > 0].all()


def test_a_far_change_by_itself_is_rejected_however_thick():
    new = with_block(EMPTY, slice(26, 36), slice(15, 25), slice(15, 25))
    assert not accepted_region(EMPTY, new, CLICK, positive=True)[new > 0].any()


def test_a_thin_sheet_is_rejected_where_it_is_far_even_when_it_hangs_together():
    new = with_block(EMPTY, slice(8, 36), slice(20, 21), slice(10, 30))
    region = accepted_region(EMPTY, new, CLICK, positive=True)
    far = distance_to(CLICK) > NEAR_CELLS * SIZE
    assert not region[far].any()


def test_the_boundary_flickering_by_one_cell_is_rejected_where_it_is_far():
    old = with_block(EMPTY, slice(4, 34), slice(10, 30), slice(10, 30))
    new = with_block(EMPTY, slice(4, 35), slice(9, 31), slice(9, 31))
    region = accepted_region(old, new, CLICK, positive=True)
    far = distance_to(CLICK) > NEAR_CELLS * SIZE
    assert not region[far].any()


@pytest.mark.parametrize("positive", [True, False])
def test_a_far_change_of_the_other_kind_is_rejected(positive):
    block = with_block(EMPTY, slice(8, 36), slice(16, 24), slice(16, 24))
    old, new = (block, EMPTY) if positive else (EMPTY, block)
    far = distance_to(CLICK) > NEAR_CELLS * SIZE
    assert not accepted_region(old, new, CLICK, positive)[far].any()


def test_a_negative_click_removes_a_whole_thick_leak():
    old = with_block(EMPTY, slice(8, 36), slice(16, 24), slice(16, 24))
    assert accepted_region(old, EMPTY, CLICK, positive=False)[old > 0].all()


def test_an_accepted_part_keeps_its_corners_and_leaves_no_shell():
    new = with_block(EMPTY, slice(4, SIZE), slice(12, 28), slice(12, 28))  # as far as the grid's face
    merged = np.where(accepted_region(EMPTY, new, CLICK, positive=True), new, EMPTY)
    assert ((merged > 0) == (new > 0)).all()


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(np.float32, (12, 12, 12), elements=st.floats(-4, 4, width=32)),
       hnp.arrays(np.float32, (12, 12, 12), elements=st.floats(-4, 4, width=32)),
       hnp.arrays(float, 3, elements=st.floats(-2, 13)), st.booleans())  # fmt: skip
def test_far_from_the_click_only_changes_of_its_own_kind_are_ever_accepted(old, new, click, positive):
    region = accepted_region(old, new, click, positive)
    near = within(old.shape, click, NEAR_CELLS * 12)
    wanted = (new > 0) & (old <= 0) if positive else (new <= 0) & (old > 0)
    assert region[near].all()
    agreed = (new > 0) == (old > 0)
    assert (wanted | agreed)[region & ~near].all()
    accepted = region & wanted
    assert ndimage.binary_dilation(accepted, np.ones((3, 3, 3)))[region & ~near].all()


def test_the_mask_and_the_logits_given_are_left_alone():
    old, new = EMPTY.copy(), with_block(EMPTY, slice(8, 36), slice(16, 24), slice(16, 24))
    kept = new.copy()
    accepted_region(old, new, CLICK, positive=True)
    assert (old == EMPTY).all()
    assert (new == kept).all()


def at(*place: float, centre: tuple[float, float, float] | None = None) -> np.ndarray:
    return np.array([place, centre or place])


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.float32, (6, 6, 6), elements=st.floats(-9, 9, width=32)),
       st.tuples(*[st.floats(-0.5, 5.5)] * 3), st.tuples(*[st.floats(-0.5, 5.5)] * 3), st.booleans())  # fmt: skip
def test_the_cells_that_decide_the_value_at_a_click_and_at_its_voxel_take_its_sign(logits, click, centre, positive):
    hold_clicks(logits, [(np.array([click, centre]), positive)])
    for place in (click, centre):
        low = np.clip(np.floor(place).astype(int), 0, 5)
        high = np.clip(np.ceil(place).astype(int), 0, 5)
        deciding = logits[tuple(slice(a, b + 1) for a, b in zip(low, high, strict=True))]
        assert ((deciding > 0) == positive).all()


places_on_a_small_grid = st.tuples(*[st.floats(-2, 7.5)] * 3)


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.float32, (6, 5, 7), elements=st.floats(-9, 9, width=32)),
       st.lists(st.tuples(places_on_a_small_grid, places_on_a_small_grid, st.booleans()), max_size=12))  # fmt: skip
def test_all_clicks_together_hold_what_they_hold_one_after_the_other(logits, clicks):
    clicks = [(np.array([click, centre]), positive) for click, centre, positive in clicks]
    together = logits.copy()
    hold_clicks(together, clicks)
    for click in clicks:
        hold_clicks(logits, [click])
    np.testing.assert_array_equal(together, logits)


def test_cells_farther_than_one_cell_are_left_alone():
    logits = EMPTY.copy()
    hold_clicks(logits, [(at(10.3, 20.0, 20.6), True)])
    changed = np.argwhere(logits != EMPTY)
    assert (np.abs(changed - (10.3, 20.0, 20.6)) <= 1).all()
    assert len(changed) == 2 * 3 * 2


def test_the_newest_click_has_the_last_word():
    for last in (True, False):
        logits = EMPTY.copy()
        hold_clicks(logits, [(at(5, 5, 5), not last), (at(5, 5, 5), last)])
        assert (logits[5, 5, 5] > 0) == last


def test_a_click_outside_the_grid_holds_nothing():
    logits = EMPTY.copy()
    hold_clicks(logits, [(at(-0.6, 5, 5), True), (at(5, SIZE - 0.4, 5), True)])
    assert (logits == EMPTY).all()


def test_a_strong_logit_stays_as_strong_as_it_was():
    logits = with_block(EMPTY, slice(None), slice(None), slice(None), -7.0)
    hold_clicks(logits, [(at(5, 5, 5), True), (at(20, 20, 20), False)])
    assert logits[5, 5, 5] == 7
    assert logits[20, 20, 20] == -7


ONE, OTHER = (slice(4, 9),) * 3, (slice(20, 26),) * 3
TWO_PARTS = with_block(with_block(EMPTY, *ONE), *OTHER)
IN_ONE, IN_OTHER, BESIDE_ONE, NOWHERE = (6.2, 5.8, 6.0), (22.0, 23.0, 21.0), (9.4, 6.0, 6.0), (33.0, 3.0, 3.0)


@pytest.mark.parametrize(
    ("clicked", "left_out"),
    [([IN_ONE], OTHER), ([BESIDE_ONE], OTHER), ([NOWHERE, IN_OTHER], ONE), ([IN_ONE, IN_OTHER], None), ([], None),
     ([NOWHERE], None), ([(-50.0, 6.0, 6.0), IN_ONE], OTHER)],
)  # fmt: skip
def test_of_separate_parts_the_clicked_ones_are_meant(clicked, left_out):
    stray = stray_parts(TWO_PARTS, None, np.array(clicked).reshape(-1, 3))
    expected = np.zeros(stray.shape, dtype=bool)
    if left_out:
        expected[left_out] = True
    assert (stray == expected).all()


def test_a_part_that_was_there_stays_and_one_that_touches_it_at_a_corner_comes_along():
    old = with_block(EMPTY, *OTHER)
    touching = with_block(TWO_PARTS, slice(26, 28), slice(26, 28), slice(26, 28))
    assert not stray_parts(touching, old, np.array([IN_ONE])).any()
    assert stray_parts(touching, old, np.zeros((0, 3)))[ONE].all()


def test_an_empty_mask_has_no_stray_parts():
    assert not stray_parts(EMPTY, None, np.array([IN_ONE])).any()


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(0, 3))
def test_what_is_left_of_a_mask_hangs_together_with_what_was_there_or_with_a_click(seed, clicks):
    random = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(random.normal(size=(16,) * 3), 1.2)
    new, old = smooth.astype(np.float32), np.roll(smooth, 3).astype(np.float32) - 0.1
    clicked = random.uniform(0, 15, (clicks, 3))
    stray = stray_parts(new, old, clicked)
    assert not (stray & (new <= 0)).any() and not (stray & (old > 0)).any()
    numbers, count = ndimage.label(new > 0, np.ones((3, 3, 3)))
    for number in range(1, count + 1):
        of_part = stray[numbers == number]
        assert of_part.all() or not of_part.any()
