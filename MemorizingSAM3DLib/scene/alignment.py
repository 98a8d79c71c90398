"""Bringing a segmentation onto the scan's grid, where that loses nothing."""

from __future__ import annotations

from typing import Any

from MemorizingSAM3DLib.engine.errors import VolumeError
from MemorizingSAM3DLib.scene.grids import boxOfExtent, imageOnGrid, matchesGrid, reorderedTo
from MemorizingSAM3DLib.scene.neighbours import LABELMAP, layersOf


def alignSegmentation(segmentationNode: Any, volumeNode: Any) -> None:
    """Makes all labelmaps and the reference geometry of a segmentation lie on the scan's grid.

    An empty segmentation takes the scan's geometry. Labelmaps that hold the same voxels with their axes in another
    order or direction, as files of other programs do and as Slicer's own reader makes of left-handed scans, are
    reordered.

    Raises:
        VolumeError: what is drawn is on another grid, so that it would have to be resampled; it is a surface; a
            transform
            between the two is not linear.
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
        raise VolumeError(
            f"The segmentation '{segmentationNode.GetName()}' was made on another grid than that of the scan "
            f"'{volumeNode.GetName()}'.",
            "Create a new segmentation for this scan; the Segmentations module can copy segments into it.",
        )
    for labelmap, values, box in reordered:
        labelmap.DeepCopy(imageOnGrid(volumeNode, segmentationNode, box, values))

    converter = slicer.vtkSegmentationConverter
    parameter = converter.GetReferenceImageGeometryParameterName()
    reference = slicer.vtkOrientedImageData()
    geometry = segmentation.GetConversionParameter(parameter)
    if geometry and converter.DeserializeImageGeometry(geometry, reference, False):
        if matchesGrid(reference, grid) and reference.GetExtent() == grid.GetExtent():
            return
    segmentationNode.SetReferenceImageGeometryParameterFromVolumeNode(volumeNode)
    segmentation.SetConversionParameter(parameter, converter.SerializeImageGeometry(grid))
