from __future__ import annotations

import sys

import numpy as np
import pytest

from MemorizingSAM3DLib.benchmarks.harness.process import forget_peak, peak_of_process


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
