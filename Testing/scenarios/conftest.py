"""The whole way: mouse, control point, engine, segment, picture; the panel with its real controller and real views."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from MemorizingSAM3DLib.scene.compute.model_choice import ModelChoice
from MemorizingSAM3DLib.scene.scan import ScanFrame
from MemorizingSAM3DLib.scene.segments.segmentation import maskFromSegment
from Testing.harness.application.fixtures import installed_application, slice_views, slicer_application
from Testing.harness.application.waiting import waitFor
from Testing.harness.pythonqt.driver import clickOn
from Testing.harness.pythonqt.fixtures import a_qt_application, no_error_in_slots
from Testing.scene.controlled import addBlocks
from Testing.scene.quick_model import QuickModel

__all__ = ["a_qt_application", "installed_application", "no_error_in_slots", "slice_views", "slicer_application"]

MODULE_FILE = Path(__file__).resolve().parents[2] / "MemorizingSAM3D" / "MemorizingSAM3D.py"


class Workplace:
    """A user before the panel and the views."""

    def __init__(self, application: Any, views: Any) -> None:
        self.application, self.views = application, views
        self.open()

    def open(self) -> None:
        self.module = self.application.openModule(MODULE_FILE, width=350, height=1000)
        self.module.enter()

    @property
    def ui(self) -> Any:
        return self.module.widget.ui

    @property
    def controller(self) -> Any:
        return self.module.logic.controller

    def choose(self, scan: Any) -> None:
        self.ui.scanSelector.setCurrentNode(scan)
        self.views.show(scan)
        self.wait()

    def wait(self) -> None:
        """Until the user sees that nothing is being computed any more."""
        waitFor(lambda: not self.controller._touched and self.controller.status.busy is None, 60, "the segment")

    def press(self, name: str) -> None:
        clickOn(getattr(self.ui, name))
        self.wait()

    def world(self, kji: tuple[float, float, float]) -> tuple[float, float, float]:
        import slicer
        from vtkmodules.vtkCommonMath import vtkMatrix4x4

        matrix = vtkMatrix4x4()
        self.controller.scanNode.GetIJKToRASMatrix(matrix)
        k, j, i = kji
        r, a, s = (slicer.util.arrayFromVTKMatrix(matrix) @ (i, j, k, 1.0))[:3].tolist()
        return ScanFrame(self.controller.scanNode).toWorld((r, a, s))

    def click(self, kji: tuple[float, float, float], view: str = "Red", wait: bool = True) -> None:
        self.views[view].clickAt(self.world(kji))
        if wait:
            self.wait()

    def mask(self, segmentID: str = "") -> np.ndarray:
        chosen = segmentID or self.controller.selectedSegmentID
        return maskFromSegment(self.controller.segmentationNode, chosen, self.controller.scanNode)

    def segmentIDs(self) -> list[str]:
        return list(self.controller.segmentationNode.GetSegmentation().GetSegmentIDs())

    @property
    def errorText(self) -> str:
        return str(self.ui.errorLabel.text) if self.ui.errorFrame.isVisible() else ""


@pytest.fixture
def gate() -> threading.Event:
    """As long as it is not set, the model does not answer. A test that does not care finds it set."""
    event = threading.Event()
    event.set()
    return event


@pytest.fixture
def a_choice(gate: threading.Event) -> ModelChoice:
    """The model that the panel works with; a test module may override it."""
    return QuickModel(gate=gate)


@pytest.fixture
def a_workplace(
    slicer_application: Any, slice_views: Any, a_choice: ModelChoice, gate: threading.Event,
    no_error_in_slots: None, monkeypatch: pytest.MonkeyPatch,
) -> Any:  # fmt: skip
    """The module, open beside three views, in an empty scene."""
    for place in ("panel.panel", "settings"):  # the panel takes its name from the settings when it is imported first
        monkeypatch.setattr(f"MemorizingSAM3DLib.ui.{place}.chosenModel", lambda: a_choice)
    yield Workplace(slicer_application, slice_views)
    gate.set()


@pytest.fixture
def a_scan(a_scene: Any) -> Any:
    """Two bright blocks in air; voxels of 2 x 1.5 x 1 mm, as from a scanner."""
    return addBlocks(np.diag([-2.0, -1.5, 1.0, 1.0]))


@pytest.fixture
def at_work(a_workplace: Workplace, a_scan: Any) -> Workplace:
    """The scan is chosen, and points inside are being placed."""
    a_workplace.choose(a_scan)
    a_workplace.press("insideButton")
    return a_workplace
