"""Masks on the scan's grid to segments, through the Segment Editor's logic, and back.

What Slicer promises for every editing tool holds for us because `vtkSlicerSegmentEditorLogic.ModifySegmentByLabelmap`
does the writing: the editable area, the editable intensity range and the overwrite mode that the user has set in the
Segment Editor are respected, and segments that share a labelmap with ours are separated from it when they overlap.

Names of new segments.

Locked segments: neither edited nor overwritten by us.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from MemorizingSAM3DLib.engine.errors import OutputError, VolumeError
from MemorizingSAM3DLib.engine.geometry import Box
from MemorizingSAM3DLib.engine.geometry.packed_mask import NOWHERE, PackedMask
from MemorizingSAM3DLib.scene.scan import checkScan
from MemorizingSAM3DLib.scene.segments.oriented_images import (
    boxOfExtent,
    imageOnGrid,
    matchesGrid,
    resampledTo,
    voxelsOf,
)

LOCK_TAG = "MemorizingSAM3D.Locked"


def isLocked(segment: Any) -> bool:
    """Whether a vtkSegment is locked."""
    return bool(segment is not None and segment.HasTag(LOCK_TAG))


def setLocked(segment: Any, locked: bool) -> None:
    """Locks or unlocks a vtkSegment. The lock is saved with the segmentation."""
    if locked:
        segment.SetTag(LOCK_TAG, "1")
    else:
        segment.RemoveTag(LOCK_TAG)


def lockedSegments(segmentation: Any) -> set[str]:
    """The IDs of the locked segments of a vtkSegmentation."""
    return {segmentID for segmentID in segmentation.GetSegmentIDs() if isLocked(segmentation.GetSegment(segmentID))}


# Okabe and Ito's colours but for the two that mark clicks (scene/points/markups.py).
_PALETTE = (
    (240 / 255, 228 / 255, 66 / 255),
    (86 / 255, 180 / 255, 233 / 255),
    (204 / 255, 121 / 255, 167 / 255),
    (0.0, 114 / 255, 178 / 255),
    (230 / 255, 159 / 255, 0.0),
)
_NOTHING = np.zeros((0, 0, 0), dtype=bool)


def createSegmentation(volumeNode: Any, name: str) -> Any:
    """Adds a segmentation in the scan's geometry to the scene, below the scan's parent transform if it has one.

    Returns:
        vtkMRMLSegmentationNode, binary labelmap as source representation.

    Raises:
        VolumeError: the volume node is not a scan that can be segmented.
    """
    import slicer

    checkScan(volumeNode)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.CreateDefaultDisplayNodes()
    # The same parent before the geometry is taken: then the labelmap's lattice is the scan's own, whatever the
    # transform, and both move together.
    node.SetAndObserveTransformNodeID(volumeNode.GetTransformNodeID())
    node.SetReferenceImageGeometryParameterFromVolumeNode(volumeNode)
    return node


def addSegment(segmentationNode: Any, name: str, color: tuple[float, float, float] | None = None) -> str:
    """Adds an empty segment.

    Args:
        color: red, green, blue in 0..1; None for the next of a palette that can be told apart with any colour vision.

    Returns:
        the segment's ID.

    Raises:
        OutputError: the segmentation is no longer in the scene.
    """
    _checkSegmentation(segmentationNode)
    segmentation = segmentationNode.GetSegmentation()
    color = color or _PALETTE[segmentation.GetNumberOfSegments() % len(_PALETTE)]
    segmentID = segmentation.AddEmptySegment("", name, list(color))
    if not segmentID:
        raise OutputError("Slicer could not add a segment.", "Save your work and restart Slicer.")
    _placeOnGrid(segmentationNode, segmentID)
    return str(segmentID)


def maskFromSegment(segmentationNode: Any, segmentID: str, volumeNode: Any) -> np.ndarray:
    """A segment's voxels on the scan's grid.

    A segment in another geometry, below another transform (non-linear ones too), or that only exists as closed surface
    is resampled to the scan's grid, nearest neighbour; an aligned one is copied.

    Returns:
        bool (K, J, I)

    Raises:
        OutputError: the segmentation or the segment no longer exists.
        VolumeError: not a scan; the scan itself below a non-linear transform.
    """
    voxels, box = _voxelsOnScan(segmentationNode, segmentID, volumeNode)
    mask = np.zeros(volumeNode.GetImageData().GetDimensions()[::-1], dtype=bool)
    mask[box.slices] = voxels
    return mask


def packedMaskFromSegment(segmentationNode: Any, segmentID: str, volumeNode: Any) -> PackedMask:
    """As `maskFromSegment`, packed: an aligned segment costs its own extent, not the scan's."""
    return PackedMask.of(*_voxelsOnScan(segmentationNode, segmentID, volumeNode))


