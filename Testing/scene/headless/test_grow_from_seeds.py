from __future__ import annotations

import builtins

import numpy as np
import pytest

from MemorizingSAM3DLib.engine.geometry import Volume
from MemorizingSAM3DLib.learning.data.cases import case_volume
from MemorizingSAM3DLib.learning.evaluation.baselines import BaselineError
from MemorizingSAM3DLib.learning.evaluation.metrics import dice
from MemorizingSAM3DLib.scene.headless.grow_from_seeds import GrowFromSeeds
from Testing.learning.evaluation.test_baselines import click_at
from Testing.learning.small_evaluations import two_blocks

pytest.importorskip("slicer", reason="needs slicer-core: pip install memorizing-sam3d[scene]")


@pytest.fixture(scope="module")
def a_scan():
    case = two_blocks()
    return case_volume(case), np.ascontiguousarray((case.labels == 1).transpose(2, 1, 0))


def test_a_click_finds_a_block_that_stands_out(a_scan):
    volume, truth = a_scan
    mask = GrowFromSeeds().segment(volume, [click_at(volume, 13, 12, 10)])
    assert mask.shape == volume.shape and mask.dtype == bool
    assert dice(mask, truth) > 0.9


def test_the_border_of_the_crop_holds_the_object_back():
    # On a plain ground nothing but the border's seeds ends the object: half way between click and border.
    noise = np.random.default_rng(0).normal(0, 1, (60, 60, 60)).astype(np.float32)
    volume = Volume(noise, np.eye(4))
    mask = GrowFromSeeds(margin_mm=20.0).segment(volume, [click_at(volume, 30, 30, 30)])
    assert mask[30, 30, 30]
    assert mask.mean() < 0.1
    assert not mask[30, 30, 11] and not mask[11].any()


def test_a_negative_click_takes_its_surroundings_away(a_scan):
    volume, _ = a_scan
    first, negative = click_at(volume, 13, 12, 10), click_at(volume, 18, 26, 30, positive=False)
    second = click_at(volume, 18, 26, 27)
    both = GrowFromSeeds().segment(volume, [first, second])
    assert both[18, 26, 30]
    assert not GrowFromSeeds().segment(volume, [first, second, negative])[18, 26, 30]


def test_negative_clicks_alone_make_nothing(a_scan):
    volume, _ = a_scan
    assert not GrowFromSeeds().segment(volume, [click_at(volume, 13, 12, 10, positive=False)]).any()


def test_a_scan_of_few_voxels_is_no_error():
    volume = Volume(np.arange(64, dtype=np.int16).reshape(4, 4, 4), np.eye(4))
    assert GrowFromSeeds().segment(volume, [click_at(volume, 2, 2, 2)])[2, 2, 2]


def test_without_slicer_core_it_says_what_to_install(monkeypatch):
    original = builtins.__import__

    def without_slicer(name, *arguments, **keywords):
        if name == "slicer":
            raise ImportError(name)
        return original(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without_slicer)
    with pytest.raises(BaselineError, match="pip install"):
        GrowFromSeeds().require()
