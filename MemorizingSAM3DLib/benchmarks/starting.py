"""A cold start: what passes in a fresh process until the first click's mask is there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from .contender import Contender, Group, Job, Part, Setting, Wanted

OURS = "ours"
FIRST_CLICK_MS = 5000.0
_FIRST = "first click, the scan taken over included"


def start_part(setting: Setting) -> Part:
    """One group; every repeat has a process of its own."""
    contenders = [Contender(OURS, cold_start, fresh=True, light=True)]
    wanted = {f"{OURS}: {_FIRST}": Wanted(most_ms=FIRST_CLICK_MS)}
    remark = "A fresh process each time; the system's file cache is warm after the first."
    return Part("start", "Cold start", [Group("Until the first mask", contenders, wanted=wanted, remark=remark)])


def cold_start(setting: Setting) -> Job:
    """Imports, loads the model, takes a scan, clicks twice: milliseconds of each."""
    return Job(lambda: _first_mask(setting), laps=True)


def _first_mask(setting: Setting) -> dict[str, float]:
    steps = _Steps()
    with steps.step("import torch"):
        import torch
    torch.set_num_threads(setting.threads)
    with steps.step("import the engine"):
        from ..engine.checkpoints import load, load_default
        from ..engine.geometry import Volume
        from ..engine.predictor import Predictor
        from ..engine.prompts import Click
        from ..engine.runtime import choose_runtime
        from ..engine.session import InteractiveSession
    from .made_scans import a_scan

    voxels, matrix = a_scan()
    with steps.step("load the model"):
        checkpoint = load(setting.model) if setting.model else load_default()
        predictor = Predictor(checkpoint.network, choose_runtime(setting.device))
    session = InteractiveSession(predictor)
    with steps.step(_FIRST):
        session.set_image(Volume(voxels, matrix))
        session.add_click(Click((0.0, 0.0, 0.0)))
    steps.milliseconds["all of it"] = sum(steps.milliseconds.values())
    with steps.step("second click"):
        session.add_click(Click((20.0, 0.0, 0.0)))
    return steps.milliseconds


class _Steps:
    """Milliseconds of named steps."""

    def __init__(self) -> None:
        self.milliseconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.milliseconds[name] = 1000 * (time.perf_counter() - start)
