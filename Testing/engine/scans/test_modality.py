"""A modality is believed where the voxels bear it out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from MemorizingSAM3DLib.engine.geometry import Volume
from MemorizingSAM3DLib.engine.scans.modality import believed_modality, guess_modality


def a_body(noise: float = 10, seed: int = 0) -> np.ndarray:
    """HU: air, a body of fat and organs, some bone."""
    k, j, i = np.indices((24, 40, 40))
    body = (j - 20) ** 2 + (i - 20) ** 2 < 330
    organs = (j - 18) ** 2 + (i - 22) ** 2 < 150
    bone = (j - 28) ** 2 + (i - 20) ** 2 < 9
    hu = np.select([bone, organs, body], [700.0, 55.0, -90.0], -1000.0)
    return hu + np.random.default_rng(seed).normal(0, noise, hu.shape)


@settings(max_examples=20, deadline=None)
@given(noise=st.floats(0.5, 40), seed=st.integers(0, 99), dtype=st.sampled_from(["i2", "i4", "f4"]))
def test_a_ct_in_hounsfield_units_is_believed(noise, seed, dtype):
    assert believed_modality(a_body(noise, seed).astype(dtype), "CT") == ("CT", None)


@pytest.mark.parametrize("part", ["inside", "abdomen without air", "lung", "bone"])
def test_a_cropped_ct_is_believed(part):
    hu = a_body()
    crops = {
        "inside": np.random.default_rng(1).normal(55, 15, (16, 16, 16)),
        "abdomen without air": hu[:, 10:30, 10:30],
        "lung": np.random.default_rng(1).normal(-850, 60, (16, 16, 16)),
        "bone": np.random.default_rng(1).normal(300, 250, (16, 16, 16)),
    }
    assert believed_modality(crops[part].astype(np.int16), "CT")[0] == "CT"


NOT_HU = {
    "1024 added": lambda hu: hu + 1024,
    "1000 added, no sign": lambda hu: np.clip(hu + 1000, 0, None).astype(np.uint16),
    "16 bit": lambda hu: ((hu + 1050) * 16).clip(0, 65535).astype(np.uint16),
    "8 bit": lambda hu: ((hu + 1024) / 8).clip(0, 255).astype(np.uint8),
    "micro-CT": lambda hu: (hu + 1100) * 30,
    "cone beam, half the scale": lambda hu: hu * 0.5,
    "cone beam, shifted": lambda hu: hu + 500,
    "cone beam, stretched and shifted": lambda hu: hu * 0.6 + 400,
    "stretched": lambda hu: hu * 3,
    "ten times": lambda hu: hu * 10,
    "attenuation": lambda hu: (hu / 1000 + 1) * 0.02,
    "thousandths": lambda hu: hu / 1000,
    "1000 taken off": lambda hu: hu - 1000,
}


@pytest.mark.parametrize("kind", NOT_HU)
def test_a_ct_by_name_whose_voxels_are_not_hounsfield_units_is_not_taken_for_one_and_told(kind):
    volume = Volume(NOT_HU[kind](a_body()), np.eye(4), "CT")
    assert volume.modality == "CT" and volume.believed_modality is None
    assert "not in Hounsfield units" in " ".join(volume.notes)


@pytest.mark.parametrize("modality", ["MR", "PT", "US"])
def test_other_modalities_are_believed(modality):
    assert believed_modality(a_body(), modality) == (modality, None)


def test_what_is_not_recorded_is_guessed():
    assert believed_modality(a_body().astype(np.int16), None) == ("CT", None)
    assert Volume(a_body().astype(np.int16), np.eye(4), "ct ").modality == "CT"


def test_padding_alone_does_not_make_a_ct():
    mr = np.random.default_rng(0).normal(150, 40, (20, 20, 20)).clip(1, None).astype(np.int16)
    mr[:4] = -32768
    assert guess_modality(mr) is None
