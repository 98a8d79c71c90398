"""How fluent the panel is: figures for the README, by hand: `python -m Testing.measure_panel [--clicks 40]`.

The real module with the shipped model on a 512 x 512 x 200 scan, driven by mouse events in real slice views. Prints how
long the main thread stands still, with and without the writing of the segment, how long a click takes from the mouse to
the segment in the scene, how long the panel takes to open, and how long cancelling takes.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

MODULE_FILE = Path(__file__).resolve().parents[1] / "MemorizingSAM3D" / "MemorizingSAM3D.py"
SHAPE, SPACING = (200, 512, 512), (0.8, 0.8, 1.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clicks", type=int, default=40)
    clicks = parser.parse_args().clicks

    from MemorizingSAM3DLib.scene.headless.application import headlessApplication
    from Testing.harness.application.slicer_application import slicerApplication
    from Testing.harness.application.views import openSliceViews

    headless = headlessApplication()
    with openSliceViews(headless) as views, slicerApplication(headless) as application:
        application.attachViews(views)
        start = time.perf_counter()
        module = application.openModule(MODULE_FILE, width=350)
        module.enter()
        print(f"panel opened in {1e3 * (time.perf_counter() - start):.0f} ms")
        scan = _addScan()
        measureClicks(module, views, scan, clicks)
        measureCancel(module, scan)
        module.close()


def measureClicks(module: Any, views: Any, scan: Any, clicks: int) -> None:
    """Prints latencies and stalls of clicks on the scan's large ball."""
    from Testing.harness.application.heartbeat import heartbeat
    from Testing.harness.application.waiting import waitFor
    from Testing.harness.pythonqt.driver import clickOn

    ui, controller = module.widget.ui, module.logic.controller

    def idle() -> bool:
        return not controller._touched and controller.status.busy is None

    with heartbeat() as beat:
        start = time.perf_counter()
        ui.scanSelector.setCurrentNode(scan)
        waitFor(idle, 120)
    print(f"scan chosen: model loaded and scan encoded after {time.perf_counter() - start:.1f} s; {beat.report()}")
    views.show(scan)
    clickOn(ui.insideButton)
    rng = np.random.default_rng(0)
    latencies, stalls, withoutWriting = [], [], []
    for number in range(clicks + 1):
        k, j, i = (np.array(SHAPE) / 2 + rng.normal(0, 12, 3)).tolist()
        views.red.scrollTo(_world(k, j, i))
        with written() as writing, heartbeat() as beat:
            start = time.perf_counter()
            views.red.clickAt(_world(k, j, i))
            waitFor(idle, 60)
            latency = time.perf_counter() - start
        if number == 0:
            print(f"first click: {1e3 * latency:.0f} ms")
            continue
        latencies.append(1e3 * latency)
        stalls.append(beat.longestStall)
        withoutWriting.append(beat.longestStall - 1e3 * writing[0])
    for name, values in (
        ("click to segment", latencies),
        ("longest stall of the main thread in a click", stalls),
        ("the same without writing the segment", withoutWriting),
    ):
        print(f"{name}: median {np.median(values):.0f}, p95 {np.percentile(values, 95):.0f}, most {max(values):.0f} ms")


def measureCancel(module: Any, scan: Any) -> None:
    """Prints how long Cancel takes while a crop is being encoded."""
    import slicer

    from Testing.harness.application.waiting import processEvents, waitFor
    from Testing.harness.pythonqt.driver import clickOn

    ui, controller = module.widget.ui, module.logic.controller
    pressed, ended = [], []
    for _ in range(10):
        ui.scanSelector.setCurrentNode(slicer.mrmlScene.AddNode(_copyOf(scan)))
        waitFor(lambda: controller.status.busy == "Encoding the scan", 60)
        start = time.perf_counter()
        clickOn(ui.cancelButton)
        pressed.append(1e3 * (time.perf_counter() - start))
        while controller._inference.worker.current is not None:
            processEvents()
        ended.append(1e3 * (time.perf_counter() - start))
    print(
        f"Cancel while encoding: button answers within {max(pressed):.0f} ms, work has ended within {max(ended):.0f} ms"
    )


@contextmanager
def written() -> Iterator[list[float]]:
    """Yields a list whose only number is how many seconds the writing of segments has taken."""
    from MemorizingSAM3DLib.scene.segments.writer import SegmentWriter

    seconds, original = [0.0], SegmentWriter.writeVoxels

    def timed(self: Any, *arguments: Any, **named: Any) -> Any:
        start = time.perf_counter()
        try:
            return original(self, *arguments, **named)
        finally:
            seconds[0] += time.perf_counter() - start

    SegmentWriter.writeVoxels = timed  # type: ignore[method-assign]
    try:
        yield seconds
    finally:
        SegmentWriter.writeVoxels = original  # type: ignore[method-assign]


def _addScan() -> Any:
    import slicer

    k, j, i = np.ogrid[tuple(slice(size) for size in SHAPE)]
    squared = ((k - 100) * 1.5) ** 2 + ((j - 256) * 0.8) ** 2 + ((i - 256) * 0.8) ** 2
    voxels = np.random.default_rng(1).normal(-80, 15, SHAPE).astype(np.int16)
    voxels[squared < 45**2] += 140
    return slicer.util.addVolumeFromArray(voxels, np.diag([*SPACING, 1.0]), "a large scan")


def _copyOf(scan: Any) -> Any:
    import slicer

    node = slicer.vtkMRMLScalarVolumeNode()
    node.Copy(scan)
    return node


def _world(k: float, j: float, i: float) -> tuple[float, float, float]:
    return i * SPACING[0], j * SPACING[1], k * SPACING[2]


if __name__ == "__main__":
    main()
