from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate

from MemorizingSAM3DLib.engine.geometry import Volume
from MemorizingSAM3DLib.learning.evaluation.challenge import (
    challenge_area,
    challenge_box,
    challenge_click,
    challenge_scores,
    summarise_challenge,
)
from MemorizingSAM3DLib.learning.evaluation.results import ClickScore, Run
from Testing.learning.small_evaluations import a_result, a_run
from Testing.learning.test_simulated_user import EMPTY, a_ball, a_block

FIVE = st.lists(st.floats(0, 1), min_size=5, max_size=5)


def test_missed_and_false_voxels_that_touch_are_one_error():
    # The published rule would click the missed block of 125 voxels: the missed half of the bar has 108, the false 108.
    target = a_block((1, 6), (1, 6), (1, 6)) | a_block((12, 18), (12, 18), (12, 15))
    prediction = a_block((12, 18), (12, 18), (15, 18))
    click = challenge_click(prediction, target)
    assert click is not None
    assert all(12 <= v < 18 for v in click.voxel)
    assert click.positive == target[click.voxel]


def test_parts_that_touch_at_a_corner_are_one_error():
    # Two cubes of 27 voxels meet at a corner: more than one of 36 elsewhere.
    pair = a_block((2, 5), (2, 5), (2, 5)) | a_block((5, 8), (5, 8), (5, 8))
    click = challenge_click(EMPTY, pair | a_block((14, 18), (14, 17), (14, 17)))
    assert click is not None and pair[click.voxel]


@pytest.mark.parametrize("larger_is_missed", [True, False])
def test_of_two_errors_the_larger_is_clicked_in_its_middle_and_the_truth_there_gives_the_sign(larger_is_missed):
    large, small = a_ball((8, 9, 10), 4.5), a_ball((18, 18, 18), 2)
    prediction, target = (small, large) if larger_is_missed else (large, small)
    assert challenge_click(prediction, target) == ((8, 9, 10), larger_is_missed)


def test_depth_counts_voxels_and_the_border_is_outside():
    assert challenge_click(EMPTY, a_block((0, 5), (0, 24), (0, 24)))[0][0] == 2


def test_of_equally_deep_voxels_always_the_same_is_taken():
    bar = a_block((3, 6), (3, 6), (2, 22))
    clicks = {challenge_click(EMPTY, bar) for _ in range(5)}
    assert len(clicks) == 1
    ((voxel, positive),) = clicks
    assert voxel[:2] == (4, 4) and positive
    # The challenge's script: np.random.seed(42), then one of the deepest voxels in the array's order.
    assert voxel[2] == range(3, 21)[np.random.RandomState(42).choice(18)]


def test_nothing_wrong_needs_no_click():
    assert challenge_click(a_ball((8, 8, 8), 4), a_ball((8, 8, 8), 4)) is None


def test_the_box_is_that_of_the_middle_slice_through_all_slices():
    volume = Volume(np.random.default_rng(0).integers(0, 9, (20, 256, 128)), np.diag([1, 1, 2, 1.0]), "CT")
    truth = np.zeros(volume.shape, bool)
    truth[3:9, 100:120, 50:70] = True
    truth[9:15, 100:104, 50:55] = True
    box = challenge_box(volume, truth)
    corners = volume.ras_to_ijk(np.array(box.corners))
    (x0, y0, z0), (x1, y1, z1) = corners.min(axis=0), corners.max(axis=0)
    assert (z0, z1) == pytest.approx((2.5, 14.5))
    shift = 99.5 - y0
    assert shift in range(6) and y1 == 119.5 + shift
    assert (49.5 - x0, x1 - 69.5) == (shift // 2, shift // 2)  # of 128 columns half as many
    assert challenge_box(volume, truth) == box


def test_the_box_stays_in_the_scan():
    volume = Volume(np.random.default_rng(0).integers(0, 9, (8, 256, 256)), np.eye(4), "CT")
    corners = volume.ras_to_ijk(np.array(challenge_box(volume, np.ones(volume.shape, bool)).corners))
    assert corners.min() == -0.5 and corners.max() == 255.5


@given(FIVE)
def test_the_area_is_that_of_the_challenges_script(scores):
    assert challenge_area(scores) == pytest.approx(integrate.cumulative_trapezoid(scores, np.arange(5))[-1])


@pytest.mark.parametrize(
    ("scores", "area"),
    [([1, 1, 1, 1, 1], 4.0), ([0, 0, 0, 0, 0], 0.0), ([0.2, 0.4, 0.6, 0.8, 1.0], 2.4), ([0, 1, 1, 1, 1], 3.5)],
)
def test_five_points_reach_an_area_of_four_at_most(scores, area):
    assert challenge_area(scores) == pytest.approx(area)


def a_run_of(dice, nsd) -> Run:
    scores = [ClickScore("point", (0, 0, 0), True, d, n, 1.0) for d, n in zip(dice, nsd, strict=True)]
    return Run("model", "model", tuple(scores))


def test_the_box_before_the_points_does_not_count():
    run = a_run_of([0.1, 1, 1, 1, 1, 0.5], [0.1, 1, 1, 1, 1, 0.7])
    assert challenge_scores(run, 5) == pytest.approx(
        {"dsc_auc": 3.75, "nsd_auc": 3.85, "dsc_final": 0.5, "nsd_final": 0.7}
    )


def test_a_surface_counts_only_above_a_dice_of_a_fifth():
    found = challenge_scores(a_run_of([0.1, 0.2, 0.21, 0.3, 0.2], [0.9] * 5), 5)
    assert found["nsd_auc"] == pytest.approx(0.45 + 0.9 + 0.45)
    assert found["nsd_final"] == 0


def test_figures_are_means_over_cases_of_means_over_structures():
    one, half, none = ([x] * 5 for x in (1.0, 0.5, 0.0))
    runs = [a_run("model", "model", *dice) for dice in (one, half, none)]
    results = [
        a_result("a", "1", runs[0], modality="CT"), a_result("a", "1", runs[1], label=2, modality="CT"),
        a_result("b", "1", runs[2], modality="MR"),
    ]  # fmt: skip
    found = summarise_challenge(results, runs, 5)
    assert found["overall"] == {
        "cases": 2, "labels": 3, "dsc_auc": 1.5, "nsd_auc": 0.75, "dsc_final": 0.375, "nsd_final": 0.1875,
    }  # fmt: skip
    assert found["modalities"]["CT"]["dsc_auc"] == found["datasets"]["a"]["dsc_auc"] == 3.0
    assert found["modalities"]["MR"]["dsc_final"] == 0


def test_where_millimetres_are_nominal_surfaces_are_in_no_mean():
    runs = [a_run("model", "model", *[1.0] * 5), a_run("model", "model", *[1.0] * 5, nsd=False)]
    found = summarise_challenge([a_result("ct", "1", runs[0]), a_result("acdc", "1", runs[1])], runs, 5)
    assert found["overall"]["nsd_final"] == 0.5
    assert found["datasets"]["acdc"]["nsd_auc"] is None
