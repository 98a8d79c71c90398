from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from MemorizingSAM3DLib.engine import freed_memory

needs_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be asked")

_COUNT_NEW_PAGES = """
import resource, sys, numpy as np
from MemorizingSAM3DLib.engine.freed_memory import keep_freed_memory
if sys.argv[1] == "kept":
    assert keep_freed_memory()
def work():
    for _ in range(20):
        blocks = [np.ones(1 << 20, np.float32) for _ in range(6)]  # 4 MB each
work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def new_pages(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", _COUNT_NEW_PAGES, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


@needs_glibc
def test_blocks_that_are_freed_and_asked_for_again_cost_no_new_pages():
    assert new_pages("kept") < 0.05 * new_pages("given back")


def test_where_there_is_no_glibc_nothing_is_asked(monkeypatch):
    monkeypatch.setattr(freed_memory.platform, "libc_ver", lambda: ("", ""))
    assert freed_memory.keep_freed_memory.__wrapped__() is False
