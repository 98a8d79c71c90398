from __future__ import annotations

import pytest

from MemorizingSAM3DLib.benchmarks.harness import process
from MemorizingSAM3DLib.benchmarks.harness.benchmark_case import Job, Setting
from MemorizingSAM3DLib.benchmarks.harness.process import Clock


@pytest.fixture
def now(monkeypatch):
    """A clock that only jobs move, seconds."""
    now = {"time": 0.0}
    monkeypatch.setattr(process.time, "perf_counter", lambda: now["time"])
    return now


def lasting(now, durations):
    durations = list(durations)

    def run():
        now["time"] += durations.pop(0) if len(durations) > 1 else durations[0]

    return run


def test_a_short_job_fills_a_turn_and_counts_by_its_mean(now):
    clock = Clock(Job(lasting(now, [1.0, 0.01, 7.0, 0.01, 0.02, 0.03, 0.04, 0.05])), Setting())
    clock.warm_up()
    assert clock.calls == 5
    assert clock.turn()[""] == pytest.approx(30)  # the 7 s were the call that fills the caches again


def test_a_long_job_is_called_once(now):
    clock = Clock(Job(lasting(now, [3.0, 2.5])), Setting())
    clock.warm_up()
    assert (clock.calls, clock.turn()) == (1, {"": 2500})


def test_what_a_job_prepares_is_not_timed(now):
    def prepare():
        now["time"] += 50

    clock = Clock(Job(lasting(now, [0.001]), prepare), Setting())
    clock.warm_up()
    assert clock.calls == 1
    assert clock.turn()[""] == pytest.approx(1)


def test_runs_that_do_not_count_are_repeated_until_one_does(now):
    answers = iter([False, False, True])
    clock = Clock(Job(lasting(now, [1.0, 2.0, 4.0]), counts=lambda: next(answers)), Setting())
    assert clock.turn()[""] == pytest.approx(4000)
    with pytest.raises(RuntimeError, match="None of 20 runs"):
        Clock(Job(lasting(now, [1.0]), counts=lambda: False), Setting()).turn()


def test_a_job_that_is_warm_is_not_run_before_its_turn(now):
    clock = Clock(Job(lasting(now, [4.0, 2.0]), warm=True), Setting())
    clock.warm_up()
    assert clock.turn() == {"": 4000}


def test_laps_are_the_jobs_own(now):
    clock = Clock(Job(lambda: {"load": 3.0, "click": 1.0}, laps=True), Setting())
    clock.warm_up()
    assert clock.turn() == {"load": 3.0, "click": 1.0}