def _voxelsOnScan(segmentationNode: Any, segmentID: str, volumeNode: Any) -> tuple[np.ndarray, Box]:
    import slicer

    checkScan(volumeNode)
    segment = segmentOf(segmentationNode, segmentID)
    whole = Box.whole(volumeNode.GetImageData().GetDimensions()[::-1])
    labelmap = segmentationNode.GetBinaryLabelmapInternalRepresentation(segmentID)
    if labelmap is not None and boxOfExtent(labelmap.GetExtent()).is_empty:
        return _NOTHING, NOWHERE  # at once: what lies on no lattice yet would be resampled to the whole scan
    if labelmap is not None and _isAligned(labelmap, segmentationNode, volumeNode):
        box = boxOfExtent(labelmap.GetExtent()).intersection(whole)
        return (_NOTHING, NOWHERE) if box.is_empty else (voxelsOf(labelmap, box) == segment.GetLabelValue(), box)
    image = slicer.vtkOrientedImageData()
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    if not logic.GetSegmentBinaryLabelmapRepresentation(segmentationNode, segmentID, image, True):
        return _NOTHING, NOWHERE  # a segment without any representation: nothing was drawn yet
    return voxelsOf(resampledTo(image, imageOnGrid(volumeNode)), whole) > 0, whole


def _placeOnGrid(segmentationNode: Any, segmentID: str) -> None:
    """Gives a new segment's empty labelmap the segmentation's lattice.

    Slicer leaves it on one of 1 mm along the axes. When it merges labelmaps, which it does each time it saves them, it
    may resample all of them to that of the first, even if that is empty.
    """
    import slicer
    from vtkmodules.vtkCommonMath import vtkMatrix4x4

    converter, matrix, lattice = slicer.vtkSegmentationConverter, vtkMatrix4x4(), slicer.vtkOrientedImageData()
    parameter = converter.GetReferenceImageGeometryParameterName()
    geometry = segmentationNode.GetSegmentation().GetConversionParameter(parameter)
    labelmap = segmentationNode.GetBinaryLabelmapInternalRepresentation(segmentID)
    if labelmap is None or not boxOfExtent(labelmap.GetExtent()).is_empty or not geometry:
        return
    if converter.DeserializeImageGeometry(geometry, lattice, False):
        lattice.GetImageToWorldMatrix(matrix)
        labelmap.SetGeometryFromImageToWorldMatrix(matrix)


def _checkSegmentation(segmentationNode: Any) -> None:
    if segmentationNode is None or segmentationNode.GetScene() is None:
        raise OutputError("The segmentation is no longer in the scene.", "Choose or create a segmentation.")


def segmentOf(segmentationNode: Any, segmentID: str) -> Any:
    _checkSegmentation(segmentationNode)
    segment = segmentationNode.GetSegmentation().GetSegment(segmentID)
    if segment is None:
        raise OutputError(
            f"The segment is no longer in the segmentation '{segmentationNode.GetName()}'.",
            "Choose or create a segment.",
        )
    return segment


def _isAligned(labelmap: Any, segmentationNode: Any, volumeNode: Any) -> bool:
    try:
        grid = imageOnGrid(volumeNode, segmentationNode)
    except VolumeError:  # a non-linear transform between the two: resampled
        return False
    return matchesGrid(labelmap, grid)


def nextName(segmentationNode: Any) -> str:
    """The name of the next segment: "Lesion 4" after "Lesion 3", "Segment_2" after "Segment_1"; never one in use."""
    segmentation = segmentationNode.GetSegmentation()
    names = [segmentation.GetNthSegment(n).GetName() or "Segment" for n in range(segmentation.GetNumberOfSegments())]
    last = re.fullmatch(r"(.*?)(\d{1,18})", names[-1], re.DOTALL) if names else None
    stem, number = (last.group(1), int(last.group(2))) if last else (f"{names[-1]} " if names else "Segment_", 0)
    number = max(number, 1 if names and not last else 0) + 1
    while f"{stem}{number}" in names:
        number += 1
    return f"{stem}{number}"
