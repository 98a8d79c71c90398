"""What is kept is bounded, by bytes that are counted; a long session does not grow."""

from __future__ import annotations

import tracemalloc

import numpy as np
import torch

from MemorizingSAM3DLib.engine.geometry import CropGrid, Volume
from MemorizingSAM3DLib.engine.interaction_memory.bank import InteractionBank
from MemorizingSAM3DLib.engine.networks.config import native_config
from MemorizingSAM3DLib.engine.networks.sam3d import build_network
from MemorizingSAM3DLib.engine.prompts import Click, Prompts
from MemorizingSAM3DLib.engine.runtime.device import choose_runtime
from MemorizingSAM3DLib.engine.session import replay as replay_module
from MemorizingSAM3DLib.engine.session.predictor import Predictor
from MemorizingSAM3DLib.engine.session.replay import Replay
from Testing.engine.click_networks import BrightnessNetwork
from Testing.engine.phantoms import ball, ct_of
from Testing.engine.small_memories import a_memory, a_network, some_interactions

MB = 2**20
CPU = choose_runtime("cpu")
SCAN = ct_of(ball(12), (30, 28, 26), 2.0)[0]


def test_the_crops_that_are_kept_take_no_more_bytes_than_so_many_crops():
    predictor = Predictor(BrightnessNetwork(), CPU, embeddings=3)
    predictor.set_volume(SCAN)
    counted = []
    for number in range(9):
        predictor.features(CropGrid((float(number), 0.0, 0.0), 1.0, 64))
        counted.append(predictor.cached_bytes)
    assert counted == [counted[0] * min(number, 3) for number in range(1, 10)]
    predictor.forget_volume()
    assert predictor.cached_bytes == 0


def test_a_crop_of_the_native_network_as_it_is_built_by_default_takes_less_than_forty_megabytes():
    config = native_config()
    with torch.device("meta"):
        features = build_network(config).image_encoder.encode(torch.empty(1, 1, *[config.image_size] * 3))
    assert sum(part.nbytes for part in (features.embedding, *features.skips, features.image)) < 40 * MB


def replay_bytes(replay: Replay) -> int:
    """Logits, packed masks and remembered clicks of all states; what states share is counted once."""
    states = replay._states.values()
    parts = {id(s.logits): s.logits.nbytes for s in states if s.logits is not None}
    parts |= {id(s.mask.bits): len(s.mask.bits) for s in states}
    parts |= {id(one): one.sparse.nbytes + one.dense.nbytes for s in states for one in s.interactions}
    return sum(parts.values())


def test_a_session_of_many_clicks_keeps_no_more_than_its_last_states(monkeypatch):
    monkeypatch.setattr(replay_module, "STATES_KEPT", 6)
    replay = Replay(Predictor(BrightnessNetwork(), CPU), SCAN)
    clicks: tuple[Click, ...] = ()
    counted = []
    for number in range(24):
        clicks = (*clicks, Click((float(number % 5), float(number % 3), 0.0)))
        state = replay.state_of(Prompts(0, clicks))
        counted.append(replay_bytes(replay))
    one = state.logits.nbytes + len(state.mask.bits)
    assert len(replay._states) == 6
    assert max(counted) <= 1.1 * 6 * one
    assert replay.predictor.cached_bytes <= 8 * 32**3 * 4


def test_remembered_clicks_are_bounded_by_the_bank_however_many_are_made():
    network = a_network()
    predictor = Predictor(network, CPU, interaction_memory=a_memory(network), bank_size=3)
    predictor.set_volume(SCAN)
    grid = CropGrid((0.0, 0.0, 0.0), 2.0, 64)
    logits = np.zeros([network.config.output_size] * 3, np.float32)
    past: tuple = ()
    for number in range(8):
        past = predictor.append_interaction(grid, Click((float(number), 0.0, 0.0)), logits, past)
    assert len(past) == 3


def test_a_bank_allocates_for_what_it_holds_and_half_of_that_in_half_precision():
    network = a_network()
    memory = a_memory(network)
    grid = CropGrid((0.0, 0.0, 0.0), 2.0, 64)
    held = []
    for half in (False, True):
        bank = InteractionBank(memory.attention, network.prompt_encoder, 16, half)
        bank.load(some_interactions(4, memory.config, grid), grid)
        held.append(bank._dense.key.nbytes + bank._dense.value.nbytes)
    config = memory.config
    assert held[0] == 2 * 16 * config.grid**3 * config.channels * 4
    assert held[1] * 2 == held[0]


def test_taking_a_large_scan_copies_none_of_it():
    array = np.zeros((256, 256, 256), np.int16)
    array[::16, ::16, ::16] = np.arange(16)
    tracemalloc.start()
    Predictor(BrightnessNetwork(), CPU).set_volume(Volume(array, np.diag([0.7, 0.7, 0.7, 1.0])))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < array.nbytes / 4


def test_a_crop_of_a_large_scan_needs_little_beside_the_scan_itself():
    """512^3 would be 256 MB of int16 and 512 MB of float32; here an eighth of that."""
    array = np.zeros((256, 256, 256), np.int16)
    array[::16, ::16, ::16] = np.arange(16)
    predictor = Predictor(BrightnessNetwork(), CPU)
    predictor.set_volume(Volume(array, np.diag([0.7, 0.7, 0.7, 1.0])))
    tracemalloc.start()
    predictor.features(CropGrid((90.0, 90.0, 90.0), 2.5, 64))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < array.size * 4, f"{peak / MB:.0f} MB: as much as the whole scan in float32"
