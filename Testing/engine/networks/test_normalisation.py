"""Intensities as the networks want them, whatever the scan's units are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from MemorizingSAM3DLib.engine.networks.normalisation import foreground_range, normalise
from MemorizingSAM3DLib.engine.scans.modality import guess_modality

EVERYWHERE = np.ones((16, 16, 16), dtype=bool)


def noise(low: float, high: float, size: int = 16) -> np.ndarray:
    return np.random.default_rng(3).uniform(low, high, (size,) * 3).astype(np.float32)


def test_ct_follows_one_fixed_curve_whatever_else_is_in_the_crop():
    crop = noise(-1000, 1000)
    crop[0, 0, :3] = 40, 100, -20
    values = normalise(crop, EVERYWHERE, "CT")[0, 0, :3]
    assert values.tolist() == pytest.approx([0, np.arcsinh(1) / 2, -np.arcsinh(1) / 2], abs=1e-6)


def test_ct_grows_with_hu_and_clips_what_scanners_cannot_mean():
    hu = np.array([-30000, -1024, -500, 0, 40, 300, 3071, 30000], dtype=np.float32)
    crop = np.broadcast_to(hu, (8, 8, 8)).copy()
    values = normalise(crop, np.ones((8, 8, 8), bool), "CT")[0, 0]
    assert values[0] == values[1]
    assert values[-2] == values[-1]
    assert (np.diff(values[1:-1]) > 0).all()


def test_other_modalities_map_the_foregrounds_percentiles_to_minus_one_and_one():
    crop = noise(100, 900, 32)
    low, high = np.percentile(crop, (1, 99))
    values = normalise(crop, np.ones_like(crop, dtype=bool), "MR")
    assert values.flat[np.abs(crop - low).argmin()] == pytest.approx(-1, abs=0.02)
    assert values.flat[np.abs(crop - high).argmin()] == pytest.approx(1, abs=0.02)


@settings(max_examples=25, deadline=None)
@given(st.floats(1e-9, 1e9), st.floats(-5, 5))
def test_units_do_not_matter_outside_ct(gain, offset):
    crop = noise(1, 2)
    expected = normalise(crop, EVERYWHERE, "MR")
    shifted = (crop.astype(np.float64) + offset) * gain
    assert normalise(shifted.astype(np.float32), EVERYWHERE, "MR") == pytest.approx(expected, abs=1e-3)


def test_a_zeroed_background_does_not_take_the_lower_percentile():
    crop = noise(500, 1000, 32)
    crop[:20] = 0
    assert foreground_range(crop, np.ones_like(crop, dtype=bool))[0] > 490


def test_padding_outside_the_scan_has_no_say():
    crop, inside = noise(500, 1000), EVERYWHERE.copy()
    inside[8:] = False
    expected = foreground_range(crop, inside)
    crop[8:] = -1e6
    assert foreground_range(crop, inside) == expected


@pytest.mark.parametrize("family", ["native", "sam_med3d", "fastsam3d"])
@pytest.mark.parametrize("modality", ["CT", "MR", None])
@pytest.mark.parametrize("level", [0.0, -7.0, 1e-8, 1e8])
def test_a_constant_crop_stays_finite_and_constant(family, modality, level):
    values = normalise(np.full((16, 16, 16), level, np.float32), EVERYWHERE, modality, family)
    assert np.isfinite(values).all()
    assert np.ptp(values) == 0


@pytest.mark.parametrize("family", ["native", "sam_med3d"])
@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_a_crop_wholly_outside_the_scan_stays_finite(family, modality):
    values = normalise(np.full((16, 16, 16), -1024, np.float32), ~EVERYWHERE, modality, family)
    assert np.isfinite(values).all()


@pytest.mark.parametrize("family", ["native", "sam_med3d"])
@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_huge_values_stay_finite(family, modality):
    crop = noise(0, 1)
    crop[3, 4, 5], crop[6, 7, 8] = 3e30, -3e30
    values = normalise(crop, EVERYWHERE, modality, family)
    assert np.isfinite(values).all()


def test_one_outlier_does_not_flatten_the_rest():
    crop = noise(0, 100)
    crop[3, 4, 5] = 1e7
    values = normalise(crop, EVERYWHERE, "MR")
    assert values.max() == 2.5
    assert np.percentile(values, 95) - np.percentile(values, 5) > 1.5


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float64])
def test_the_result_is_float32_and_the_crop_is_left_alone(dtype):
    crop = noise(0, 200).astype(dtype)
    kept = crop.copy()
    for family in ("native", "sam_med3d"):
        for modality in ("CT", "MR"):
            values = normalise(crop, EVERYWHERE, modality, family)
            assert values.dtype == np.float32
            assert values.shape == crop.shape
    assert (crop == kept).all()


def test_published_networks_get_zero_mean_and_unit_deviation_over_what_is_above_zero():
    crop = noise(-50, 150)
    values = normalise(crop, EVERYWHERE, "MR", "sam_med3d")
    body = values[crop > 0]
    assert body.mean() == pytest.approx(0, abs=1e-4)
    assert body.std() == pytest.approx(1, abs=1e-4)


def test_published_networks_get_ct_clamped_to_a_thousand_hu():
    crop = noise(-1500, 1500)
    expected = normalise(np.clip(crop, -1000, 1000), EVERYWHERE, "MR", "fastsam3d")
    assert (normalise(crop, EVERYWHERE, "CT", "fastsam3d") == expected).all()


def test_a_scan_with_air_and_soft_tissue_is_guessed_to_be_ct():
    scan = noise(-100, 200).astype(np.int16)
    scan[0] = -1000
    assert guess_modality(scan) == "CT"


@pytest.mark.parametrize(("low", "high"), [(0, 4000), (-150, 900), (-1024, -900)])
def test_a_scan_without_air_or_without_tissue_is_not_guessed_to_be_ct(low, high):
    assert guess_modality(noise(low, high).astype(np.int16)) is None


def test_guessing_takes_unsigned_and_small_scans():
    assert guess_modality(np.arange(64, dtype=np.uint8).reshape(4, 4, 4)) is None
