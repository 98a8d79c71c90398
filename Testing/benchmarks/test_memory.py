from __future__ import annotations

import sys

import numpy as np
import pytest

from MemorizingSAM3DLib.benchmarks import memory
from MemorizingSAM3DLib.benchmarks.memory import added_by_teacher_encode, forget_peak, peak_of_process


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the peak cannot be forgotten")
def test_the_peak_counts_from_where_it_was_forgotten_and_sees_what_was_freed():
    big = np.ones(30_000_000)  # 240 MB
    del big
    forget_peak()
    before = peak_of_process()
    assert before is not None
    small = np.ones(10_000_000)  # 80 MB, freed before anyone looks
    del small
    after = peak_of_process()
    assert after is not None
    assert 70e6 < after - before < 120e6


@pytest.mark.parametrize(("answer", "expected"), [("12345", 12345), ("unknown", None)])
def test_a_measurement_runs_in_a_process_of_its_own(monkeypatch, answer, expected):
    seen = []

    def run(command, **options):
        seen.append(command)
        return type("Done", (), {"stdout": f"{answer}\n"})

    monkeypatch.setattr(memory.subprocess, "run", run)
    assert added_by_teacher_encode("literal", 2) == expected
    assert seen == [[sys.executable, "-m", "MemorizingSAM3DLib.benchmarks.memory", "literal", "2"]]


@pytest.mark.skipif(sys.platform != "linux", reason="measured with the peak forgotten")
def test_one_encode_of_the_published_teacher_adds_less_than_300_megabytes():
    added = added_by_teacher_encode("ours", 1)
    assert added is not None
    assert 10e6 < added < 300e6
