"""A memory that changes in the middle of a session counts from then on: what is segmented, undone or redone stays."""

from __future__ import annotations

import numpy as np
import pytest

from MemorizingSAM3DLib.engine.prompts import Click
from MemorizingSAM3DLib.engine.runtime.device import choose_runtime
from MemorizingSAM3DLib.engine.session import replay
from MemorizingSAM3DLib.engine.session.predictor import Predictor
from MemorizingSAM3DLib.engine.session.session import InteractiveSession
from Testing.engine.phantoms import ball, ct_of
from Testing.engine.small_memories import a_memory, a_network
from Testing.engine.small_retrievals import a_predictor

CLICKS = (Click((0.0, 0.0, 0.0)), Click((9.0, 0.0, 0.0)), Click((0.0, 8.0, 0.0), False))
VOLUME, TRUTH = ct_of(ball(12), (40, 40, 40), 1.0)


@pytest.fixture(params=[128, 1], ids=["states are kept", "states are computed again"], autouse=True)
def states_kept(request, monkeypatch):
    monkeypatch.setattr(replay, "STATES_KEPT", request.param)


def clicked(session: InteractiveSession, *clicks: Click) -> list[np.ndarray]:
    """The masks after each click."""
    masks = []
    for click in clicks:
        session.add_click(click)
        masks.append(session.mask.copy())
    return masks


def a_session(predictor: Predictor) -> InteractiveSession:
    session = InteractiveSession(predictor)
    session.set_image(VOLUME)
    return session


def walk(session: InteractiveSession, masks: list[np.ndarray]) -> None:
    """Undoes all but the first click and does them again; every mask must be the one that was there."""
    for mask in masks[-2::-1]:
        session.undo()
        np.testing.assert_array_equal(session.mask, mask)
    for mask in masks[1:]:
        session.redo()
        np.testing.assert_array_equal(session.mask, mask)


def test_what_is_remembered_in_between_changes_no_mask_that_was_there(tmp_path):
    session = a_session(a_predictor(tmp_path, middle=0.3))
    masks = clicked(session, *CLICKS[:2])
    other = a_session(session.predictor)
    other.set_initial_mask(TRUTH)
    other.remember("ball")
    masks += clicked(session, CLICKS[2])
    walk(session, masks)

    session.reset()
    assert (clicked(session, CLICKS[0])[0] != masks[0]).any()


def test_what_is_forgotten_in_between_changes_no_mask_that_was_there(tmp_path):
    session = a_session(a_predictor(tmp_path, middle=0.3))
    session.set_initial_mask(TRUTH)
    session.remember("ball")
    plain = a_session(a_predictor(tmp_path / "empty"))
    session.reset()
    masks = clicked(session, *CLICKS[:2])
    session.predictor.case_retrieval.memory.clear()
    masks += clicked(session, CLICKS[2])
    walk(session, masks)

    session.reset()
    again = clicked(session, CLICKS[0])[0]
    np.testing.assert_array_equal(again, clicked(plain, CLICKS[0])[0])
    assert (again != masks[0]).any()


def test_the_interaction_memory_turned_off_in_between_changes_no_mask_that_was_there():
    network = a_network()
    session = a_session(Predictor(network, choose_runtime("cpu"), interaction_memory=a_memory(network)))
    masks = clicked(session, *CLICKS[:2])
    session.predictor.set_interaction_memory(False)
    masks += clicked(session, CLICKS[2])
    walk(session, masks)

    assert session.predictor.settings.interactions is None
    plain = a_session(Predictor(network, choose_runtime("cpu")))
    assert (clicked(plain, *CLICKS[:2])[1] != masks[1]).any()
