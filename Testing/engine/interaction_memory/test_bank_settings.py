"""An interaction memory turned off, on, or to another size counts for the clicks made from then on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from MemorizingSAM3DLib.engine.session.refinement import ClickRefiner, MaskState
from Testing.engine.small_memories import a_memory
from Testing.engine.small_sessions import NETWORKS, SCAN, a_predictor, a_session, masks_of, same, some_clicks

pytestmark = pytest.mark.usefixtures("the_scale_of_the_phantoms")


def test_turned_off_it_is_the_plain_model():
    network, clicks = NETWORKS["native"], some_clicks(4)
    session = a_session(network, a_memory(network, tuned=True, from_first_click=True))
    session.predictor.set_interaction_memory(False)
    assert session.predictor.settings == a_predictor(network, None).settings
    assert all(same(masks_of(session, clicks), masks_of(a_session(network, None), clicks)))


@pytest.mark.parametrize(("modalities", "is_heard"), [((), True), (("MR", "CT"), True), (("MR", "PT"), False)])
def test_it_is_heard_in_the_kinds_of_scans_that_its_file_names(modalities, is_heard):
    network, clicks = NETWORKS["native"], some_clicks(4)  # in a CT
    memory = a_memory(network, tuned=True, from_first_click=True)
    session = a_session(network, replace(memory, modalities=modalities))
    plain = a_session(network, memory if is_heard else None)
    assert all(same(masks_of(session, clicks), masks_of(plain, clicks)))
    state = session._replay.state_of(session._history.current)
    assert bool(state.interactions) is is_heard
    assert session.predictor.condition_ahead(state.grid, state.interactions) is is_heard


def test_turned_off_and_on_between_two_clicks_it_hears_all_that_it_would_have():
    network, clicks = NETWORKS["native"], some_clicks(5)
    straight = masks_of(a_session(network, a_memory(network)), clicks)
    session = a_session(network, a_memory(network))
    masks = []
    for click in clicks:
        masks += masks_of(session, [click])
        before = session.predictor.settings
        session.predictor.set_interaction_memory(False)
        assert session.predictor.settings != before
        session.predictor.set_interaction_memory(True)
        assert session.predictor.settings == before
    assert all(same(masks, straight))


def test_while_it_is_off_nothing_is_remembered_and_nothing_forgotten():
    network, clicks = NETWORKS["native"], some_clicks(4)
    predictor = a_predictor(network, a_memory(network))
    predictor.set_volume(SCAN)
    refiner, state = ClickRefiner(predictor), MaskState()
    for click in clicks[:2]:
        state = refiner.refine(state, click)
    predictor.set_interaction_memory(False)
    off = refiner.refine(state, clicks[2])
    predictor.set_interaction_memory(True)
    on = refiner.refine(off, clicks[3])
    assert off.interactions == state.interactions
    assert [(one.number, one.click) for one in on.interactions] == [(0, clicks[0]), (1, clicks[1]), (2, clicks[3])]


def test_undo_and_redo_across_a_switch_give_the_masks_that_were_there():
    network, clicks = NETWORKS["native"], some_clicks(6)
    session = a_session(network, a_memory(network))
    masks = masks_of(session, clicks[:3])
    session.predictor.set_interaction_memory(False)
    masks += masks_of(session, clicks[3:5])
    session.predictor.set_interaction_memory(True, 2)
    masks += masks_of(session, clicks[5:])
    for mask in reversed(masks[:-1]):
        session.undo()
        assert np.array_equal(session.mask, mask)
    for mask in masks[1:]:
        session.redo()
        assert np.array_equal(session.mask, mask)


def test_another_size_is_as_if_it_had_been_so_from_the_start():
    network, clicks = NETWORKS["native"], some_clicks(6)
    expected = {size: masks_of(a_session(network, a_memory(network), size=size), clicks) for size in (1, 3)}
    session = a_session(network, a_memory(network), size=3)
    of_three = session.predictor.settings
    session.predictor.set_interaction_memory(True, 1)
    assert session.predictor.settings != of_three
    assert all(same(masks_of(session, clicks), expected[1]))
    assert same(expected[1], expected[3])[:2] == [True, True]
    assert not all(same(expected[1], expected[3]))
    session.reset()
    session.predictor.set_interaction_memory(True, 3)
    assert session.predictor.settings == of_three
    assert all(same(masks_of(session, clicks), expected[3]))


@pytest.mark.parametrize("size", [0, 257])
def test_a_size_that_cannot_be_is_refused_and_changes_nothing(size):
    predictor = a_predictor(NETWORKS["native"], a_memory(NETWORKS["native"]))
    before = predictor.settings
    with pytest.raises(ValueError, match="1 to 256"):
        predictor.set_interaction_memory(False, size)
    assert predictor.settings == before


def test_without_a_memory_it_stays_off():
    predictor = a_predictor(NETWORKS["native"], None)
    before = predictor.settings
    predictor.set_interaction_memory(True, 7)
    assert predictor.settings == before
