from __future__ import annotations

import builtins

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai import metrics as monai_metrics

from MemorizingSAM3DLib.learning.evaluation.metrics import MetricError, SurfaceDice, area_under_clicks, dice


def test_dice_is_twice_the_overlap_over_the_sum():
    a, b = np.zeros((4, 4, 4), bool), np.zeros((4, 4, 4), bool)
    a[0, 0, :3] = True
    b[0, 0, 2:] = True
    assert dice(a, b) == 2 * 1 / 5
    assert dice(a, a) == 1


def test_two_empty_masks_agree():
    empty = np.zeros((2, 2, 2), bool)
    assert dice(empty, empty) == 1


@pytest.mark.parametrize(
    ("scores", "area"), [([0.7], 0.7), ([1, 1, 1, 1], 1), ([0, 1], 0.5), ([0, 1, 1], 0.75), ([0.2, 0.4, 0.9], 0.475)]
)
def test_the_area_is_that_of_trapezoids_over_the_clicks_between(scores, area):
    assert area_under_clicks(scores) == pytest.approx(area)


SHAPES = st.tuples(*[st.integers(2, 9)] * 3)
SPACINGS = st.tuples(*[st.floats(0.4, 6.0)] * 3)


def a_ball(radius: float, spacing: tuple[float, float, float] = (1.0, 1.0, 1.0), shift: float = 0.0) -> np.ndarray:
    """A ball in the middle of a cube of 60 mm, moved by a shift in mm along the first axis."""
    axes = [np.arange(0, 60, s) - 30 for s in spacing]
    k, j, i = np.meshgrid(*axes, indexing="ij", sparse=True)
    return (k - shift) ** 2 + j**2 + i**2 <= radius**2


def a_block(*edges: tuple[int, int], shape: tuple[int, int, int]) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[tuple(slice(low, high) for low, high in edges)] = True
    return mask


@st.composite
def two_masks(draw):
    shape = draw(SHAPES)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    first, second = (rng.random(shape) < draw(st.floats(0, 1)) for _ in range(2))
    return first, second


@settings(max_examples=60, deadline=None)
@given(masks=two_masks(), spacing=SPACINGS, tolerance=st.floats(0, 8))
def test_it_is_what_monai_computes_with_subvoxels(masks, spacing, tolerance):
    truth, prediction = masks
    if not (truth.any() and prediction.any()):
        return
    first, second = (torch.from_numpy(mask)[None, None] for mask in (prediction, truth))
    expected = monai_metrics.compute_surface_dice(
        first, second, [tolerance], include_background=True, spacing=spacing, use_subvoxels=True
    )
    assert SurfaceDice(truth, spacing, tolerance).of(prediction) == pytest.approx(float(expected), abs=1e-5)


@settings(max_examples=60, deadline=None)
@given(masks=two_masks(), spacing=SPACINGS, tolerance=st.floats(0, 8))
def test_it_is_symmetric_between_0_and_1_and_1_for_equal_masks(masks, spacing, tolerance):
    first, second = masks
    there, back = (
        SurfaceDice(a, spacing, tolerance).of(b) for a, b in ((first, second), (second, first))
    )  # fmt: skip
    assert there == pytest.approx(back, abs=1e-9)
    assert 0 <= there <= 1
    assert SurfaceDice(first, spacing, tolerance).of(first) == pytest.approx(1)


@settings(max_examples=30, deadline=None)
@given(masks=two_masks(), spacing=SPACINGS, tolerances=st.tuples(st.floats(0, 8), st.floats(0, 8)))
def test_a_wider_tolerance_never_lowers_it(masks, spacing, tolerances):
    truth, prediction = masks
    narrow, wide = (SurfaceDice(truth, spacing, tolerance).of(prediction) for tolerance in sorted(tolerances))
    assert narrow <= wide + 1e-9


