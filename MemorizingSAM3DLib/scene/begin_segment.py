"""A segment that begins with a point which was not placed by hand."""

from __future__ import annotations

from typing import Any, Protocol

from MemorizingSAM3DLib.scene.points.point_lists import addPoint
from MemorizingSAM3DLib.scene.scan import Ras, ScanFrame
from MemorizingSAM3DLib.scene.segments.segmentation import packedMaskFromSegment


class SegmentOwner(Protocol):
    """What of the click controller is needed here."""

    @property
    def scanNode(self) -> Any: ...

    @property
    def segmentationNode(self) -> Any: ...

    @property
    def selectedSegmentID(self) -> str: ...

    @property
    def positiveNode(self) -> Any: ...

    @property
    def points(self) -> Any: ...

    def newSegment(self, name: str | None = None) -> str: ...

    def isLocked(self, segmentID: str) -> bool: ...


def beginSegment(controller: SegmentOwner, name: str, ras: Ras) -> bool:
    """Places a point inside, as a click in a view does, in a new segment of a name.

    The selected segment takes it when it has that name, and nothing in it yet.

    Args:
        ras: in the scan's own RAS, mm.

    Returns:
        False: there could be no segment; the controller has said why.

    Raises:
        EngineError: the selected segment cannot be read.
    """
    if not _waitsFor(controller, name) and not controller.newSegment(name):
        return False
    node = controller.positiveNode
    fixed = node.GetFixedNumberOfControlPoints()  # a list whose number of points the user has locked gives way
    node.SetFixedNumberOfControlPoints(False)
    addPoint(node, ScanFrame(controller.scanNode).toWorld(ras))
    node.SetFixedNumberOfControlPoints(fixed)
    return True


def _waitsFor(controller: SegmentOwner, name: str) -> bool:
    node, segmentID = controller.segmentationNode, controller.selectedSegmentID
    if node is None or not segmentID or controller.points:
        return False
    named = str(node.GetSegmentation().GetSegment(segmentID).GetName() or "")
    if named.strip().casefold() != name.strip().casefold() or controller.isLocked(segmentID):
        return False
    return packedMaskFromSegment(node, segmentID, controller.scanNode).is_empty
