"""With an interaction memory too, every state is that of a replay, and nothing grows."""

from __future__ import annotations

import gc

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from MemorizingSAM3DLib.engine.geometry import CropGrid
from MemorizingSAM3DLib.engine.interaction_memory.bank import Interaction
from MemorizingSAM3DLib.engine.interaction_memory.conditioning import InteractionConditioner
from MemorizingSAM3DLib.engine.networks.image_encoder import ImageFeatures
from MemorizingSAM3DLib.engine.prompts import Click
from MemorizingSAM3DLib.engine.runtime.device import choose_runtime
from MemorizingSAM3DLib.engine.session import replay
from MemorizingSAM3DLib.engine.session.session import InteractiveSession
from Testing.engine.phantoms import ball, ct_of
from Testing.engine.small_memories import a_memory
from Testing.engine.small_sessions import (
    FAMILIES,
    NETWORKS,
    SCAN,
    SIZE,
    a_predictor,
    a_session,
    masks_of,
    same,
    some_clicks,
)

pytestmark = pytest.mark.usefixtures("the_scale_of_the_phantoms")


def places() -> st.SearchStrategy[tuple[float, float, float]]:
    anywhere = st.tuples(*[st.floats(-0.4, n - 0.6) for n in SCAN.shape[::-1]])
    beside = st.sampled_from(some_clicks(3))  # few, so that clicks meet again
    return st.one_of(anywhere.map(lambda ijk: tuple(SCAN.ijk_to_ras_points(ijk).tolist())), beside.map(lambda c: c.ras))


class AnyEdits(RuleBasedStateMachine):
    """One session with a memory of random weights; after every edit a fresh one replays its clicks."""

    family = "native"

    @initialize()
    def start(self):
        self.network = NETWORKS[self.family]
        self.memory = a_memory(self.network, tuned=True)
        self.session = a_session(self.network, self.memory)
        self.past: list = []
        self.clicks: tuple = ()
        self.future: list = []

    def edited(self, clicks):
        self.past.append(self.clicks)
        self.clicks = tuple(clicks)
        self.future.clear()

    @rule(ras=places(), positive=st.booleans())
    def add(self, ras, positive):
        self.session.add_click(Click(ras, positive))
        self.edited((*self.clicks, Click(ras, positive)))

    @rule()
    def add_some(self):
        clicks = (*self.clicks, *some_clicks(SIZE, seed=len(self.past)))
        self.session.set_clicks(clicks)
        self.edited(clicks)

    @precondition(lambda self: self.clicks)
    @rule(ras=places(), data=st.data())
    def move(self, ras, data):
        n = data.draw(st.integers(0, len(self.clicks) - 1))
        self.session.move_click(n, ras)
        self.edited((*self.clicks[:n], Click(ras, self.clicks[n].positive), *self.clicks[n + 1 :]))

    @precondition(lambda self: self.clicks)
    @rule(data=st.data())
    def toggle(self, data):
        n = data.draw(st.integers(0, len(self.clicks) - 1))
        self.session.toggle_click(n)
        turned = Click(self.clicks[n].ras, not self.clicks[n].positive)
        self.edited((*self.clicks[:n], turned, *self.clicks[n + 1 :]))

    @precondition(lambda self: self.clicks)
    @rule(data=st.data())
    def remove(self, data):
        n = data.draw(st.integers(0, len(self.clicks) - 1))
        self.session.remove_click(n)
        self.edited((*self.clicks[:n], *self.clicks[n + 1 :]))

    @rule()
    def undo(self):
        self.session.undo()
        if self.past:
            self.future.append(self.clicks)
            self.clicks = self.past.pop()

    @rule()
    def redo(self):
        self.session.redo()
        if self.future:
            self.past.append(self.clicks)
            self.clicks = self.future.pop()

    @invariant()
    def is_as_if_replayed_from_scratch(self):
        assert self.session.clicks == self.clicks
        fresh = a_session(self.network, self.memory, embeddings=1)
        masks_of(fresh, self.clicks)
        assert np.array_equal(self.session.mask, fresh.mask)


class AnyEditsOfThePublishedFamily(AnyEdits):
    family = "published"


