"""Programs that write one memory at once, and programs that are killed while they write."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from MemorizingSAM3DLib.engine.case_memory.memory import CaseMemory
from Testing.engine.case_phantoms import ENCODER, a_case, facts

_ROOT = Path(__file__).parents[3]
_KILLS = 20

# Adds cases until it is ended, and removes, sets the budget and exports in between; says what is safely there.
_WRITER = """
import sys
from pathlib import Path
from MemorizingSAM3DLib.engine.case_memory.memory import CaseMemory
from Testing.engine.case_phantoms import ENCODER, LAYOUT, a_case, facts

first, count, path = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
memory = CaseMemory.open_or_create(path, LAYOUT, ENCODER)
for seed in range(first, first + count):
    case = memory.add(a_case(seed), facts()).id
    print(case, flush=True)
    if "churn" in sys.argv:
        passing = memory.add(a_case(10**6 + seed), facts("passing")).id
        memory.budget_bytes = 10**9 + seed
        memory.export(path.with_name("all.safetensors"))
        memory.remove(passing)
"""


def writer(first: int, count: int, path: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _WRITER, str(first), str(count), str(path), *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=_ROOT)


def test_programs_that_create_and_fill_one_memory_at_once_lose_nothing(tmp_path):
    each = 100
    # Half of what the second adds the first adds, too.
    programs = [writer(0, each, tmp_path / "memory"), writer(each // 2, each, tmp_path / "memory")]
    for program in programs:
        program.communicate(timeout=120)
        assert program.returncode == 0
    memory = CaseMemory.open(tmp_path / "memory", ENCODER)
    assert memory.verify() == []
    assert len(memory) == each // 2 + each
    for seed in range(each // 2 + each):
        case = memory.add(a_case(seed), facts())
        assert not case.new
        np.testing.assert_array_equal(memory.arrays(case.id)["keys.8"], a_case(seed)["keys.8"])


def test_a_memory_is_readable_and_whole_whenever_its_writer_is_killed(tmp_path):
    rng = random.Random(0)
    path, exported = tmp_path / "memory", tmp_path / "all.safetensors"
    promised: set[str] = set()
    for number in range(_KILLS):
        program = writer(1000 * number, 1000, path, "churn")
        assert program.stdout is not None
        promised.add(program.stdout.readline().strip())  # it has begun to write
        time.sleep(rng.random() * 0.05)
        program.kill()
        promised |= set(program.communicate(timeout=60)[0].split("\n")[:-1])
        memory = CaseMemory.open(path, ENCODER)
        assert memory.warnings == ()
        assert promised <= set(memory.ids)
        assert memory.verify() == []
        if exported.exists():
            assert CaseMemory.open(exported).verify() == []
    assert len(promised) >= _KILLS
    assert memory.add(a_case(10**9), facts()).new
