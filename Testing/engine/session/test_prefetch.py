"""What the next click will need is encoded while nobody waits, and nobody ever waits for that."""

from __future__ import annotations

import os
import threading

import pytest
import torch

from MemorizingSAM3DLib.engine.prompts import Click, Prompts
from MemorizingSAM3DLib.engine.runtime.device import Runtime, choose_runtime
from MemorizingSAM3DLib.engine.runtime.worker import CancelledError, CancelToken, Worker
from MemorizingSAM3DLib.engine.session import prefetch
from MemorizingSAM3DLib.engine.session.predictor import Predictor
from MemorizingSAM3DLib.engine.session.prefetch import likely_grids, pays, prefetch_crops
from MemorizingSAM3DLib.engine.session.refinement import MaskState
from MemorizingSAM3DLib.engine.session.replay import Replay
from Testing.engine.click_networks import BrightnessNetwork
from Testing.engine.phantoms import ball, ct_of
from Testing.engine.small_memories import a_memory, a_network

SCAN = ct_of(ball(12), (40, 38, 36), 2.0)[0]
CLICKS = Prompts(0, (Click((0.0, 0.0, 0.0)),))


def a_replay(embeddings: int = 8) -> Replay:
    return Replay(Predictor(BrightnessNetwork(), choose_runtime("cpu"), embeddings), SCAN)


def test_likely_crops_are_encoded_and_the_next_click_in_them_encodes_nothing():
    replay = a_replay()
    state = replay.state_of(CLICKS)
    replay.predictor._cache.clear()
    assert prefetch_crops(replay.predictor, state, CancelToken()) == len(likely_grids(replay.predictor, state)) > 0
    before = replay.predictor.encodes
    replay.state_of(Prompts(0, (*CLICKS.clicks, Click((2.0, 2.0, 2.0)))))
    assert replay.predictor.encodes == before


def test_what_is_encoded_already_is_not_encoded_again():
    replay = a_replay()
    state = replay.state_of(CLICKS)
    prefetch_crops(replay.predictor, state, CancelToken())
    assert prefetch_crops(replay.predictor, state, CancelToken()) == 0


def test_no_crop_that_is_kept_goes_for_one_that_may_be_used():
    replay = a_replay(embeddings=1)
    state = replay.state_of(CLICKS)
    kept = list(replay.predictor._cache)
    assert prefetch_crops(replay.predictor, state, CancelToken()) == 0
    assert list(replay.predictor._cache) == kept


def test_without_a_mask_nothing_is_likely():
    replay = a_replay()
    replay.state_of(CLICKS)
    assert likely_grids(replay.predictor, MaskState()) == []


def test_it_ends_when_it_is_cancelled():
    replay, token = a_replay(), CancelToken()
    state = replay.state_of(CLICKS)
    replay.predictor._cache.clear()
    token.cancel()
    with pytest.raises(CancelledError):
        prefetch_crops(replay.predictor, state, token)
    assert replay.predictor._token is None


@pytest.mark.parametrize(
    ("device", "cores", "threads", "expected"),
    [("cuda", 2, 2, True), ("cpu", 4, 4, False), ("cpu", 8, 4, True), ("cpu", 4, 1, False), ("cpu", 24, 16, False)],
)
def test_it_pays_on_a_gpu_and_where_as_many_cores_are_idle_as_compute(monkeypatch, device, cores, threads, expected):
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    monkeypatch.setattr(prefetch.torch, "get_num_threads", lambda: threads)
    assert pays(Runtime(torch.device(device), "float32", "a machine")) is expected


@pytest.fixture
def a_worker():
    worker = Worker()
    yield worker
    worker.close()


def settle(worker):
    while worker.poll(0.05):
        pass


def test_work_ahead_is_none_that_anybody_waits_for(a_worker):
    started, go = threading.Event(), threading.Event()
    a_worker.run_ahead(lambda job: (started.set(), go.wait(5)))
    assert started.wait(5)
    assert a_worker.current is None
    assert not a_worker.poll()
    go.set()


