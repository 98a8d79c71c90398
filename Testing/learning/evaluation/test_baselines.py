from __future__ import annotations

import builtins

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from MemorizingSAM3DLib.engine.geometry import Volume
from MemorizingSAM3DLib.engine.prompts import Click
from MemorizingSAM3DLib.learning.data.cases import case_volume
from MemorizingSAM3DLib.learning.evaluation.baselines import (
    BACKGROUND,
    OBJECT,
    UNKNOWN,
    BaselineError,
    ClickedCrop,
    ConfidenceConnected,
    RandomWalker,
    classic_baselines,
)
from MemorizingSAM3DLib.learning.evaluation.metrics import dice
from Testing.engine.phantoms import OBLIQUE
from Testing.learning.small_evaluations import two_blocks


def a_volume(shape=(30, 40, 50), spacing=(1.0, 1.5, 3.0)) -> Volume:
    """A turned scan whose voxels hold their own index along k."""
    array = np.broadcast_to(np.arange(shape[0], dtype=np.float32)[:, None, None], shape)
    matrix = np.eye(4)
    matrix[:3, :3] = OBLIQUE @ np.diag(spacing)
    matrix[:3, 3] = (12.0, -40.0, 7.0)
    return Volume(np.ascontiguousarray(array), matrix)


def click_at(volume: Volume, k: float, j: float, i: float, positive: bool = True) -> Click:
    r, a, s = volume.ijk_to_ras_points((i, j, k)).tolist()
    return Click((r, a, s), positive)


def test_the_crop_reaches_the_margin_around_the_positive_clicks_and_no_farther():
    volume = a_volume()
    clicks = [click_at(volume, 15, 20, 25), click_at(volume, 15, 24, 25), click_at(volume, 1, 1, 1, False)]
    crop = ClickedCrop.around(volume, clicks, margin_mm=6.0, longest=100)
    # k is 3 mm, j 1.5, i 1: 2, 4 and 6 voxels on both sides.
    assert crop.image.shape == (5, 13, 13)
    assert crop.image[:, 0, 0].tolist() == [13, 14, 15, 16, 17]
    np.testing.assert_allclose(crop.positive, [(2, 4, 6), (2, 8, 6)], atol=1e-6)
    assert len(crop.negative) == 0


def test_clicks_far_apart_widen_the_margin():
    volume = a_volume()
    clicks = [click_at(volume, 15, 20, 15), click_at(volume, 15, 20, 35)]
    crop = ClickedCrop.around(volume, clicks, margin_mm=2.0, longest=100)
    assert crop.image.shape[2] == 41  # 20 mm between the clicks, half of it on both sides


def test_a_scan_smaller_than_the_margin_is_taken_whole():
    volume = a_volume()
    crop = ClickedCrop.around(volume, [click_at(volume, 15, 20, 25)], margin_mm=500.0, longest=100)
    assert crop.image.shape == volume.shape
    np.testing.assert_array_equal(crop.image, volume.array)


@settings(max_examples=40, deadline=None)
@given(st.tuples(st.floats(0, 29), st.floats(0, 39), st.floats(0, 49)), st.integers(5, 60), st.floats(2, 80))
def test_a_click_stays_on_the_intensity_it_was_on(place, longest, margin):
    volume = a_volume()
    crop = ClickedCrop.around(volume, [click_at(volume, *place)], margin, longest)
    assert max(crop.image.shape) <= longest
    k, j, i = crop.positive[0]
    slices = np.arange(crop.image.shape[0])
    seen = np.interp(k, slices, crop.image[:, 0, 0])
    assert seen == pytest.approx(place[0], abs=crop.spacing[0] / 3.0 * 0.51 + 0.01)


@settings(max_examples=30, deadline=None)
@given(st.integers(8, 60))
def test_a_mask_comes_back_to_where_it_was(longest):
    volume = a_volume()
    crop = ClickedCrop.around(volume, [click_at(volume, 15, 20, 25)], 500.0, longest)
    k = crop.image / 29  # the array holds k itself
    mask = crop.mask_on_scan(np.clip((k * 29 - 12.5) + 0.5, 0, 1))
    found = np.flatnonzero(mask.any(axis=(1, 2)))
    assert abs(int(found[0]) - 13) <= 1 and found[-1] == 29
    assert mask[found[0] : found[-1] + 1].mean() > 0.97


def test_seeds_are_balls_and_the_border_and_a_positive_click_wins():
    volume = a_volume((40, 40, 40), (1.0, 1.0, 1.0))
    clicks = [click_at(volume, 20, 20, 20), click_at(volume, 20, 20, 24, False)]
    seeds = ClickedCrop.around(volume, clicks, 12.0, 100).seeds(3.0)
    assert seeds.shape == (25, 25, 25)
    assert seeds[12, 12, 12] == seeds[12, 12, 15] == seeds[15, 12, 12] == OBJECT
    assert seeds[12, 12, 16] == seeds[12, 12, 19] == BACKGROUND
    assert seeds[12, 12, 20] == seeds[12, 12, 8] == UNKNOWN
    border = np.ones(seeds.shape, bool)
    border[1:-1, 1:-1, 1:-1] = False
    assert (seeds[border] == BACKGROUND).all()


def test_a_click_is_never_less_than_a_voxel():
    volume = a_volume((20, 20, 20), (5.0, 5.0, 5.0))
    seeds = ClickedCrop.around(volume, [click_at(volume, 10.4, 10, 10)], 30.0, 100).seeds(1.0)
    assert (seeds == OBJECT).sum() == 1


