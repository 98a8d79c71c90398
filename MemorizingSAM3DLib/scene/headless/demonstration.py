"""The main job from end to end, headless, on real nodes: scan, points one after another, segment, files, picture.

The main job in the scene: points in lists, an engine session, a segment.

The demonstration's scan: MNI152 T1 with its brain mask, out of nilearn's wheel; no account, no download.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from MemorizingSAM3DLib.engine.errors import EngineError
from MemorizingSAM3DLib.engine.geometry import Box, Volume
from MemorizingSAM3DLib.engine.prompts import Click
from MemorizingSAM3DLib.engine.session.predictor import Predictor
from MemorizingSAM3DLib.engine.session.session import InteractiveSession
from MemorizingSAM3DLib.learning.evaluation.metrics import dice
from MemorizingSAM3DLib.learning.simulated_user import central_click

from ..points.markups import clicksFromNodes, createPromptNode
from ..saving import checkOutput, saveScene, saveSegmentation
from ..scan import volumeFromNode, volumeNodeFromFile
from ..segments.segmentation import addSegment, createSegmentation
from ..segments.writer import SegmentWriter
from .application import bootScene
from .rendering import renderViews


class ClickedSegment:
    """One segment that follows two lists of points: whatever is done to the points, `update` brings the segment along.

    Args:
        volumeNode: the scan.
        predictor: the network that segments.
        segmentationNode: where the segment goes; None makes a new segmentation.
        segmentID: the segment to write; None adds one.
        name: of what is made.

    Raises:
        VolumeError: the scan cannot be segmented.
    """

    def __init__(self, volumeNode: Any, predictor: Predictor, segmentationNode: Any = None,
                 segmentID: str | None = None, name: str = "Segment") -> None:  # fmt: skip
        self.session = InteractiveSession(predictor)
        self.session.set_image(volumeFromNode(volumeNode))
        self.volumeNode = volumeNode
        self.segmentationNode = segmentationNode or createSegmentation(volumeNode, f"{name} segmentation")
        self.segmentID = segmentID or addSegment(self.segmentationNode, name)
        self.positiveNode = createPromptNode(True, f"{name} inside")
        self.negativeNode = createPromptNode(False, f"{name} outside")
        self._writer = SegmentWriter(self.segmentationNode, self.segmentID, volumeNode)
        self.milliseconds = 0.0

    @property
    def pointLists(self) -> tuple[Any, Any]:
        """The lists of positive and of negative points."""
        return self.positiveNode, self.negativeNode

    def place(self, ras: Sequence[float], positive: bool = True) -> Box:
        """Adds a control point where the user clicks and brings the segment along.

        Args:
            ras: world RAS, mm.

        Returns:
            The scan voxels that changed. A point that cannot be used is taken away again before the error is raised.
        """
        node = self.positiveNode if positive else self.negativeNode
        index = node.AddControlPointWorld(*(float(value) for value in ras))
        try:
            return self.update()
        except Exception:
            node.RemoveNthControlPoint(index)
            raise

    def update(self) -> Box:
        """Computes and writes the segment of the points as they are now; `milliseconds` says how long it took."""
        start = time.perf_counter()
        box = self.session.set_clicks(clicksFromNodes(*self.pointLists))
        self._writer.write(self.session.mask, box)
        self.milliseconds = (time.perf_counter() - start) * 1000
        return box


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


class DemoError(EngineError):
    """The demonstration lacks something."""


def writeDemoScan(folder: Path) -> tuple[Path, np.ndarray]:
    """Writes the template as NIfTI and gives its brain mask.

    The MNI ICBM152 2009a symmetric template (Fonov 2011) at 1 mm, as nilearn ships it, skull-stripped.

    Args:
        folder: an existing folder; the file is ``mni152_t1.nii.gz``.

    Returns:
        the file; the mask, (K, J, I) bool on its grid.

    Raises:
        DemoError: nilearn is not installed.
    """
    try:
        from nilearn.datasets import load_mni152_brain_mask, load_mni152_template
    except ImportError as error:
        raise DemoError("The demonstration's scan is not here.", "pip install nilearn") from error
    path = folder / "mni152_t1.nii.gz"
    template = load_mni152_template(resolution=1)
    scaled = template.get_fdata() * 1000  # nilearn scales to 0..1; integers make a scan of it
    type(template)(scaled.astype(np.int16), template.affine).to_filename(path)
    mask = load_mni152_brain_mask(resolution=1)
    return path, np.ascontiguousarray(np.asarray(mask.dataobj).astype(bool).transpose(2, 1, 0))
