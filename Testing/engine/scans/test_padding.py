"""Padding takes no contrast: whatever its value, the crop looks as it does without it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from MemorizingSAM3DLib.engine.geometry import Volume
from MemorizingSAM3DLib.engine.scans.padding import without_padding

TISSUE = np.random.default_rng(0).normal(300, 60, (24, 30, 36)).clip(5, 700)
RIM = np.ones(TISSUE.shape, bool)
RIM[2:-2, 4:-4, 4:-4] = False

PADDINGS = [
    (-9999, "f4"), (-32768, "i2"), (32767, "i2"), (65535, "u2"), (-2000, "i2"), (4095, "u2"), (1e30, "f4"),
    (-1e30, "f4"), (-1.7e308, "f8"), (1.7e308, "f8"), (3.4e38, "f4"), (-(2**31), "i4"), (2**31 - 1, "i4"),
]  # fmt: skip


def padded(value: float, dtype: str) -> np.ndarray:
    array = TISSUE.astype(dtype)
    array[RIM] = value
    return array


@pytest.mark.parametrize(("value", "dtype"), PADDINGS)
@pytest.mark.parametrize("modality", ["MR", "PT", None])
def test_padding_far_from_the_rest_is_put_beside_it_and_told(value, dtype, modality):
    volume = Volume(padded(value, dtype), np.eye(4), modality)
    seen = volume.intensities.astype(np.float32)
    assert -250 <= seen.min() and seen.max() <= 700
    assert (seen[~RIM] == TISSUE.astype(dtype)[~RIM].astype(np.float32)).all()
    assert "taken for padding" in " ".join(volume.notes)
    assert (volume.array == padded(value, dtype)).all()  # the scan itself stays


@settings(max_examples=60, deadline=None)
@given(
    value=st.one_of(st.floats(-1e38, -3000), st.floats(3000, 1e38)),
    gain=st.sampled_from([1e-6, 1.0, 1e4]),
    share=st.integers(1, 5),
)
def test_any_value_far_off_is_padding_in_any_unit(value, gain, share):
    array = (TISSUE * gain).astype(np.float64)
    array[:share] = value * gain
    seen, found = without_padding(array, "MR")
    assert found == (value * gain,)
    assert seen.min() >= -400 * gain and seen.max() <= 700 * gain


def test_two_kinds_of_padding_and_nan_are_all_padding():
    array = padded(-9999, "f4")
    array[:, :, :3] = 1e30
    array[:3] = np.nan
    volume = Volume(array, np.eye(4), "MR")
    assert -250 <= volume.intensities.min() and volume.intensities.max() <= 700
    assert len(volume.notes) == 2


@pytest.mark.parametrize("modality", ["MR", "CT", "PT", None])
def test_a_scan_without_padding_is_not_copied(modality):
    for array in (TISSUE.astype(np.int16), TISSUE.astype(np.float32), TISSUE):
        volume = Volume(array, np.eye(4), modality)
        assert volume.intensities is volume.array is array


def test_something_bright_within_the_scan_is_no_padding():
    array = TISSUE.copy()
    array[8:16, 10:20, 12:24] = 5000
    assert without_padding(array, "MR")[1] == ()


def test_labels_and_drawings_are_no_scans_with_padding():
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[5:9, 5:9, 5:9], labels[:, :2] = 3, 255
    assert without_padding(labels, None)[1] == ()


@pytest.mark.parametrize("value", [-2000, -3024, -32768, 32767, 30000])
def test_padding_of_a_ct_becomes_air(value):
    array = (TISSUE - 300).astype(np.int16)
    array[RIM] = value
    seen, found = without_padding(array, "CT")
    assert found == (value,) and (seen[RIM] == -1024).all()


def test_the_air_of_a_ct_is_no_padding():
    array = (TISSUE - 300).astype(np.int16)
    array[RIM] = -1000
    assert without_padding(array, "CT")[1] == ()
