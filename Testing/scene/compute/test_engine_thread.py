from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest

from MemorizingSAM3DLib.engine.geometry import Box
from MemorizingSAM3DLib.engine.geometry.packed_mask import PackedMask
from MemorizingSAM3DLib.engine.prompts import Click, Prompts
from MemorizingSAM3DLib.scene.compute.engine_thread import Inference, SupersededError
from MemorizingSAM3DLib.scene.scan import ScanFrame, ScanInput
from Testing.scene.controlled import FIRST, addBlocks
from Testing.scene.quick_model import QuickModel

WHOLE = Box(0, 30, 0, 32, 0, 34)
EMPTY = PackedMask()


@pytest.fixture
def a_scan(a_scene):
    return addBlocks(np.diag([-2.0, 1.5, 1.0, 1.0]))


@pytest.fixture
def an_inference(a_scan):
    inference = Inference(QuickModel())
    inference.setScan(ScanInput.of(a_scan))
    yield inference
    inference.close()


@pytest.fixture
def a_click():
    k, j, i = FIRST
    return Click((-2.0 * i, 1.5 * j, 1.0 * k))


def settle(inference):
    while inference.worker.poll(0.05):
        pass


def computed(inference, prompts, shown=EMPTY, wanted=lambda: True, first=None):
    outcomes = []
    inference.compute(prompts, shown, wanted, outcomes.append, first)
    settle(inference)
    return outcomes[0]


def test_the_mask_of_prompts_comes_with_what_has_to_be_written_to_show_it(an_inference, a_click, a_scan):
    assert ScanFrame(a_scan).contains(a_click.ras)
    shown = np.zeros(WHOLE.shape, bool)
    shown[FIRST] = shown[28, 30, 32] = True
    packed = PackedMask.of(shown, WHOLE)
    result = computed(an_inference, Prompts(0, (a_click,)), packed).value

    assert result.mask.at(FIRST)
    assert result.shown is packed
    written = shown.copy()
    written[result.box.slices] = result.voxels
    assert (written == result.mask.within(WHOLE)).all()


def test_no_clicks_lead_to_the_mask_they_start_from(an_inference):
    block = np.zeros(WHOLE.shape, bool)
    block[2:5, 2:5, 2:5] = True
    start = an_inference.addStart(PackedMask.of(block, WHOLE))

    assert start > 0
    assert an_inference.addStart(PackedMask()) == 0
    assert (computed(an_inference, Prompts(start)).value.mask.within(WHOLE) == block).all()


def test_the_model_is_loaded_and_the_scan_encoded_before_the_first_click(an_inference):
    outcomes = []
    an_inference.prepare(outcomes.append)
    settle(an_inference)

    assert outcomes[0].error is None
    assert an_inference.loaded.predictor.encodes == 1


def test_what_nobody_waits_for_is_not_computed(an_inference, a_click):
    outcome = computed(an_inference, Prompts(0, (a_click,)), wanted=lambda: False)

    assert isinstance(outcome.error, SupersededError)
    assert an_inference.loaded is None


def test_a_judge_sees_the_mask_of_other_prompts_first_and_may_end_it(an_inference, a_click):
    seen = []

    def refuse(mask):
        seen.append(mask.at(FIRST))
        raise KeyError("no")

    outcome = computed(an_inference, Prompts(), first=(Prompts(0, (a_click,)), refuse))

    assert isinstance(outcome.error, KeyError)
    assert seen == [True]


@pytest.mark.parametrize("what", ["another scan", "no scan", "another model", "the same scan again"])
def test_whatever_changes_gives_up_what_was_asked_for_before(an_inference, a_click, a_scan, what):
    go, outcomes = threading.Event(), []
    an_inference.worker.submit(lambda job: go.wait(5), lambda outcome: None)
    an_inference.compute(Prompts(0, (a_click,)), PackedMask(), lambda: True, outcomes.append)
    if what == "another model":
        an_inference.setModel(QuickModel(reach=0.5))
    else:
        an_inference.setScan(None if what == "no scan" else ScanInput.of(a_scan))
    go.set()
    settle(an_inference)

    assert outcomes[0].cancelled


def test_another_model_answers_from_then_on(an_inference, a_click):
    large = computed(an_inference, Prompts(0, (a_click,))).value.mask
    an_inference.setModel(QuickModel(reach=0.05))
    small = computed(an_inference, Prompts(0, (a_click,))).value.mask

    assert 0 < small.within(WHOLE).sum() < large.within(WHOLE).sum()


def test_a_model_that_cannot_be_loaded_is_tried_again(an_inference, a_click):
    an_inference.setModel(QuickModel(fails=True))
    for _ in range(2):
        assert "broken" in str(computed(an_inference, Prompts(0, (a_click,))).error)
    assert an_inference.loaded is None


def test_the_memory_of_a_scan_that_was_closed_is_free_again(an_inference, a_click, a_scene, a_scan):
    computed(an_inference, Prompts(0, (a_click,)))
    scan = weakref.ref(an_inference._scan)
    volume = weakref.ref(an_inference.loaded.predictor.volume)
    an_inference.setScan(None)
    settle(an_inference)
    gc.collect()

    assert scan() is None
    assert volume() is None


def test_nothing_is_delivered_after_closing(a_scan, a_click):
    inference, outcomes = Inference(QuickModel()), []
    inference.setScan(ScanInput.of(a_scan))
    inference.compute(Prompts(0, (a_click,)), PackedMask(), lambda: True, outcomes.append)
    inference.close()

    assert not inference.worker.poll(0.05)
    assert outcomes == []
