from __future__ import annotations

import os
from dataclasses import replace

import pytest

from MemorizingSAM3DLib.benchmarks.harness import process
from MemorizingSAM3DLib.benchmarks.harness.benchmark_case import Group, Setting
from MemorizingSAM3DLib.benchmarks.harness.process import measure_group
from Testing.benchmarks import some_benchmark_cases as some
from Testing.benchmarks.some_benchmark_cases import a_contender

SETTING = Setting()


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch):
    monkeypatch.setattr(process, "PAUSE_SECONDS", 0.0)


def test_contenders_take_turns_in_processes_of_their_own_and_the_first_round_is_not_counted(tmp_path):
    log = tmp_path / "log"
    group = Group("g", [a_contender(some.noting, name, log=str(log), name=name) for name in "ab"])
    turns = []

    found = measure_group(group, SETTING, 3, lambda: turns.append(1))

    assert log.read_text() == "aabb" + "ab" + "ba" + "ab"
    assert [finding.state for finding in found] == ["measured", "measured"]
    assert [len(finding.milliseconds[""]) for finding in found] == [3, 3]
    assert len({os.getpid(), *(finding.facts["process"] for finding in found)}) == 3
    assert len(turns) == group.turns(3)


def test_a_contender_that_fails_or_dies_is_reported_and_the_others_go_on():
    makes = [some.quick, some.unavailable, some.failing_to_start, some.failing_in_its_second_turn, some.dying]
    good, missing, stillborn, late, dead = measure_group(Group("g", [a_contender(m) for m in makes]), SETTING, 3)

    assert good.state == "measured" and len(good.milliseconds[""]) == 3
    assert (missing.state, missing.reason) == ("unavailable", "There is no such thing here.")
    assert (stillborn.state, stillborn.reason) == ("failed", "RuntimeError: no memory, say")
    assert (late.state, late.reason) == ("failed", "ValueError: that was one too many")
    assert late.milliseconds == {}
    assert dead.state == "failed" and "exit code 9" in dead.reason


def test_a_cold_contender_has_a_process_for_each_repeat():
    fresh = replace(a_contender(some.telling), fresh=True)
    group = Group("g", [fresh], most_repeats=2)

    (found,) = measure_group(group, SETTING, 5)

    assert found.milliseconds["one"] == [1.0, 1.0]
    assert len(set(found.milliseconds["process"])) == 2
