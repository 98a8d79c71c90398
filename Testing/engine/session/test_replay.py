from __future__ import annotations

import pytest

from MemorizingSAM3DLib.engine.geometry import Box
from MemorizingSAM3DLib.engine.geometry.packed_mask import PackedMask
from MemorizingSAM3DLib.engine.prompts import Click, Prompts
from MemorizingSAM3DLib.engine.runtime.worker import CancelledError, CancelToken
from MemorizingSAM3DLib.engine.session.predictor import Predictor
from MemorizingSAM3DLib.engine.session.replay import Replay
from Testing.engine.click_networks import BrightnessNetwork
from Testing.engine.phantoms import ball, ct_of

CLICKS = (Click((0.0, 0.0, 0.0)), Click((9.0, 0.0, 0.0), False), Click((0.0, 8.0, 0.0)))


@pytest.fixture
def a_scan():
    return ct_of(ball(12), (40, 40, 40), 1.0)[0]


@pytest.fixture
def a_replay(a_scan):
    return Replay(Predictor(BrightnessNetwork()), a_scan)


def decodes(replay):
    return replay.predictor.network.decodes


def same(a, b):
    return a.difference_box(b).is_empty


def test_one_more_click_costs_one_click(a_replay):
    a_replay.mask_of(Prompts(0, CLICKS[:2]))
    before = decodes(a_replay)
    a_replay.mask_of(Prompts(0, CLICKS))

    fresh = Replay(Predictor(BrightnessNetwork()), a_replay.volume)
    fresh.mask_of(Prompts(0, CLICKS))
    assert 0 < decodes(a_replay) - before < decodes(fresh)


def test_going_back_costs_nothing(a_replay):
    first = a_replay.mask_of(Prompts(0, CLICKS[:1]))
    a_replay.mask_of(Prompts(0, CLICKS))
    before = decodes(a_replay)

    assert same(a_replay.mask_of(Prompts(0, CLICKS[:1])), first)
    assert decodes(a_replay) == before


def test_two_segments_of_a_scan_share_its_crops_and_not_their_masks(a_replay):
    start = a_replay.add_start(PackedMask.of(a_replay.volume.array[15:25] > 0, Box(15, 25, 0, 40, 0, 40)))
    from_nothing = a_replay.mask_of(Prompts(0, CLICKS[:1]))
    encodes = a_replay.predictor.encodes
    from_start = a_replay.mask_of(Prompts(start, CLICKS[:1]))

    assert a_replay.predictor.encodes <= encodes + 1
    assert not from_nothing.is_empty
    assert not from_start.is_empty
    assert same(a_replay.mask_of(Prompts(0, CLICKS[:1])), from_nothing)


def test_without_clicks_the_mask_is_the_one_it_starts_from(a_replay):
    mask = PackedMask.of(a_replay.volume.array[15:25] > 0, Box(15, 25, 0, 40, 0, 40))

    assert same(a_replay.mask_of(Prompts(a_replay.add_start(mask))), mask)
    assert a_replay.mask_of(Prompts()).is_empty


def test_an_empty_mask_to_start_from_is_nothing(a_replay):
    assert a_replay.add_start(PackedMask()) == 0


def test_starts_may_be_kept_by_someone_else(a_scan):
    starts = [PackedMask()]
    replay = Replay(Predictor(BrightnessNetwork()), a_scan, starts)
    starts.append(PackedMask.of(a_scan.array > 0, Box.whole(a_scan.shape)))

    assert same(replay.mask_of(Prompts(1)), starts[1])


def test_a_cancelled_computation_leaves_what_was_known(a_replay):
    known = a_replay.mask_of(Prompts(0, CLICKS[:1]))
    token = CancelToken()
    token.cancel()
    with a_replay.predictor.interruptible(token), pytest.raises(CancelledError):
        a_replay.mask_of(Prompts(0, CLICKS))

    assert same(a_replay.mask_of(Prompts(0, CLICKS[:1])), known)
    assert not a_replay.mask_of(Prompts(0, CLICKS)).is_empty


def test_the_token_ends_a_network_between_its_layers(a_scan):
    from MemorizingSAM3DLib.engine.networks.sam3d import NativeSAM3D
    from MemorizingSAM3DLib.engine.session.crop_policy import first_grid
    from Testing.engine.small_networks import SMALL_NATIVE

    network, token, layers = NativeSAM3D(SMALL_NATIVE), CancelToken(), []
    predictor = Predictor(network)
    predictor.set_volume(a_scan)

    def cancel_at_the_third(module, arguments):
        layers.append(module)
        if len(layers) == 3:
            token.cancel()

    for module in network.modules():
        if not list(module.children()):
            module.register_forward_pre_hook(cancel_at_the_third)
    with predictor.interruptible(token), pytest.raises(CancelledError):
        predictor.features(first_grid(a_scan, (0.0, 0.0, 0.0), (1.0, 1.0), predictor.crop_size))

    assert len(layers) in (3, 4)
