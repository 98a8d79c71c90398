"""Contenders whose jobs take no time and no PyTorch; in a module, since their processes import it."""

from __future__ import annotations

import os
from pathlib import Path

from MemorizingSAM3DLib.benchmarks.harness.benchmark_case import BenchmarkCase, Job, Setting, UnavailableError


def noting(setting: Setting, log: str, name: str) -> Job:
    """Writes its name into a file whenever it is run."""

    def run() -> None:
        with Path(log).open("a") as file:
            file.write(name)

    return Job(run, prepare=lambda: None, facts={"process": os.getpid()})


def telling(setting: Setting) -> Job:
    """Laps: the number of its process."""
    return Job(lambda: {"process": float(os.getpid()), "one": 1.0}, laps=True)


def quick(setting: Setting) -> Job:
    return Job(lambda: None)


def unavailable(setting: Setting) -> Job:
    raise UnavailableError("There is no such thing here.", "Buy one.")


def failing_to_start(setting: Setting) -> Job:
    raise RuntimeError("no memory, say")


def failing_in_its_second_turn(setting: Setting) -> Job:
    runs = []

    def run() -> None:
        runs.append(1)
        if len(runs) == 4:  # two of them warm up
            raise ValueError("that was one too many")

    return Job(run, prepare=lambda: None)


def dying(setting: Setting) -> Job:
    return Job(lambda: os._exit(9))


def a_contender(make, title: str = "", **options) -> BenchmarkCase:
    return BenchmarkCase(title or make.__name__, make, options, light=True)
