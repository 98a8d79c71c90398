from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

# In a process of its own: one that has run other tests may have freed memory to take the small array from.
_PEAKS = """
import numpy as np
from MemorizingSAM3DLib.benchmarks.harness.process import forget_peak, peak_of_process

big = np.ones(30_000_000)  # 240 MB
del big
forget_peak()
before = peak_of_process()
small = np.ones(10_000_000)  # 80 MB, freed before anyone looks
del small
print(peak_of_process() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the peak cannot be forgotten")
def test_the_peak_counts_from_where_it_was_forgotten_and_sees_what_was_freed():
    done = subprocess.run([sys.executable, "-c", _PEAKS], cwd=ROOT, capture_output=True, text=True, check=True)
    assert 70e6 < int(done.stdout) < 120e6