def test_a_job_ends_work_ahead_at_its_next_check_and_runs(a_worker):
    started, ended, outcomes = threading.Event(), [], []

    def ahead(job):
        started.set()
        try:
            while True:
                job.token.check()
        finally:
            ended.append(True)

    a_worker.run_ahead(ahead)
    assert started.wait(5)
    a_worker.submit(lambda job: list(ended), outcomes.append)
    settle(a_worker)
    assert [outcome.value for outcome in outcomes] == [[True]]


def test_work_ahead_that_has_not_begun_never_does_once_a_job_is_there(a_worker):
    go, ran, values = threading.Event(), [], []
    a_worker.run_ahead(lambda job: go.wait(5))  # keeps the thread busy whatever its token says
    a_worker.run_ahead(lambda job: ran.append(True))
    a_worker.submit(lambda job: "clicked", lambda outcome: values.append(outcome.value))
    go.set()
    settle(a_worker)
    assert values == ["clicked"] and ran == []


def test_work_ahead_is_refused_while_a_job_is_outstanding(a_worker):
    go, ran = threading.Event(), []
    a_worker.submit(lambda job: go.wait(5), lambda outcome: None)
    a_worker.run_ahead(lambda job: ran.append(True))
    go.set()
    settle(a_worker)
    a_worker.submit(lambda job: None, lambda outcome: None)
    settle(a_worker)
    assert ran == []


def test_an_error_of_work_ahead_is_dropped_and_the_thread_lives(a_worker):
    failed, values = threading.Event(), []

    def fail(job):
        failed.set()
        raise ValueError("nobody asked")

    a_worker.run_ahead(fail)
    assert failed.wait(5)
    a_worker.submit(lambda job: 1, lambda outcome: values.append(outcome.value))
    settle(a_worker)
    assert values == [1]


def test_cancelling_ends_work_ahead_too(a_worker):
    started, ended = threading.Event(), threading.Event()

    def ahead(job):
        started.set()
        while not job.token.cancelled:
            pass
        ended.set()

    a_worker.run_ahead(ahead)
    assert started.wait(5)
    a_worker.cancel()
    assert ended.wait(5)


def test_on_the_worker_a_click_that_comes_meanwhile_gives_the_mask_it_gives_without(a_worker):
    replay, plain = a_replay(), a_replay()
    second = Prompts(0, (*CLICKS.clicks, Click((2.0, 2.0, 2.0))))
    state, masks = replay.state_of(CLICKS), []
    replay.predictor._cache.clear()
    a_worker.run_ahead(lambda job: prefetch_crops(replay.predictor, state, job.token))
    a_worker.submit(lambda job: replay.mask_of(second), lambda outcome: masks.append(outcome.value))
    settle(a_worker)
    assert (masks[0].bits, masks[0].box) == (plain.mask_of(second).bits, plain.mask_of(second).box)


def test_the_likeliest_crop_is_conditioned_on_past_clicks_and_the_next_mask_stays_what_it_is():
    network = a_network()
    replays = [
        Replay(Predictor(network, choose_runtime("cpu"), interaction_memory=a_memory(network)), SCAN) for _ in range(2)
    ]
    masks = []
    for ahead, replay in zip((True, False), replays, strict=True):
        prompts = CLICKS
        for place in ((2.0, 2.0, 2.0), (-3.0, 4.0, 1.0), (6.0, 0.0, 0.0)):
            state = replay.state_of(prompts)
            if ahead:
                assert prefetch_crops(replay.predictor, state, CancelToken(), encode=False) == 0
                assert replay.predictor._interactions._prepared[1] == state.interactions
            prompts = Prompts(0, (*prompts.clicks, Click(place)))
        masks.append(replay.mask_of(prompts))
    assert (masks[0].bits, masks[0].box) == (masks[1].bits, masks[1].box)


def test_a_memory_that_is_off_prepares_nothing():
    network = a_network()
    replay = Replay(Predictor(network, choose_runtime("cpu"), interaction_memory=a_memory(network)), SCAN)
    state = replay.state_of(CLICKS)
    replay.predictor.set_interaction_memory(False)
    prefetch_crops(replay.predictor, state, CancelToken(), encode=False)
    assert replay.predictor._interactions._prepared is None
