"""What the panel has to know of a segment: its name, and whether anything would be lost with it."""

from __future__ import annotations

from typing import Any


def segmentName(segmentationNode: Any, segmentID: str) -> str:
    """The segment's name; empty when there is no such segment."""
    segment = findSegment(segmentationNode, segmentID)
    return "" if segment is None else str(segment.GetName() or "")


def findSegment(segmentationNode: Any, segmentID: str) -> Any:
    """vtkSegment, or None."""
    if segmentationNode is None or segmentationNode.GetSegmentation() is None or not segmentID:
        return None
    return segmentationNode.GetSegmentation().GetSegment(segmentID)


def hasContent(segmentationNode: Any, segmentID: str) -> bool:
    """Whether the segment has any voxel or surface."""
    import slicer

    segment = findSegment(segmentationNode, segmentID)
    if segment is None:
        return False
    labelmap = segmentationNode.GetBinaryLabelmapInternalRepresentation(segmentID)
    if labelmap is not None:
        # Not the segment's bounds: those are of all segments that share its labelmap.
        if labelmap.GetNumberOfPoints() == 0 or labelmap.GetPointData().GetScalars() is None:
            return False
        voxels = slicer.util.arrayFromSegmentInternalBinaryLabelmap(segmentationNode, segmentID)
        return bool((voxels == segment.GetLabelValue()).any())
    bounds = [1.0, -1.0] * 3
    segment.GetBounds(bounds)
    return bounds[0] <= bounds[1]