@settings(max_examples=30, deadline=None)
@given(masks=two_masks(), spacing=SPACINGS, tolerance=st.floats(0, 8), margin=st.integers(1, 4))
def test_air_around_changes_nothing(masks, spacing, tolerance, margin):
    truth, prediction = masks
    wider = SurfaceDice(np.pad(truth, margin), spacing, tolerance).of(np.pad(prediction, margin))
    assert SurfaceDice(truth, spacing, tolerance).of(prediction) == pytest.approx(wider, abs=1e-9)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (3.0, 1.0, 1.0), (1.0, 2.0, 0.8)])
def test_concentric_balls_are_wrong_everywhere_or_nowhere(spacing):
    truth = a_ball(20, spacing)
    step = max(spacing)  # voxel surfaces are off by at most about a voxel
    assert SurfaceDice(truth, spacing, 3 + step).of(a_ball(23, spacing)) == pytest.approx(1, abs=0.01)
    assert SurfaceDice(truth, spacing, 2.0).of(a_ball(22 + 2 * step, spacing)) < 0.2


def test_of_a_shifted_ball_the_caps_are_wrong():
    # Two balls of radius R = 20, centres d = 6 mm apart. A point of one lies |R - sqrt(R^2 + d^2 + 2 R d u)| from the
    # other, u its cosine to the shift, which is uniform over the ball's area (Archimedes). Within 2 mm: u in [a, b].
    low, high = (((r**2 - 20**2 - 6**2) / (2 * 20 * 6)) for r in (18, 22))
    expected = (high - low) / 2
    spacing = (0.5, 0.5, 0.5)
    found = SurfaceDice(a_ball(20, spacing), spacing, 2.0).of(a_ball(20, spacing, shift=6.0))
    assert found == pytest.approx(expected, abs=0.05)


def test_a_face_counts_by_its_area_in_mm_not_by_its_voxels():
    # A box of 30 x 40 x 40 mm whose upper face is 5 mm too low: that face is wrong, its rim too, the rest is right.
    shape, spacing = (12, 60, 60), (5.0, 1.0, 1.0)
    truth = a_block((3, 9), (10, 50), (10, 50), shape=shape)
    prediction = a_block((3, 8), (10, 50), (10, 50), shape=shape)
    whole, lower = 2 * 40 * 40 + 4 * 40 * 30, 2 * 40 * 40 + 4 * 40 * 25
    wrong = 2 * 40 * 40 + 4 * 40 * 5
    found = SurfaceDice(truth, spacing, 2.0).of(prediction)
    assert found == pytest.approx(1 - wrong / (whole + lower), abs=0.06)


def test_what_is_far_away_only_adds_its_area():
    shape = (20, 20, 60)
    truth = a_block((5, 15), (5, 15), (5, 15), shape=shape)
    far = truth | a_block((5, 15), (5, 15), (40, 50), shape=shape)
    assert SurfaceDice(truth, (1.0, 1.0, 1.0), 2.0).of(far) == pytest.approx(2 / 3)


def test_empty_masks():
    empty, block = np.zeros((6, 6, 6), bool), a_block((1, 4), (1, 4), (1, 4), shape=(6, 6, 6))
    assert SurfaceDice(empty, (1.0, 1.0, 1.0)).of(empty) == 1
    assert SurfaceDice(empty, (1.0, 1.0, 1.0)).of(block) == 0
    assert SurfaceDice(block, (1.0, 1.0, 1.0)).of(empty) == 0


def test_a_mask_may_touch_the_edge_of_the_scan():
    full = np.ones((4, 5, 6), bool)
    assert SurfaceDice(full, (1.0, 1.0, 1.0)).of(full) == 1


def test_without_monai_it_says_what_to_install(monkeypatch):
    original = builtins.__import__

    def without_monai(name, *arguments, **keywords):
        if name.startswith("monai"):
            raise ImportError(name)
        return original(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without_monai)
    with pytest.raises(MetricError, match="pip install"):
        SurfaceDice(np.ones((3, 3, 3), bool), (1.0, 1.0, 1.0))
