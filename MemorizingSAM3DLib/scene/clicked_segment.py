"""The main job in the scene: points in lists, an engine session, a segment."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from ..engine.geometry import Box
from ..engine.predictor import Predictor
from ..engine.session import InteractiveSession
from .prompts import clicksFromNodes, createPromptNode
from .segments import SegmentWriter, addSegment, createSegmentation
from .volumes import volumeFromNode


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
