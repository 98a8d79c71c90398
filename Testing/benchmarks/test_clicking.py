from __future__ import annotations

import numpy as np
import pytest

from MemorizingSAM3DLib.benchmarks import clicking
from MemorizingSAM3DLib.engine.predictor import Predictor
from Testing.engine.click_networks import BrightnessNetwork


@pytest.fixture
def a_small_hospital(monkeypatch):
    monkeypatch.setattr(clicking, "SHAPE", (24, 40, 40))
    monkeypatch.setattr(clicking, "SPACING_MM", (4.0, 4.0, 6.0))


def test_the_scan_holds_the_organ_that_is_said(a_small_hospital):
    voxels, matrix = clicking.a_scan()
    millilitres = (voxels > 85).sum() * np.linalg.det(matrix[:3, :3]) / 1000
    assert millilitres == pytest.approx(4 / 3 * np.pi * np.prod(clicking.ORGAN_RADII_MM) / 1000, rel=0.1)


def test_points_on_a_cached_crop_are_reported_apart_from_the_first(a_scene, a_small_hospital):
    report = clicking.measure_clicking(Predictor(BrightnessNetwork(threshold=0.5)), clicks=3)

    assert len(report["later_ms"]) == 3
    assert report["first_encodes"] >= 1
    assert report["first_ms"] > report["take_scan_ms"] > 0
    assert report["cached_clicks"] <= 3