SETTINGS = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.filter_too_much]}
TestAnyEdits = AnyEdits.TestCase
TestAnyEdits.settings = settings(max_examples=5, stateful_step_count=6, **SETTINGS)
TestAnyEditsOfThePublishedFamily = AnyEditsOfThePublishedFamily.TestCase
TestAnyEditsOfThePublishedFamily.settings = settings(max_examples=5, stateful_step_count=6, **SETTINGS)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_session_saved_and_restored_midway_goes_on_identically(family):
    network, clicks = NETWORKS[family], some_clicks(9)
    straight = masks_of(a_session(network, a_memory(network)), clicks)
    restored = a_session(network, a_memory(network))
    restored.set_clicks(clicks[:5])
    assert np.array_equal(restored.mask, straight[4])
    assert all(same(masks_of(restored, clicks[5:]), straight[5:]))


def test_states_that_were_dropped_are_computed_again_as_they_were(monkeypatch):
    monkeypatch.setattr(replay, "STATES_KEPT", 2)
    session = a_session(NETWORKS["native"], a_memory(NETWORKS["native"]))
    masks = masks_of(session, some_clicks(8))
    for mask in reversed(masks[:-1]):
        session.undo()
        assert np.array_equal(session.mask, mask)


def test_two_sessions_that_share_a_predictor_do_not_hear_each_other():
    network = NETWORKS["native"]
    predictor = a_predictor(network, a_memory(network))
    scans = (SCAN, ct_of(ball(8), (14, 14, 14), 2.0)[0])
    clicks = [some_clicks(4, scan, seed) for seed, scan in enumerate(scans)]
    expected = [
        masks_of(a_session(network, a_memory(network), scan), own) for scan, own in zip(scans, clicks, strict=True)
    ]
    sessions = [InteractiveSession(predictor) for _ in scans]
    for session, scan in zip(sessions, scans, strict=True):
        session.set_image(scan)
    for number in range(4):
        for session, own, masks in zip(sessions, clicks, expected, strict=True):
            session.add_click(own[number])
            assert np.array_equal(session.mask, masks[number])


def test_another_scan_starts_with_nothing_remembered():
    network, clicks = NETWORKS["native"], some_clicks(3)
    session = a_session(network, a_memory(network), ct_of(ball(8), (14, 14, 14), 2.0)[0])
    masks_of(session, [Click((0.0, 0.0, 0.0)), Click((3.0, 0.0, 0.0))])
    session.set_image(SCAN)
    assert all(same(masks_of(session, clicks), masks_of(a_session(network, a_memory(network)), clicks)))


def live_interactions() -> int:
    gc.collect()
    return sum(type(one) is Interaction for one in gc.get_objects())


def test_a_thousand_clicks_do_not_make_the_memory_grow():
    before = live_interactions()
    network = NETWORKS["published"]
    retrieval = InteractionConditioner(network, a_memory(network), choose_runtime("cpu"), SIZE)
    features = ImageFeatures(torch.ones(1, 48, 4, 4, 4))
    grid, logits, past, counts = CropGrid((0.0, 0.0, 0.0), 1.5, 32), np.ones((16, 16, 16), np.float32), (), {}
    with torch.inference_mode():
        for number in range(1, 1001):
            retrieval.attended(features, grid, past)
            past = retrieval.remember(features, grid, Click((0.0, number % 20, 0.0)), logits, past)
            if number in (SIZE + 1, 100, 1000):
                counts[number] = live_interactions() - before
    # The one that was dropped last is held by the bank until another takes its slot.
    assert counts == dict.fromkeys(counts, SIZE + 1)
    assert past[-1].number == 999
    del past, retrieval
    assert live_interactions() == before


def test_many_edits_keep_no_more_interactions_than_states(monkeypatch):
    monkeypatch.setattr(replay, "STATES_KEPT", 8)
    before = live_interactions()
    session = a_session(NETWORKS["published"], a_memory(NETWORKS["published"]))
    session.set_clicks(some_clicks(5))
    for number, click in enumerate(some_clicks(40, seed=1)):
        session.move_click(3 + number % 2, click.ras)
    assert live_interactions() - before <= 8 + 2 * SIZE
    session.set_image(SCAN)
    del session
    assert live_interactions() == before
