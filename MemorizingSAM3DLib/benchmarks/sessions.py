"""Sessions of clicks: a crop encoded once and kept, against the published way, which encodes it at every click."""

from __future__ import annotations

import numpy as np

from ..engine.geometry import paste_signs
from ..engine.networks.config import NetworkConfig
from ..engine.runtime import Precision
from ..engine.session import InteractiveSession
from .contender import Contender, Group, Job, Part, Setting, Wanted
from .made_networks import Size, config_of
from .made_scans import a_volume, organ_box, some_clicks
from .predictors import PublishedWay, in_panel, organ_crop, predictor_of

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
    contenders = [
        Contender(OURS, ten_clicks, {"size": size}),
        *in_panel(setting, ten_clicks, {"size": size}),
        Contender("ours, encoding at every click", ten_clicks, {"size": size, "reencode": True}),
        Contender("published way", ten_published_clicks, {"size": size}),
    ]
    wanted = {"published way": Wanted(least_ratio=LEAST_SPEED_UP)}
    remark = (
        f"{CLICKS} clicks in one crop of 128^3 voxels; random weights. Ours brings the logits to the scan's grid where "
        "the organ is, the published way the whole crop; that one is the literal arithmetic, the crop encoded at every "
        "click."
    )
    return Group(f"{CLICKS} clicks with {title}", contenders, OURS, wanted, remark=remark)


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
            _, mask = paste_signs(logits, grid, volume, box, refined=True, device=predictor.runtime.device)
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
    contenders = [
        Contender(OURS, whole_session, {"clicks": CLICKS}),
        *in_panel(setting, whole_session, {"clicks": CLICKS}),
        Contender("ours, encoding at every click", whole_session, {"clicks": CLICKS, "reencode": True}),
    ]
    remark = "The whole session on a scan that is taken anew: zooming, further crops, the mask on the scan's grid."
    return Group(f"{CLICKS} clicks with the shipped model", contenders, OURS, remark=remark)


def _many(setting: Setting) -> Group:
    contenders = [
        Contender("without interaction memory", whole_session, {"clicks": MANY}),
        Contender("with it, 60 remembered clicks", whole_session, {"clicks": MANY, "remembered": 60}),
    ]
    contenders += in_panel(setting, whole_session, {"clicks": MANY, "remembered": 60}, "with it, as in the panel")
    wanted = {contenders[1].name: Wanted(most_ms=1_000 if setting.on_gpu else 20_000)}
    remark = "Published for the interaction memory (MAIS): 33 s on an RTX 4090."
    return Group(f"{MANY} clicks with the shipped model", contenders, contenders[0].name, wanted, remark=remark,
                 most_repeats=1)  # fmt: skip


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
