"""What an interaction memory changes in a session: every click but the first."""

from __future__ import annotations

import numpy as np
import pytest

from MemorizingSAM3DLib.engine.errors import CheckpointError
from MemorizingSAM3DLib.engine.geometry import CropGrid
from MemorizingSAM3DLib.engine.interaction_memory import conditioning
from MemorizingSAM3DLib.engine.interaction_memory.conditioning import save_interaction_memory
from MemorizingSAM3DLib.engine.models.checkpoints import save_native
from MemorizingSAM3DLib.engine.networks.sam3d import build_network
from MemorizingSAM3DLib.engine.runtime.worker import CancelledError, CancelToken
from MemorizingSAM3DLib.engine.session.refinement import ClickRefiner, MaskState
from MemorizingSAM3DLib.engine.session.session import InteractiveSession
from Testing.engine.phantoms import LEFT_HANDED, ball, ct_of, either
from Testing.engine.small_memories import ALL_KINDS, a_memory, an_untrained_memory
from Testing.engine.small_networks import SMALL_NATIVE
from Testing.engine.small_sessions import (
    FAMILIES,
    NETWORKS,
    SCAN,
    SIZE,
    TRUTH,
    a_predictor,
    a_session,
    masks_of,
    same,
    some_clicks,
)

WIDE, _ = ct_of(either(ball(14, (-10, 5, 0)), ball(9, (16, -10, 12))), (34, 30, 26), (2.0, 2.5, 3.5), LEFT_HANDED)

pytestmark = pytest.mark.usefixtures("the_scale_of_the_phantoms")


@pytest.mark.parametrize("family", FAMILIES)
def test_an_untrained_memory_changes_no_mask(family):
    network, clicks = NETWORKS[family], some_clicks(6)
    plain = masks_of(a_session(network, None), clicks)
    assert all(same(masks_of(a_session(network, an_untrained_memory(network)), clicks), plain))


