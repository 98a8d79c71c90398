"""Which segmentation and which segment to go on with."""

from __future__ import annotations

from typing import Any

from MemorizingSAM3DLib.scene.segment_record import SegmentRecord


def scanOf(segmentationNode: Any) -> Any:
    """The volume node on whose grid a segmentation was made, or None."""
    return segmentationNode.GetNodeReference(segmentationNode.GetReferenceImageGeometryReferenceRole())


def segmentationOf(scene: Any, volumeNode: Any) -> Any:
    """The segmentation that was made on a scan last, or None."""
    className = "vtkMRMLSegmentationNode"
    nodes = [scene.GetNthNodeByClass(number, className) for number in range(scene.GetNumberOfNodesByClass(className))]
    mine = [node for node in nodes if volumeNode is not None and scanOf(node) is volumeNode]
    return mine[-1] if mine else None


def lastClickedSegment(segmentationNode: Any) -> str:
    """The ID of the last segment of a segmentation that was made by clicks; "" when none was."""
    segmentation = segmentationNode.GetSegmentation()
    clicked = [
        segmentID
        for segmentID in segmentation.GetSegmentIDs()
        if SegmentRecord.readFrom(segmentation.GetSegment(segmentID)) is not None
    ]
    return clicked[-1] if clicked else ""
