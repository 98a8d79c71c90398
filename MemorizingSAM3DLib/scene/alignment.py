"""Bringing a segmentation onto the scan's grid, where that loses nothing."""

from __future__ import annotations

from typing import Any

from MemorizingSAM3DLib.engine.errors import EngineError, VolumeError
from MemorizingSAM3DLib.scene.grids import boxOfExtent, imageOnGrid, matchesGrid, reorderedTo
from MemorizingSAM3DLib.scene.neighbours import LABELMAP, layersOf

#: A geometry whose voxels are smaller than this part of the scan's, along all axes, was chosen by somebody.
_FINER = 0.9


class OtherGridError(VolumeError):
    """What is drawn lies on another grid: a resampled copy can be segmented on (`resampledCopy`)."""


def alignSegmentation(segmentationNode: Any, volumeNode: Any) -> str:
    """Makes all labelmaps and the reference geometry of a segmentation lie on the scan's grid.

    An empty segmentation takes the scan's geometry. Labelmaps that hold the same voxels with their axes in another
    order or direction, as files of other programs do and as Slicer's own reader makes of left-handed scans, are
    reordered; one that is off by rounding, up to a tenth of a voxel, is put onto the scan's grid.

    Returns:
        what the user should know: a finer geometry that somebody had chosen is gone. "" else.

    Raises:
        OtherGridError: what is drawn is on another grid, so that it would have to be resampled; or it is a surface.
        VolumeError: a transform between the two is not linear.
    """
    import slicer

    grid = imageOnGrid(volumeNode, segmentationNode)
    segmentation = segmentationNode.GetSegmentation()
    isDrawable = segmentation.GetSourceRepresentationName() == LABELMAP or segmentation.GetNumberOfSegments() == 0
    reordered = []
    for labelmap, _ in layersOf(segmentation):
        if boxOfExtent(labelmap.GetExtent()).is_empty or matchesGrid(labelmap, grid):
            continue
        found = reorderedTo(labelmap, grid)
        isDrawable = isDrawable and found is not None
        if found is not None:
            reordered.append((labelmap, *found))
    if not isDrawable:
        raise OtherGridError(
            f"The segmentation '{segmentationNode.GetName()}' was made on another grid than that of the scan "
            f"'{volumeNode.GetName()}'.",
            "Press Resample to this scan, which keeps it and makes a copy on the scan's grid, or create a new "
            "segmentation for this scan.",
        )
    for labelmap, values, box in reordered:
        labelmap.DeepCopy(imageOnGrid(volumeNode, segmentationNode, box, values))

    converter = slicer.vtkSegmentationConverter
    parameter = converter.GetReferenceImageGeometryParameterName()
    reference = slicer.vtkOrientedImageData()
    geometry = segmentation.GetConversionParameter(parameter)
    note = ""
    if geometry and converter.DeserializeImageGeometry(geometry, reference, False):
        if matchesGrid(reference, grid) and reference.GetExtent() == grid.GetExtent():
            return ""
        if max(a / b for a, b in zip(reference.GetSpacing(), grid.GetSpacing(), strict=True)) < _FINER:
            note = (
                f"The geometry of '{segmentationNode.GetName()}' was finer than that of the scan (oversampled). It is "
                "the scan's now, since segments are made voxel by voxel of the scan. To smooth them, oversample the "
                "finished segmentation in the Segment Editor."
            )
    segmentationNode.SetReferenceImageGeometryParameterFromVolumeNode(volumeNode)
    segmentation.SetConversionParameter(parameter, converter.SerializeImageGeometry(grid))
    return note


def isOnOtherGrid(segmentationNode: Any, volumeNode: Any) -> bool:
    """Whether a segmentation would have to be resampled to be segmented on this scan. One that would not is aligned."""
    if segmentationNode is None or volumeNode is None:
        return False
    try:
        alignSegmentation(segmentationNode, volumeNode)
    except OtherGridError:
        return True
    except EngineError:
        return False
    return False