@pytest.mark.parametrize("tuned", [False, True])
@pytest.mark.parametrize("kinds", ALL_KINDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_first_click_is_the_plain_models_and_the_later_ones_are_not(family, kinds, tuned):
    network, clicks = NETWORKS[family], some_clicks(4)
    plain = masks_of(a_session(network, None), clicks)
    attended = masks_of(a_session(network, a_memory(network, kinds, tuned=tuned)), clicks)
    first, *later = same(attended, plain)
    assert first and not all(later)


@pytest.mark.parametrize("family", FAMILIES)
def test_tuned_weights_decode_the_first_click_where_the_file_says_so(family):
    network, clicks = NETWORKS[family], some_clicks(1)
    memory = a_memory(network, tuned=True, from_first_click=True)
    assert same(masks_of(a_session(network, memory), clicks), masks_of(a_session(network, None), clicks)) == [False]


def test_a_first_click_on_an_existing_segment_is_the_plain_models():
    network, clicks = NETWORKS["native"], some_clicks(2)
    sessions = [a_session(network, memory) for memory in (None, a_memory(network))]
    for session in sessions:
        session.set_initial_mask(TRUTH)
    assert same(*(masks_of(session, clicks) for session in sessions)) == [True, False]


@pytest.mark.parametrize("family", FAMILIES)
def test_without_memories_logits_are_bit_for_bit_the_plain_networks(family):
    network = NETWORKS[family]
    grid, clicks = CropGrid((0.0, 0.0, 0.0), 1.5, network.config.image_size), some_clicks(2)
    predictors = [a_predictor(network, memory) for memory in (None, a_memory(network, tuned=True))]
    for predictor in predictors:
        predictor.set_volume(SCAN)
    plain, attended = predictors
    first = plain.logits(grid, clicks[:1], None)
    memories = attended.append_interaction(grid, clicks[0], first)
    assert plain.append_interaction(grid, clicks[0], first) == ()
    alone, after = plain.logits(grid, clicks, first), attended.logits(grid, clicks, first, memories)
    assert np.array_equal(attended.logits(grid, clicks[:1], None), first)
    assert np.array_equal(attended.logits(grid, clicks, first), alone)
    assert not np.allclose(after, alone, atol=1e-3)
    assert np.array_equal(plain.logits(grid, clicks, first, memories), alone)
    attended.set_interaction_memory(False)
    assert np.array_equal(attended.logits(grid, clicks, first, memories), alone)


def test_memories_are_heard_in_another_crop():
    network, clicks = NETWORKS["published"], some_clicks(6, WIDE)
    plain, attended = (a_session(network, memory, WIDE) for memory in (None, a_memory(network)))
    assert not all(same(masks_of(attended, clicks), masks_of(plain, clicks)))
    refiner = ClickRefiner(attended.predictor)
    state = MaskState()
    for click in clicks:
        state = refiner.refine(state, click)
    assert len({one.grid for one in state.interactions}) > 1


def test_a_mask_that_is_gone_is_not_remembered():
    network = NETWORKS["native"]
    refiner = ClickRefiner(a_predictor(network, a_memory(network)))
    refiner.predictor.set_volume(SCAN)
    first, second = some_clicks(2)
    state = refiner.refine(refiner.refine(MaskState(), first), second)
    assert [one.number for one in state.interactions] == [0, 1]
    gone = MaskState(clicks=state.clicks, interactions=state.interactions)
    assert [(one.number, one.click) for one in refiner.refine(gone, first).interactions] == [(0, first)]


def test_a_memory_for_other_embeddings_is_refused():
    with pytest.raises(CheckpointError, match="2 tokens an edge; this model has 64 on 4"):
        a_predictor(NETWORKS["native"], a_memory(build_network(SMALL_NATIVE)))


@pytest.mark.parametrize("family", FAMILIES)
def test_in_bfloat16_replays_are_exact_too(family):
    network, clicks = NETWORKS[family], some_clicks(4)
    masks = [masks_of(a_session(network, a_memory(network), precision="bfloat16"), clicks) for _ in range(2)]
    assert all(same(*masks)) and masks[0][-1].any()
    session = a_session(network, a_memory(network), precision="bfloat16")
    grid = CropGrid((0.0, 0.0, 0.0), 1.5, network.config.image_size)
    logits = session.predictor.logits(grid, clicks[:1], None)
    memories = session.predictor.append_interaction(grid, clicks[0], logits)
    assert np.isfinite(session.predictor.logits(grid, clicks[:2], logits, memories)).all()


def test_a_cancelled_click_stops_within_the_memory_and_leaves_no_trace():
    network, clicks = NETWORKS["native"], some_clicks(3)
    memory = a_memory(network)
    session = a_session(network, memory)
    masks = masks_of(session, clicks[:2])
    token, went_on = CancelToken(), []
    hooks = [
        memory.attention.mlp.lin1.register_forward_hook(lambda *_: token.cancel()),
        memory.attention.mlp.lin2.register_forward_hook(lambda *_: went_on.append(True)),
    ]
    with pytest.raises(CancelledError), session.predictor.interruptible(token):
        session.add_click(clicks[2])
    for hook in hooks:
        hook.remove()
    assert not went_on
    assert session.clicks == tuple(clicks[:2]) and np.array_equal(session.mask, masks[-1])
    expected = masks_of(a_session(network, a_memory(network)), clicks)
    assert np.array_equal(masks_of(session, clicks[2:])[0], expected[2])


def test_a_model_comes_with_the_memory_that_is_shipped_for_it(tmp_path, monkeypatch):
    network, clicks = NETWORKS["native"], some_clicks(3)
    memory = a_memory(network)
    monkeypatch.setattr(conditioning, "resource_path", lambda name: tmp_path)
    save_native(network, tmp_path / "model.safetensors", {}, "float32")
    plain, with_memory = (masks_of(a_session(network, one), clicks) for one in (None, memory))

    def a_session_of_the_file() -> InteractiveSession:
        session = InteractiveSession(tmp_path / "model.safetensors")
        session.predictor.set_interaction_memory(True, SIZE)
        session.set_image(SCAN)
        return session

    assert all(same(masks_of(a_session_of_the_file(), clicks), plain))
    save_interaction_memory(tmp_path / "interaction_memory_x.safetensors", memory, network, "float32")
    assert all(same(masks_of(a_session_of_the_file(), clicks), with_memory))
