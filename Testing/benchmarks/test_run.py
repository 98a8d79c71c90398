from __future__ import annotations

from MemorizingSAM3DLib.benchmarks.harness import process
from MemorizingSAM3DLib.benchmarks.harness.benchmark_case import Group, Part, Setting
from MemorizingSAM3DLib.benchmarks.run import measure_part
from Testing.benchmarks import some_benchmark_cases as some
from Testing.benchmarks.some_benchmark_cases import a_contender


def test_a_part_is_measured_group_after_group(monkeypatch):
    monkeypatch.setattr(process, "PAUSE_SECONDS", 0.0)
    groups = [Group("first", [a_contender(some.quick)], "quick"), Group("laps", [a_contender(some.telling)])]
    started, turns = [], []
    part = Part("made", "A part", groups)

    report = measure_part(part, Setting(), 2, {}, lambda: turns.append(1), started.append)

    assert started == ["first", "laps"] and len(turns) == part.turns(2)
    assert [row.name for row in report.rows] == ["quick", "telling: process", "telling: one"]
    assert report.rows[2].milliseconds == (1.0, 1.0)
    assert report.ceiling is None and not report.failures
