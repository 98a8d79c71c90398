"""What a user sees of the case memory: a first click that is better, and nothing else that is different."""

from __future__ import annotations

import numpy as np
import pytest

from MemorizingSAM3DLib.engine.errors import EngineError, VolumeError
from MemorizingSAM3DLib.engine.prompts import Click
from MemorizingSAM3DLib.engine.session.predictor import Predictor
from MemorizingSAM3DLib.engine.session.session import InteractiveSession
from Testing.engine.case_memory.test_retrieval import COUNTS, LEFT, RIGHT, SPACING
from Testing.engine.phantoms import BRIGHT_HU, DARK_HU, ct_of, dice, either
from Testing.engine.small_retrievals import CPU, BlindNetwork, a_calibration, a_predictor

FIRST, SECOND, OFF = Click((18.0, 2.0, 2.0)), Click((18.0, 14.0, 2.0)), Click((34.0, 2.0, 2.0), False)


@pytest.fixture
def a_scan():
    return ct_of(RIGHT, COUNTS, SPACING)


@pytest.fixture
def a_session(a_scan, tmp_path):
    """With a memory that knows the structure from an earlier scan."""
    volume, truth = a_scan
    earlier = InteractiveSession(a_predictor(tmp_path, middle=0.3))
    earlier.set_image(volume)
    earlier.set_initial_mask(truth)
    assert earlier.remember("thing").new
    session = InteractiveSession(earlier.predictor)
    session.set_image(volume)
    return session


def plain_session(volume) -> InteractiveSession:
    session = InteractiveSession(Predictor(BlindNetwork(), CPU))
    session.set_image(volume)
    return session


def test_the_first_click_is_better_when_the_structure_is_remembered(a_session, a_scan):
    volume, truth = a_scan
    plain = plain_session(volume)
    plain.add_click(FIRST)
    a_session.add_click(FIRST)
    assert dice(plain.mask, truth) < 0.6
    assert dice(a_session.mask, truth) > 0.8


def test_masks_follow_from_the_clicks_whatever_the_way(a_session, a_scan):
    volume, _ = a_scan
    for click in (FIRST, OFF, SECOND):
        a_session.add_click(click)
    wanted = a_session.mask.copy()

    a_session.undo()
    a_session.undo()
    a_session.redo()
    a_session.redo()
    np.testing.assert_array_equal(a_session.mask, wanted)

    a_session.move_click(0, (20.0, 4.0, 2.0))
    a_session.remove_click(1)
    a_session.move_click(0, FIRST.ras)
    dragged = a_session.mask.copy()
    fresh = InteractiveSession(a_session.predictor)
    fresh.set_image(volume)
    fresh.set_clicks((FIRST, SECOND))
    np.testing.assert_array_equal(dragged, fresh.mask)


@pytest.mark.parametrize("why", ["nothing is remembered", "nothing is like it", "no memory is in use"])
def test_a_memory_with_nothing_to_say_changes_no_voxel(a_session, a_scan, why):
    volume, _ = a_scan
    if why == "nothing is remembered":
        a_session.predictor.case_retrieval.memory.clear()
    elif why == "nothing is like it":
        volume, _ = ct_of(either(LEFT, RIGHT), COUNTS, SPACING, levels=(BRIGHT_HU, DARK_HU))
        a_session.set_image(volume)
        a_session.predictor.case_retrieval.calibration = a_calibration(middle=0.95)
    else:
        a_session.predictor.case_retrieval = None
    plain = plain_session(volume)
    for click in (FIRST, OFF, SECOND):
        plain.add_click(click)
        a_session.add_click(click)
        np.testing.assert_array_equal(a_session.mask, plain.mask)


def test_without_a_memory_there_is_nothing_to_remember_in(a_scan):
    session = plain_session(a_scan[0])
    session.add_click(FIRST)
    with pytest.raises(EngineError, match="No case memory"):
        session.remember("thing")


def test_an_empty_mask_is_not_remembered(a_session):
    with pytest.raises(VolumeError, match="empty"):
        a_session.remember("nothing")
    assert len(a_session.predictor.case_retrieval.memory) == 1
