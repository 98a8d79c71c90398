"""A click, once its crop is encoded: in the network, in the engine, and in a real scene; with classic tools beside."""

from __future__ import annotations

from itertools import cycle
from typing import Any

import numpy as np
import torch

from MemorizingSAM3DLib.engine.geometry import threshold_on_scan
from MemorizingSAM3DLib.engine.networks.config import NetworkConfig
from MemorizingSAM3DLib.engine.networks.sam3d import PublishedSAM3D
from MemorizingSAM3DLib.engine.prompts import Click
from MemorizingSAM3DLib.engine.runtime.device import Precision
from MemorizingSAM3DLib.learning.evaluation.baselines import Baseline, BaselineError, classic_baselines

from .. import fixtures
from ..fixtures import (
    PublishedWay,
    Size,
    a_volume,
    an_image,
    config_of,
    in_panel,
    organ_box,
    organ_crop,
    predictor_of,
    scan_node,
    some_clicks,
)
from ..harness.benchmark_case import BenchmarkCase, Group, Job, Part, Setting, UnavailableError, Wanted
from ..harness.roofline import counted, device_group
from ..literal import literal_decode

OURS = "ours"
_CLASSIC = ("grow_from_seeds", "random_walker", "confidence_connected")
_TITLES = {"grow_from_seeds": "Grow from seeds (GrowCut)", "random_walker": "random walker",
           "confidence_connected": "confidence connected"}  # fmt: skip
CLICKS = 5


def click_part(setting: Setting) -> Part:
    """All groups of a click."""
    return Part("click", "A click on a cached crop", [
        device_group(setting), decode_group(setting), engine_group(setting), scene_group(setting)
    ])  # fmt: skip


def decode_group(setting: Setting) -> Group:
    """The network alone."""
    sizes: dict[str, Size] = {"shipped network, 5 clicks": "shipped", "student": "student", "teacher": "teacher"}
    benchmark_cases = [BenchmarkCase(name, decode, {"size": size}) for name, size in sizes.items()]
    benchmark_cases.append(BenchmarkCase("student, published arithmetic", decode, {"size": "student", "literal": True}))
    wanted = {"student": Wanted(most_ms=0.35 if setting.on_gpu else 25)}
    remark = "Published networks hear the newest click and the logits so far, the shipped one all clicks."
    return Group("The network decodes a click", benchmark_cases, "student", wanted, remark=remark)


def decode(setting: Setting, size: Size, literal: bool = False, config: NetworkConfig | None = None) -> Job:
    """Prompt encoder and mask decoder on a crop that is encoded, with random weights."""
    predictor = predictor_of(setting, config=config or config_of(size))
    network, runtime = predictor.network, predictor.runtime
    device, own = runtime.device, network.config
    with torch.inference_mode(), runtime.autocast():
        features = network.encode(an_image(own).to(device))
    count = CLICKS if network.uses_click_history else 1
    coords = torch.linspace(0.2, 0.8, count)[None, :, None].expand(-1, -1, 3).mul(own.image_size).to(device)
    labels = torch.ones(1, count, dtype=torch.long, device=device)
    previous = torch.zeros(1, 1, *[own.output_size] * 3, device=device)

    def run() -> torch.Tensor:
        with torch.inference_mode(), runtime.autocast():
            if literal:
                assert isinstance(network, PublishedSAM3D)
                return literal_decode(network, features.embedding, coords, labels, previous)
            if predictor.graphs is not None:
                return predictor.graphs.decode(network, features, coords, labels, previous)
            return network.decode(features, coords, labels, previous)

    weights = [*network.prompt_encoder.parameters(), *network.mask_decoder.parameters()]
    moved = [*weights, features.embedding, *features.skips, previous, previous]
    # What was made in inference mode cannot be used where gradients are on, as they are for the count.
    image = None if features.image is None else features.image.clone()
    skips = tuple(part.clone() for part in features.skips)
    copied = features._replace(embedding=features.embedding.clone(), skips=skips, image=image)

    def run_counted() -> object:
        with runtime.autocast():
            return network.decode(copied, coords, labels, previous)

    return Job(run, facts=counted(run_counted, moved, runtime.precision))


def engine_group(setting: Setting) -> Group:
    """From the click to the mask on the scan's grid."""
    benchmark_cases = [
        BenchmarkCase(OURS, engine_click),
        *in_panel(setting, engine_click),
        BenchmarkCase("ours, 10 remembered clicks", engine_click, {"remembered": 10}),
        BenchmarkCase("ours, encoding at every click", engine_click, {"reencode": True}),
        BenchmarkCase("published way, student", published_click, {"size": "student"}),
        BenchmarkCase("published way, teacher", published_click, {"size": "teacher"}),
        *(BenchmarkCase(_TITLES[name], classic_click, {"tool": name}) for name in _CLASSIC),
    ]
    wanted = {OURS: Wanted(most_ms=1, most_gpu_bytes=0.4e9) if setting.on_gpu else Wanted(most_ms=100)}
    remark = (
        f"The same {CLICKS} clicks on a made-up scan of {scan_size()} voxels; the published way encodes at every "
        "click, with the literal arithmetic; classic tools compute from all clicks."
    )
    return Group(
        "A click in the engine, until the mask on the scan's grid", benchmark_cases, OURS, wanted, remark=remark
    )