def test_an_axis_of_two_slices_has_no_border():
    volume = a_volume((4, 20, 20), (1.0, 1.0, 1.0))
    seeds = ClickedCrop.around(volume, [click_at(volume, 0, 10, 10)], 0.9, 100).seeds(0.5)
    assert seeds.shape[0] == 2
    assert seeds[0, 1, 1] == OBJECT


def a_dumbbell() -> tuple[Volume, np.ndarray]:
    """Two equally bright boxes joined by a bridge, in noise."""
    truth = np.zeros((30, 30, 60), bool)
    truth[8:22, 8:22, 5:22] = truth[8:22, 8:22, 38:55] = truth[13:17, 13:17, 22:38] = True
    array = np.where(truth, 500.0, 0.0) + np.random.default_rng(0).normal(0, 20, truth.shape)
    return Volume(array.astype(np.float32), np.eye(4)), truth


def test_it_cuts_between_clicks_of_unlike_sign_where_intensities_are_alike():
    volume, _ = a_dumbbell()
    mask = ConfidenceConnected().segment(
        volume, [click_at(volume, 15, 15, 13), click_at(volume, 15, 15, 46, positive=False)]
    )
    assert mask[10:20, 10:20, 8:20].mean() > 0.9
    assert not mask[:, :, 31:].any()


def test_it_narrows_its_range_when_it_leaks_to_the_border():
    # A bright box on a ground whose brightness grows until, at the border, it is nearly the box's.
    ground = np.broadcast_to(np.linspace(0, 90, 40)[:, None, None], (40, 40, 40))
    array = np.array(ground + np.random.default_rng(0).normal(0, 5, ground.shape), np.float32)
    array[12:22, 12:28, 12:28] = np.random.default_rng(1).normal(100, 25, (10, 16, 16))
    volume = Volume(array, np.eye(4))
    clicks = [click_at(volume, 17, 20, 20)]
    wide = ConfidenceConnected(multipliers=(4.0,), smoothing=1).segment(volume, clicks)
    careful = ConfidenceConnected(multipliers=(4.0, 2.0, 1.0), smoothing=1).segment(volume, clicks)
    assert wide[-1].mean() > 0.5
    assert careful[-1].mean() < 0.1


def test_a_part_without_a_positive_click_is_dropped_and_holes_are_filled():
    array = np.random.default_rng(0).normal(0, 3, (30, 30, 30)).astype(np.float32)
    array[8:22, 8:22, 8:22] += 300
    array[14:16, 14:16, 14:16] = 0
    volume = Volume(array, np.eye(4))
    mask = ConfidenceConnected().segment(volume, [click_at(volume, 10, 10, 10)])
    assert mask[14:16, 14:16, 14:16].all()


# What is true of every classic tool is tested on both that need no slicer; Grow from seeds has its own file.
TOOLS = (RandomWalker(), ConfidenceConnected())


@pytest.fixture(scope="module")
def a_scan() -> tuple[Volume, np.ndarray]:
    case = two_blocks()
    return case_volume(case), np.ascontiguousarray((case.labels == 1).transpose(2, 1, 0))


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_a_click_finds_a_block_that_stands_out(a_scan, tool):
    volume, truth = a_scan
    mask = tool.segment(volume, [click_at(volume, 13, 12, 10)])
    assert mask.shape == volume.shape and mask.dtype == bool
    assert dice(mask, truth) > 0.8


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_the_other_block_is_left_alone_and_can_be_added(a_scan, tool):
    volume, _ = a_scan
    first, second = click_at(volume, 13, 12, 10), click_at(volume, 18, 26, 30)
    assert not tool.segment(volume, [first])[18, 26, 30]
    assert tool.segment(volume, [first, second])[18, 26, 30]


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_a_negative_click_is_outside(a_scan, tool):
    volume, _ = a_scan
    clicks = [click_at(volume, 13, 12, 6), click_at(volume, 13, 12, 15, positive=False)]
    mask = tool.segment(volume, clicks)
    assert mask[13, 12, 6] and not mask[13, 12, 15]


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_negative_clicks_alone_make_nothing(a_scan, tool):
    volume, _ = a_scan
    assert not tool.segment(volume, [click_at(volume, 13, 12, 10, positive=False)]).any()


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_the_same_clicks_give_the_same_mask(a_scan, tool):
    volume, _ = a_scan
    clicks = [click_at(volume, 13, 12, 10), click_at(volume, 13, 25, 10, positive=False)]
    np.testing.assert_array_equal(tool.segment(volume, clicks), tool.segment(volume, clicks))


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_a_scan_of_few_voxels_is_no_error(tool):
    volume = Volume(np.arange(64, dtype=np.int16).reshape(4, 4, 4), np.eye(4))
    mask = tool.segment(volume, [click_at(volume, 2, 2, 2)])
    assert mask[2, 2, 2]


def test_they_say_what_they_were_set_to():
    names = [tool.name for tool in classic_baselines()]
    assert names == ["random_walker", "confidence_connected"]
    assert RandomWalker(beta=5.0).parameters["beta"] == 5.0
    assert ConfidenceConnected().parameters["multipliers"][0] == 2.5


def test_without_scikit_image_it_says_what_to_install(monkeypatch):
    original = builtins.__import__

    def without_skimage(name, *arguments, **keywords):
        if name.startswith("skimage"):
            raise ImportError(name)
        return original(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without_skimage)
    with pytest.raises(BaselineError, match="pip install scikit-image"):
        RandomWalker().require()
