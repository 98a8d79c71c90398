"""Any sequence of edits gives what a fresh session gives for the same clicks, and nothing that fails leaves a trace."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from MemorizingSAM3DLib.engine.errors import ClickError, VolumeError
from MemorizingSAM3DLib.engine.geometry import Box, Volume
from MemorizingSAM3DLib.engine.networks.sam3d import build_network
from MemorizingSAM3DLib.engine.prompts import Click
from MemorizingSAM3DLib.engine.runtime.device import choose_runtime
from MemorizingSAM3DLib.engine.session.predictor import Predictor
from MemorizingSAM3DLib.engine.session.session import InteractiveSession
from Testing.engine.click_networks import PUBLISHED_CROP, SMALL_CROP, BrightnessNetwork
from Testing.engine.phantoms import LEFT_HANDED, ball, ct_of, dice, either, ras_of_voxels
from Testing.engine.small_networks import SMALL_NATIVE

COUNTS, SPACING = (34, 30, 26), (2.0, 2.5, 3.5)  # 68 x 75 x 91 mm
SCAN, TRUTH = ct_of(either(ball(14, (-10, 5, 0)), ball(9, (16, -10, 12))), COUNTS, SPACING, LEFT_HANDED)
FIRST = Click((-10.0, 5.0, 0.0))
SECOND = Click((16.0, -10.0, 12.0))
THIRD = Click((0.0, 5.0, 0.0), positive=False)

pytestmark = pytest.mark.usefixtures("the_scale_of_the_phantoms")


def a_session(network=None, volume: Volume = SCAN, embeddings: int = 8) -> InteractiveSession:
    network = network or BrightnessNetwork(SMALL_CROP, reach=0.4)
    session = InteractiveSession(Predictor(network, choose_runtime("cpu"), embeddings))
    session.set_image(volume)
    return session


def replayed(clicks, start: np.ndarray | None = None, network=None, volume: Volume = SCAN) -> np.ndarray:
    """The mask of a fresh session that keeps no embeddings."""
    session = a_session(network, volume, embeddings=0)
    if start is not None:
        session.set_initial_mask(start)
    for click in clicks:
        session.add_click(click)
    return session.mask.copy()


def everything_of(session: InteractiveSession) -> tuple:
    return session.mask.tobytes(), session.clicks, session.can_undo, session.can_redo, session.changed_box


CORNERS = [Click(tuple(SCAN.ijk_to_ras_points(np.where(c, np.array(COUNTS) - 0.501, -0.499)).tolist()))
           for c in itertools.product((False, True), repeat=3)]  # fmt: skip


def places() -> st.SearchStrategy[tuple[float, float, float]]:
    anywhere = st.tuples(*[st.floats(-0.4, n - 0.6) for n in COUNTS])
    beside = st.sampled_from([FIRST, SECOND, THIRD, *CORNERS[:2]])  # few, so that clicks meet again
    return st.one_of(anywhere.map(lambda ijk: tuple(SCAN.ijk_to_ras_points(ijk).tolist())), beside.map(lambda c: c.ras))


class AnyEdits(RuleBasedStateMachine):
    """A session beside two plain stacks of (starting mask, clicks)."""

    published = False

    @initialize()
    def start(self):
        self.network = self.a_network()
        self.session = a_session(self.network, embeddings=2)
        self.past: list = []
        self.present: tuple = (None, ())
        self.future: list = []
        self.shown = self.session.mask.copy()

    def a_network(self):
        return BrightnessNetwork(SMALL_CROP, reach=0.4)

    def edited(self, box: Box, clicks, start="same"):
        self.past.append(self.present)
        self.present = (self.present[0] if isinstance(start, str) else start, tuple(clicks))
        self.future.clear()
        self.changed(box)

    def changed(self, box: Box):
        now = self.session.mask
        assert box == self.session.changed_box == Box.of_mask(now != self.shown)
        outside = np.ones(now.shape, bool)
        outside[box.slices] = False
        assert (now[outside] == self.shown[outside]).all()
        self.shown = now.copy()

    @property
    def clicks(self):
        return self.present[1]

    @rule(ras=places(), positive=st.booleans())
    def add(self, ras, positive):
        click = Click(ras, positive)
        self.edited(self.session.add_click(click), (*self.clicks, click))

    @precondition(lambda self: self.clicks)
    @rule(ras=places(), data=st.data())
    def move(self, ras, data):
        n = data.draw(st.integers(0, len(self.clicks) - 1))
        moved = Click(ras, self.clicks[n].positive)
        self.edited(self.session.move_click(n, ras), (*self.clicks[:n], moved, *self.clicks[n + 1 :]))

    @precondition(lambda self: self.clicks)
    @rule(data=st.data())
    def toggle(self, data):
        n = data.draw(st.integers(0, len(self.clicks) - 1))
        turned = Click(self.clicks[n].ras, not self.clicks[n].positive)
        self.edited(self.session.toggle_click(n), (*self.clicks[:n], turned, *self.clicks[n + 1 :]))

    @precondition(lambda self: self.clicks)
    @rule(data=st.data())
    def remove(self, data):
        n = data.draw(st.integers(0, len(self.clicks) - 1))
        self.edited(self.session.remove_click(n), (*self.clicks[:n], *self.clicks[n + 1 :]))

    @precondition(lambda self: len(self.clicks) > 1)
    @rule(data=st.data())
    def set_all(self, data):
        clicks = data.draw(st.permutations(self.clicks))[: data.draw(st.integers(0, 3))]
        self.edited(self.session.set_clicks(clicks), clicks)

    @rule()
    def undo(self):
        box = self.session.undo()
        if self.past:
            self.future.append(self.present)
            self.present = self.past.pop()
        self.changed(box)

    @rule()
    def redo(self):
        box = self.session.redo()
        if self.future:
            self.past.append(self.present)
            self.present = self.future.pop()
        self.changed(box)

    @rule()
    def reset(self):
        self.edited(self.session.reset(), (), start=None)

    @rule(centre=st.tuples(*[st.floats(-25, 25)] * 3), radius=st.floats(0, 20))
    def set_initial_mask(self, centre, radius):
        mask = ball(radius, centre)(ras_of_voxels(SCAN))
        self.edited(self.session.set_initial_mask(mask), (), start=mask)

    @rule(ras=st.sampled_from([(900.0, 0.0, 0.0), (float("nan"), 0.0, 0.0), (0.0, float("inf"), 0.0)]))
    def fail_by_a_bad_place(self, ras):
        before = everything_of(self.session)
        with pytest.raises(ClickError):
            self.session.add_click(Click(ras))
        if self.clicks:
            with pytest.raises(ClickError):
                self.session.move_click(0, ras)
        assert everything_of(self.session) == before

    @rule(ras=places(), after=st.integers(1, 3), data=st.data())
    def fail_in_the_network(self, ras, after, data):
        before = everything_of(self.session)
        self.network.fail_at = self.network.decodes + after
        try:
            if self.clicks and data.draw(st.booleans()):
                clicks = (Click(ras, self.clicks[0].positive), *self.clicks[1:])
                box = self.session.move_click(0, ras)
            else:
                clicks = (*self.clicks, Click(ras))
                box = self.session.add_click(Click(ras))
        except RuntimeError:
            assert everything_of(self.session) == before
        else:
            self.edited(box, clicks)
        finally:
            self.network.fail_at = None

    @invariant()
    def is_as_if_replayed_from_scratch(self):
        assert self.session.clicks == self.clicks
        assert (self.session.can_undo, self.session.can_redo) == (bool(self.past), bool(self.future))
        expected = replayed(self.clicks, self.present[0], self.a_network())
        assert (self.session.mask == expected).all()

    def teardown(self):
        if not hasattr(self, "session"):
            return
        while self.session.can_undo:
            self.undo()
        assert not self.session.mask.any()
        assert self.session.clicks == ()
        states = len(self.future)
        for _ in range(states):
            self.redo()
        self.is_as_if_replayed_from_scratch()


class AnyEditsWithARealNetwork(AnyEdits):
    def a_network(self):
        torch.manual_seed(11)
        network = build_network(SMALL_NATIVE.with_(image_size=64))
        last = network.mask_decoder.hyper.layers[-1]
        torch.nn.init.normal_(last.weight, std=1.0)  # random, but not near zero
        network.decodes, network.fail_at = 0, None
        return network

    @precondition(lambda self: False)
    @rule()
    def fail_in_the_network(self):
        """Only the stand-in can be told to fail."""


SETTINGS = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.filter_too_much]}
TestAnyEdits = AnyEdits.TestCase
TestAnyEdits.settings = settings(max_examples=25, stateful_step_count=12, **SETTINGS)
TestAnyEditsWithARealNetwork = AnyEditsWithARealNetwork.TestCase
TestAnyEditsWithARealNetwork.settings = settings(max_examples=4, stateful_step_count=8, **SETTINGS)


def test_two_clicks_give_the_two_objects():
    session = a_session()
    session.add_click(FIRST)
    session.add_click(SECOND)
    assert dice(session.mask, TRUTH) > 0.9


def test_undo_to_empty_and_redo_to_full():
    session = a_session()
    masks = [session.mask.copy()]
    for click in (FIRST, SECOND, THIRD):
        session.add_click(click)
        masks.append(session.mask.copy())
    for mask in reversed(masks[:-1]):
        session.undo()
        assert (session.mask == mask).all()
    assert session.undo().is_empty
    for mask in masks[1:]:
        session.redo()
        assert (session.mask == mask).all()
    assert session.redo().is_empty
    assert masks[-1].any()


def test_undo_and_redo_cost_no_network():
    network = BrightnessNetwork(SMALL_CROP)
    session = a_session(network)
    for click in (FIRST, SECOND, THIRD):
        session.add_click(click)
    decodes = network.decodes
    for _ in range(3):
        session.undo()
    for _ in range(3):
        session.redo()
    assert network.decodes == decodes


def test_with_the_crop_kept_a_click_costs_one_decode_and_no_encode():
    network = BrightnessNetwork(SMALL_CROP)
    session = a_session(network)
    session.add_click(FIRST)
    for click in (Click((-12.0, 6.0, 2.0)), THIRD):
        encodes, decodes = network.encodes, network.decodes
        session.add_click(click)
        assert (network.encodes - encodes, network.decodes - decodes) == (0, 1)


def test_a_dragged_click_replays_only_itself_and_what_came_after():
    network = BrightnessNetwork(SMALL_CROP)
    session = a_session(network)
    for click in (FIRST, Click((-12.0, 6.0, 2.0)), THIRD):
        session.add_click(click)
    decodes = network.decodes
    session.move_click(2, (1.0, 5.0, 0.0))
    assert network.decodes - decodes == 1


@pytest.mark.parametrize("config", [SMALL_CROP, PUBLISHED_CROP], ids=["native", "published"])
def test_a_second_run_and_one_without_embeddings_are_bit_identical(config):
    masks = []
    for embeddings in (8, 8, 1, 0):
        session = a_session(BrightnessNetwork(config, threshold=0.0), embeddings=embeddings)
        for click in (FIRST, SECOND, THIRD, Click((-25.0, 0.0, 5.0))):
            session.add_click(click)
        session.remove_click(1)
        masks.append(session.mask.copy())
    assert masks[0].any()
    assert all((mask == masks[0]).all() for mask in masks)


def test_removing_the_first_click_is_as_if_it_had_never_been():
    session = a_session()
    for click in (FIRST, SECOND, THIRD):
        session.add_click(click)
    session.remove_click(0)
    assert (session.mask == replayed((SECOND, THIRD))).all()
    session.remove_click(0)
    assert not session.mask.any()  # a negative click on nothing
    session.remove_click(0)
    assert session.clicks == ()


def test_a_negative_first_click_waits_for_a_positive_one():
    session = a_session()
    assert session.add_click(THIRD).is_empty
    assert not session.mask.any()
    session.add_click(FIRST)
    assert session.mask[TRUTH].any()
    i, j, k = SCAN.nearest_voxel(THIRD.ras)
    assert not session.mask[k, j, i]


@pytest.mark.parametrize("click", CORNERS, ids=str)
def test_a_click_on_the_scans_outer_corner_counts(click):
    session = a_session()
    session.add_click(click)
    i, j, k = SCAN.nearest_voxel(click.ras)
    assert session.mask[k, j, i]
    session.toggle_click(0)
    assert not session.mask[k, j, i]


def test_reset_can_be_undone():
    session = a_session()
    session.add_click(FIRST)
    before = session.mask.copy()
    assert session.reset() == Box.of_mask(before)
    assert not session.mask.any()
    session.undo()
    assert (session.mask == before).all()


def test_an_existing_segment_is_refined_not_replaced():
    session = a_session()
    session.set_initial_mask(TRUTH.astype(np.uint8) * 3)
    assert (session.mask == TRUTH).all()
    negative = Click((-20.0, 5.0, 0.0), positive=False)
    session.add_click(negative)
    i, j, k = SCAN.nearest_voxel(negative.ras)
    assert not session.mask[k, j, i]
    far = np.linalg.norm(ras_of_voxels(SCAN) - negative.ras, axis=-1) > 35
    assert TRUTH[far].any()
    assert (session.mask[far] == TRUTH[far]).all()


def test_the_same_click_on_another_starting_mask_is_another_state():
    session = a_session()
    session.add_click(FIRST)
    session.reset()
    session.set_initial_mask(ball(8, SECOND.ras)(ras_of_voxels(SCAN)))
    session.add_click(FIRST)
    i, j, k = SCAN.nearest_voxel(SECOND.ras)
    assert session.mask[k, j, i]


def test_the_caller_may_change_the_segment_that_it_gave():
    session = a_session()
    given = TRUTH.copy()
    session.set_initial_mask(given)
    given[...] = True
    session.add_click(FIRST)
    session.undo()
    assert (session.mask == TRUTH).all()


def test_a_segment_on_another_grid_is_refused():
    session = a_session()
    with pytest.raises(VolumeError, match="Resample the segment"):
        session.set_initial_mask(np.ones((3, 4, 5), bool))
    assert not session.can_undo


def test_the_mask_cannot_be_written_to():
    session = a_session()
    with pytest.raises(ValueError, match="read-only"):
        session.mask[0, 0, 0] = True


def test_another_scan_forgets_everything():
    session = a_session()
    session.add_click(FIRST)
    other, truth = ct_of(ball(12), (20, 22, 24), 2.0)
    session.set_image(other)
    assert session.mask.shape == other.shape
    assert (session.clicks, session.can_undo, session.changed_box.is_empty) == ((), False, True)
    session.add_click(Click((0.0, 0.0, 0.0)))
    assert dice(session.mask, truth) > 0.9


def test_two_sessions_that_share_a_predictor_do_not_mix_up_their_scans():
    predictor = Predictor(BrightnessNetwork(SMALL_CROP, reach=0.4), choose_runtime("cpu"))
    one, other = InteractiveSession(predictor), InteractiveSession(predictor)
    one.set_image(SCAN)
    other.set_image(ct_of(ball(12), (20, 22, 24), 2.0)[0])
    other.add_click(Click((0.0, 0.0, 0.0)))
    one.add_click(FIRST)
    other.add_click(Click((3.0, 0.0, 0.0)))
    assert (one.mask == replayed((FIRST,))).all()
    assert one.volume is SCAN


@pytest.mark.parametrize("edit", [
    lambda s: s.add_click(FIRST), lambda s: s.set_initial_mask(TRUTH), lambda s: s.undo(), lambda s: s.reset(),
    lambda s: s.volume,
])  # fmt: skip
def test_without_a_scan_every_edit_says_what_to_do(edit):
    session = InteractiveSession(Predictor(BrightnessNetwork(), choose_runtime("cpu")))
    with pytest.raises(VolumeError, match="Choose a scan first"):
        edit(session)


def test_more_clicks_than_states_are_kept_still_replay(monkeypatch):
    monkeypatch.setattr("MemorizingSAM3DLib.engine.session.replay.STATES_KEPT", 3)
    session = a_session()
    clicks = [FIRST, SECOND, THIRD, *CORNERS[:3], Click((-8.0, 3.0, 1.0))]
    for click in clicks:
        session.add_click(click)
    session.undo()
    session.move_click(1, (15.0, -9.0, 11.0))
    moved = [FIRST, Click((15.0, -9.0, 11.0)), *clicks[2:-1]]
    assert (session.mask == replayed(moved)).all()
    for _ in range(3):
        session.undo()
    assert (session.mask == replayed(clicks[:4])).all()