def engine_click(setting: Setting, remembered: int | None = None, reencode: bool = False, clicks: int = CLICKS,
                 precision: Precision = "auto", pause: bool = False) -> Job:  # fmt: skip
    """Logits of the organ's crop, pasted into its box; with an interaction memory, the click is remembered, too.

    The newest click is another one each time, as it is when a user clicks: it has to be drawn, and what is remembered
    of the one before it was not used yet.

    Args:
        remembered: clicks that are used. clicks: how many were made in all.
        pause: whether the user looks at the mask before the next click, while the panel looks ahead; not timed.
    """
    predictor = predictor_of(setting, remembered=remembered, reencode=reencode, precision=precision)
    volume = a_volume()
    predictor.set_volume(volume)
    grid, box = organ_crop(predictor), organ_box(volume)
    asked = [click for click in some_clicks(clicks) if grid.contains(click.ras)]
    memories: tuple[Any, ...] = ()
    previous = predictor.logits(grid, asked[:1], None)
    for click in some_clicks(remembered or 0, seed=2):
        memories = predictor.append_interaction(grid, click, previous, memories)

    last = asked.pop()
    r, a, s = last.ras
    places = cycle([last, Click((r + 1.0, a, s), last.positive)])
    older = memories[:-1]

    def run() -> np.ndarray:
        nonlocal memories
        newest = next(places)
        logits = predictor.logits(grid, [*asked, newest], previous, memories)
        if remembered is not None:
            memories = predictor.append_interaction(grid, newest, logits, older)
        return threshold_on_scan(logits, grid, volume, box, refined=True, device=predictor.runtime.device)[1]

    return Job(run, prepare=(lambda: predictor.condition_ahead(grid, memories)) if pause else None)


def published_click(setting: Setting, size: Size, config: NetworkConfig | None = None) -> Job:
    """The newest click by the published way."""
    way = PublishedWay(setting, config or config_of(size), a_volume())
    clicks = some_clicks(CLICKS)
    previous, _ = way.click(clicks[0], None)
    return Job(lambda: way.click(clicks[-1], previous))


def classic_click(setting: Setting, tool: str) -> Job:
    """A classic tool's mask from all clicks."""
    baseline, volume, clicks = classic(tool), a_volume(), some_clicks(CLICKS)
    return Job(lambda: baseline.segment(volume, clicks))


def classic(tool: str) -> Baseline:
    """A classic tool by its name.

    Raises:
        UnavailableError: it needs a package that is missing.
    """
    from MemorizingSAM3DLib.scene.headless.grow_from_seeds import GrowFromSeeds

    baseline = next(one for one in (GrowFromSeeds(), *classic_baselines()) if one.name == tool)
    try:
        baseline.require()
    except BaselineError as error:
        raise UnavailableError(error.problem, error.remedy) from error
    return baseline


def scene_group(setting: Setting) -> Group:
    """From the point that is placed to the segment in the scene."""
    benchmark_cases = [
        BenchmarkCase(OURS, scene_click),
        *in_panel(setting, scene_click),
        BenchmarkCase("ours, encoding at every click", scene_click, {"reencode": True}),
        *(BenchmarkCase(_TITLES[name], classic_scene_click, {"tool": name}) for name in _CLASSIC),
    ]
    wanted = {OURS: Wanted(most_ms=50 if setting.on_gpu else 250)}
    remark = (
        f"Corrections on a scan of {scan_size()} voxels, in slicer-core's MRML; clicks that need another crop left out."
    )
    return Group(
        "A point placed, until the segment in the scene is written", benchmark_cases, OURS, wanted, remark=remark
    )


def scene_click(setting: Setting, reencode: bool = False, precision: Precision = "auto") -> Job:
    """Another point each time, as a user corrects; after 20 the segment starts anew. Re-encoding, all count."""
    volume_node = scan_node()
    from MemorizingSAM3DLib.scene.headless.demonstration import ClickedSegment

    predictor = predictor_of(setting, reencode=reencode, precision=precision)
    clicks = some_clicks(20)
    state: dict[str, Any] = {"number": len(clicks)}

    def prepare() -> None:
        if state["number"] >= len(clicks):
            state["segment"] = ClickedSegment(volume_node, predictor, name="Organ")
            state["segment"].place(clicks[0].ras)
            state["number"] = 1
        state["encodes"] = predictor.encodes

    def run() -> None:
        click = clicks[state["number"]]
        state["number"] += 1
        state["segment"].place(click.ras, click.positive)

    return Job(run, prepare, counts=lambda: reencode or predictor.encodes == state["encodes"])


def classic_scene_click(setting: Setting, tool: str) -> Job:
    """A classic tool's mask of one click more, written into a segment."""
    volume_node = scan_node()
    from MemorizingSAM3DLib.scene.scan import volumeFromNode
    from MemorizingSAM3DLib.scene.segments.segmentation import addSegment, createSegmentation
    from MemorizingSAM3DLib.scene.segments.writer import SegmentWriter

    baseline = classic(tool)
    volume = volumeFromNode(volume_node)
    segmentation = createSegmentation(volume_node, "Organ")
    writer = SegmentWriter(segmentation, addSegment(segmentation, "Organ"), volume_node)
    clicks = some_clicks(20)
    state = {"number": 0}

    def run() -> None:
        state["number"] = state["number"] % (len(clicks) - 1) + 1
        writer.write(baseline.segment(volume, clicks[: state["number"] + 1]))

    return Job(run, prepare=lambda: None)


def scan_size() -> str:
    """Of the scan that is clicked on, voxels along (i, j, k)."""
    return " x ".join(map(str, reversed(fixtures.SHAPE)))
