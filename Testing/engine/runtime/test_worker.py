from __future__ import annotations

import threading

import pytest

from MemorizingSAM3DLib.engine.runtime.worker import CancelledError, Worker


@pytest.fixture
def a_worker():
    worker = Worker()
    yield worker
    worker.close()


def outcomes_of(worker, *functions):
    outcomes = []
    for function in functions:
        worker.submit(function, outcomes.append)
    while worker.poll(0.05):
        pass
    return outcomes


def test_jobs_run_one_after_another_on_one_thread_that_is_not_the_callers(a_worker):
    names = [outcome.value for outcome in outcomes_of(a_worker, *[lambda job: threading.get_ident()] * 3)]

    assert len(set(names)) == 1
    assert names[0] != threading.get_ident()


def test_results_are_delivered_in_order_on_the_thread_that_polls(a_worker):
    delivered = []
    for number in range(5):
        a_worker.submit(
            lambda job, number=number: number,
            lambda outcome: delivered.append((outcome.value, threading.get_ident())),
        )
    while a_worker.poll(0.05):
        pass

    assert delivered == [(number, threading.get_ident()) for number in range(5)]


def test_nothing_is_delivered_before_someone_polls(a_worker):
    done, delivered = threading.Event(), []
    a_worker.submit(lambda job: done.set(), delivered.append)

    assert done.wait(5)
    assert delivered == []


def test_an_error_belongs_to_its_job_and_the_next_job_runs(a_worker):
    def fail(job):
        raise ValueError("no")

    first, second = outcomes_of(a_worker, fail, lambda job: "yes")

    assert isinstance(first.error, ValueError)
    assert second.value == "yes"


def test_a_cancelled_job_ends_at_its_next_check_and_those_behind_it_never_start(a_worker):
    started, started_second, outcomes = threading.Event(), [], []

    def endless(job):
        started.set()
        while True:
            job.report("working")

    a_worker.submit(endless, outcomes.append)
    a_worker.submit(lambda job: started_second.append(1), outcomes.append)
    assert started.wait(5)
    a_worker.cancel()
    while a_worker.poll(0.05):
        pass

    assert [outcome.cancelled for outcome in outcomes] == [True, True]
    assert isinstance(outcomes[0].error, CancelledError)
    assert started_second == []


def test_the_current_job_says_what_it_is_doing(a_worker):
    reported, go_on = threading.Event(), threading.Event()

    def work(job):
        job.report("Encoding", 0.25)
        reported.set()
        go_on.wait(5)

    a_worker.submit(work, lambda outcome: None)
    assert reported.wait(5)
    current = a_worker.current
    assert (current.text, current.fraction) == ("Encoding", 0.25)
    go_on.set()
    while a_worker.poll(0.05):
        pass
    assert a_worker.current is None


def test_a_job_may_ask_for_another_when_it_is_delivered(a_worker):
    values = []
    a_worker.submit(lambda job: 1, lambda first: a_worker.submit(lambda job: first.value + 1, values.append))
    while a_worker.poll(0.05):
        pass

    assert [outcome.value for outcome in values] == [2]


def test_nothing_is_delivered_after_closing():
    worker, delivered = Worker(), []
    worker.submit(lambda job: 1, delivered.append)
    worker.close()

    assert not worker.poll(0.05)
    assert delivered == []
