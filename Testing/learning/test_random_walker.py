from __future__ import annotations

import builtins

import numpy as np
import pytest

from MemorizingSAM3DLib.engine.geometry import Volume
from MemorizingSAM3DLib.learning.baselines import BaselineError, classic_baselines
from MemorizingSAM3DLib.learning.confidence_connected import ConfidenceConnected
from MemorizingSAM3DLib.learning.evaluation import case_volume
from MemorizingSAM3DLib.learning.metrics import dice
from MemorizingSAM3DLib.learning.random_walker import RandomWalker
from Testing.learning.small_evaluations import two_blocks
from Testing.learning.test_clicked_crop import click_at

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
