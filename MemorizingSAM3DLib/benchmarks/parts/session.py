"""Sessions of clicks: a crop encoded once and kept, against the published way, which encodes it at every click.

A cold start: what passes in a fresh process until the first click's mask is there.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from MemorizingSAM3DLib.engine.geometry import threshold_on_scan
from MemorizingSAM3DLib.engine.networks.config import NetworkConfig
from MemorizingSAM3DLib.engine.runtime.device import Precision
from MemorizingSAM3DLib.engine.session.session import InteractiveSession

from ..fixtures import (
    PublishedWay,
    Size,
    a_volume,
    config_of,
    in_panel,
    organ_box,
    organ_crop,
    predictor_of,
    some_clicks,
)
from ..harness.benchmark_case import BenchmarkCase, Group, Job, Part, Setting, Wanted

OURS = "ours"
CLICKS, MANY = 10, 150
LEAST_SPEED_UP = 8.0


def session_part(setting: Setting) -> Part:
    """Ten clicks with each network; 150 with the shipped one."""
    published = [
        _published(setting, "student", "FastSAM3D's student"),
        _published(setting, "teacher", "SAM-Med3D's teacher"),
    ]
    return Part("session", "A session of clicks", [*published, _shipped(setting), _many(setting)])


def _published(setting: Setting, size: Size, title: str) -> Group:
    benchmark_cases = [
        BenchmarkCase(OURS, ten_clicks, {"size": size}),
        *in_panel(setting, ten_clicks, {"size": size}),
        BenchmarkCase("ours, encoding at every click", ten_clicks, {"size": size, "reencode": True}),
        BenchmarkCase("published way", ten_published_clicks, {"size": size}),
    ]
    wanted = {"published way": Wanted(least_ratio=LEAST_SPEED_UP)}
    remark = (
        f"{CLICKS} clicks in one crop of 128^3 voxels; random weights. Ours brings the logits to the scan's grid where "
        "the organ is, the published way the whole crop; that one is the literal arithmetic, the crop encoded at every "
        "click."
    )
    return Group(f"{CLICKS} clicks with {title}", benchmark_cases, OURS, wanted, remark=remark)


def ten_clicks(setting: Setting, size: Size, reencode: bool = False, config: NetworkConfig | None = None,
               precision: Precision = "auto") -> Job:  # fmt: skip
    """The session's clicks on a crop that is not encoded yet, as the predictor answers them.

    Masks of random weights fill the crop or nothing of it, so what is pasted is the box of the organ.
    """
    predictor = predictor_of(setting, reencode=reencode, config=config or config_of(size), precision=precision)
    volume, clicks = a_volume(), some_clicks(CLICKS)
    grid, box = organ_crop(predictor), organ_box(volume)
    clicks = [click for click in clicks if grid.contains(click.ras)]

    def run(count: int = len(clicks)) -> np.ndarray:
        predictor.forget_volume()
        predictor.set_volume(volume)
        logits = None
        for number in range(count):
            logits = predictor.logits(grid, clicks[: number + 1], logits)
            _, mask = threshold_on_scan(logits, grid, volume, box, refined=True, device=predictor.runtime.device)
        return mask

    run(1)
    return Job(run, warm=True)


def ten_published_clicks(setting: Setting, size: Size, config: NetworkConfig | None = None) -> Job:
    """The same clicks by the published way."""
    way = PublishedWay(setting, config or config_of(size), a_volume())
    clicks = [click for click in some_clicks(CLICKS) if way.grid.contains(click.ras)]
    way.click(clicks[0], None)

    def run() -> np.ndarray:
        logits = None
        for click in clicks:
            logits, mask = way.click(click, logits)
        return mask

    return Job(run, warm=True)


def _shipped(setting: Setting) -> Group:
    benchmark_cases = [
        BenchmarkCase(OURS, whole_session, {"clicks": CLICKS}),
        *in_panel(setting, whole_session, {"clicks": CLICKS}),
        BenchmarkCase("ours, encoding at every click", whole_session, {"clicks": CLICKS, "reencode": True}),
    ]
    remark = "The whole session on a scan that is taken anew: zooming, further crops, the mask on the scan's grid."
    return Group(f"{CLICKS} clicks with the shipped model", benchmark_cases, OURS, remark=remark)


def _many(setting: Setting) -> Group:
    benchmark_cases = [
        BenchmarkCase("without interaction memory", whole_session, {"clicks": MANY}),
        BenchmarkCase("with it, 60 remembered clicks", whole_session, {"clicks": MANY, "remembered": 60}),
    ]
    benchmark_cases += in_panel(setting, whole_session, {"clicks": MANY, "remembered": 60}, "with it, as in the panel")
    wanted = {benchmark_cases[1].name: Wanted(most_ms=1_000 if setting.on_gpu else 20_000)}
    remark = "Published for the interaction memory (MAIS): 33 s on an RTX 4090."
    return Group(
        f"{MANY} clicks with the shipped model",
        benchmark_cases,
        benchmark_cases[0].name,
        wanted,
        remark=remark,
        most_repeats=1,
    )


def whole_session(setting: Setting, clicks: int, remembered: int | None = None, reencode: bool = False,
                  precision: Precision = "auto") -> Job:  # fmt: skip
    """An interactive session, from the scan to the last click's mask."""
    predictor = predictor_of(setting, remembered=remembered, reencode=reencode, precision=precision)
    volume, asked = a_volume(), some_clicks(clicks)

    def run(count: int = clicks) -> np.ndarray:
        predictor.forget_volume()
        session = InteractiveSession(predictor)
        session.set_image(volume)
        for click in asked[:count]:
            session.add_click(click)
        return session.mask

    run(min(3, clicks))
    return Job(run, warm=True)


FIRST_CLICK_MS = 5000.0
_FIRST = "first click, the scan taken over included"


def start_part(setting: Setting) -> Part:
    """One group; every repeat has a process of its own."""
    benchmark_cases = [BenchmarkCase(OURS, cold_start, fresh=True, light=True)]
    wanted = {f"{OURS}: {_FIRST}": Wanted(most_ms=FIRST_CLICK_MS)}
    remark = "A fresh process each time; the system's file cache is warm after the first."
    return Part("start", "Cold start", [Group("Until the first mask", benchmark_cases, wanted=wanted, remark=remark)])


def cold_start(setting: Setting) -> Job:
    """Imports, loads the model, takes a scan, clicks twice: milliseconds of each."""
    return Job(lambda: _first_mask(setting), laps=True)


def _first_mask(setting: Setting) -> dict[str, float]:
    steps = _Steps()
    with steps.step("import torch"):
        import torch
    torch.set_num_threads(setting.threads)
    with steps.step("import the engine"):
        from MemorizingSAM3DLib.engine.geometry import Volume
        from MemorizingSAM3DLib.engine.models.checkpoints import load, load_default
        from MemorizingSAM3DLib.engine.prompts import Click
        from MemorizingSAM3DLib.engine.runtime.device import choose_runtime
        from MemorizingSAM3DLib.engine.session.predictor import Predictor
        from MemorizingSAM3DLib.engine.session.session import InteractiveSession
    from ..fixtures import a_scan

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
