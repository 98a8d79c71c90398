"""A segmentation of another scan or grid, brought onto a scan's grid as a copy; the old one stays as it is."""

from __future__ import annotations

from typing import Any

from MemorizingSAM3DLib.scene.edits.segment_record import RECORD_TAG
from MemorizingSAM3DLib.scene.segments.segmentation import createSegmentation, maskFromSegment


def resampledCopy(segmentationNode: Any, volumeNode: Any) -> Any:
    """A new segmentation on the scan's grid with the same segments, resampled by nearest neighbour.

    Names, colours and terminology are kept; what lies outside of the scan is cut off. The points of segments are not
    taken along: they led to other voxels.

    Returns:
        the new vtkMRMLSegmentationNode.

    Raises:
        VolumeError: not a scan.
    """
    import slicer

    copy = createSegmentation(volumeNode, f"{segmentationNode.GetName()} on {volumeNode.GetName()}")
    target, source = copy.GetSegmentation(), segmentationNode.GetSegmentation()
    for segmentID in source.GetSegmentIDs():
        voxels = maskFromSegment(segmentationNode, segmentID, volumeNode)
        segment = slicer.vtkSegment()
        segment.DeepCopyMetadata(source.GetSegment(segmentID))
        segment.RemoveTag(RECORD_TAG)
        target.AddSegment(segment, segmentID)
        slicer.util.updateSegmentBinaryLabelmapFromArray(voxels.astype("uint8"), copy, segmentID, volumeNode)
    return copy


def resampleToScan(controller: Any) -> None:
    """Goes on in a copy of the chosen segmentation on the grid of the chosen scan, with the same segment.

    Args:
        controller: a `ClickController` with both.

    Raises:
        VolumeError: not a scan.
    """
    segmentID = controller.selectedSegmentID
    copy = resampledCopy(controller.segmentationNode, controller.scanNode)
    controller.setSegmentation(copy)
    if copy.GetSegmentation().GetSegment(segmentID) is not None:
        controller.selectSegment(segmentID)
