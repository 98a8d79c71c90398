from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from MemorizingSAM3DLib.learning.companding import Companding
from Testing.learning.small_cases import a_case

INT16 = np.dtype(np.int16)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(["CT", "MR", "PET"]), st.integers(0, 999), st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))
def test_no_intensity_is_off_by_more_than_half_a_step(modality, seed, scale, offset):
    rng = np.random.default_rng(seed)
    image = (rng.gamma(1.0, scale, (8, 9, 10)) + offset).astype(np.float32)
    codes = Companding.of(image, modality)
    found = codes.decoded(codes.encoded(image), np.dtype(np.float32))
    bent = [np.arcsinh((part.astype(np.float64) - codes.centre) / codes.scale) for part in (image, found)]
    # Where float32 itself is finer than a step, it decides.
    rounding = np.spacing(np.abs(image).max()) / codes.scale + np.spacing(np.float32(np.abs(bent).max()))
    assert np.abs(bent[0] - bent[1]).max() <= codes.step / 2 * 1.01 + 4 * rounding


def test_steps_are_about_as_large_as_the_noise():
    rng = np.random.default_rng(0)
    slope = np.linspace(0, 400, 40)[:, None, None]
    for deviation in (3.0, 6.0):
        image = 1000 + slope + rng.normal(0, deviation, (40, 40, 40))
        codes = Companding.of(image.astype(np.float32), "MR")
        bent_noise = deviation / np.sqrt(codes.scale**2 + (image - codes.centre) ** 2)  # what asinh makes of it
        assert codes.step == pytest.approx(float(np.median(bent_noise)), rel=0.1)
    finer = Companding.of(image.astype(np.float32), "MR", noise_steps=0.5)
    assert finer.step == pytest.approx(0.5 * codes.step, rel=0.01)


def test_ct_keeps_soft_tissue_finer_than_air_and_metal():
    image = a_case("one/ct", "CT").image
    codes = Companding.of(image, "CT")
    values = codes.decoded(np.arange(256, dtype=np.uint8), np.dtype(np.float32))
    steps = np.diff(values)
    tissue, air = np.abs(values[:-1] - 40) < 60, values[:-1] < -800
    assert steps[tissue].max() < 0.3 * steps[air].min()


def test_whole_numbers_come_back_as_whole_numbers_within_their_type():
    image = np.array([[[-32768, 0, 5, 32767]] * 4] * 4, dtype=np.int16)
    codes = Companding.of(image, "MR")
    found = codes.decoded(codes.encoded(image), INT16)
    assert found.dtype == INT16 and found[0, 0, 0] == -32768


def test_a_constant_image_comes_back():
    image = np.full((4, 4, 4), 7, dtype=np.int16)
    codes = Companding.of(image, "MR")
    np.testing.assert_array_equal(codes.decoded(codes.encoded(image), INT16), image)
