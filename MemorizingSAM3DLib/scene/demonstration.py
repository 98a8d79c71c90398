"""The main job from end to end, headless, on real nodes: scan, points one after another, segment, files, picture."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..engine.geometry import Volume
from ..engine.predictor import Predictor
from ..engine.prompts import Click
from ..learning.clicks import central_click
from ..learning.metrics import dice
from .clicked_segment import ClickedSegment
from .headless import bootScene
from .saving import checkOutput, saveScene, saveSegmentation
from .views import renderViews
from .volumes import volumeNodeFromFile

OUTPUT_FILES = ("segmentation.seg.nrrd", "scene.mrb", "views.png", "report.json")


@dataclass(frozen=True)
class ClickReport:
    """One line of the report: the click, what it cost and what it gave. dice is None where there is no truth."""

    click: int
    ras: tuple[float, float, float]
    positive: bool
    milliseconds: float
    millilitres: float
    dice: float | None


class Demonstration:
    """Runs the main job on a scan file and writes its results to a folder.

    Args:
        scan: the file, loaded by Slicer's own reader as a volume node.
        folder: gets `OUTPUT_FILES`; must exist and be writable, which is checked first.
        predictor: the network.
        modelName: for the report.

    Raises:
        VolumeError: the scan cannot be segmented. OutputError: the folder cannot be written to.
    """

    def __init__(self, scan: Path, folder: Path, predictor: Predictor, modelName: str) -> None:
        for name in OUTPUT_FILES:
            checkOutput(folder / name)
        bootScene()
        self.folder = folder
        self.modelName = modelName
        self.volumeNode = volumeNodeFromFile(scan)
        self.segment = ClickedSegment(self.volumeNode, predictor, name="Structure")
        self.clicks: list[ClickReport] = []

    @property
    def volume(self) -> Volume:
        """The scan as the engine sees it."""
        return self.segment.session.volume

    def place(self, ras: Sequence[float], positive: bool, truth: np.ndarray | None = None) -> ClickReport:
        """Places one point, as a user would, and measures.

        Args:
            truth: (K, J, I) bool on the volume node's grid, for the Dice; or None.
        """
        self.segment.place(ras, positive)
        mask = self.segment.session.mask
        r, a, s = (float(value) for value in ras)
        report = ClickReport(
            click=len(self.clicks) + 1,
            ras=(round(r, 1), round(a, 1), round(s, 1)),
            positive=positive,
            milliseconds=round(self.segment.milliseconds, 1),
            millilitres=round(float(mask.sum()) * self.volume.voxel_mm3 / 1000, 2),
            dice=None if truth is None else round(dice(mask, truth), 4),
        )
        self.clicks.append(report)
        return report

    def correct(self, truth: np.ndarray, number: int, report: Callable[[ClickReport], None]) -> None:
        """Places points where a user would: first inside, then in the middle of the largest error."""
        for _ in range(number):
            click = nextCorrection(self.segment.session.mask, truth, self.volume)
            if click is None:
                return
            report(self.place(click.ras, click.positive, truth))

    def write(self) -> list[Path]:
        """Writes the segmentation, the scene, the picture and the report."""
        lists = self.segment.pointLists
        center = self.clicks[0].ras if self.clicks else None
        saveSegmentation(self.segment.segmentationNode, self.folder / "segmentation.seg.nrrd")
        saveScene(self.folder / "scene.mrb")
        isEmpty = not self.segment.session.mask.any()
        renderViews(
            self.volumeNode,
            self.segment.segmentationNode,
            lists,
            self.folder / "views.png",
            center if isEmpty else None,
        )
        report = self.folder / "report.json"
        report.write_text(json.dumps(self.report(), indent=1), encoding="utf-8")
        return [self.folder / name for name in OUTPUT_FILES]

    def report(self) -> dict[str, Any]:
        """What is written to report.json."""
        predictor = self.segment.session.predictor
        return {
            "scan": self.volumeNode.GetName(),
            "shape": list(self.volume.shape),
            "spacing_mm": [round(value, 4) for value in self.volume.spacing],
            "model": self.modelName,
            "device": predictor.runtime.description,
            "clicks": [asdict(click) for click in self.clicks],
        }


def nextCorrection(mask: np.ndarray, truth: np.ndarray, volume: Volume) -> Click | None:
    """The point farthest inside the larger error region, found on every second voxel; None when nothing is wrong."""
    k, j, i = volume.spacing[::-1]
    step = 2 if min(mask.shape) >= 64 else 1
    every = (slice(None, None, step),) * 3
    click = central_click(mask[every], truth[every], (k, j, i))
    if click is None:
        return None
    r, a, s = volume.ijk_to_ras_points([step * index for index in reversed(click.voxel)]).tolist()
    return Click((r, a, s), click.positive)
