"""The scan's voxel lattice as vtkOrientedImageData, and boxes of it as numpy arrays.

A labelmap of a segmentation covers some extent of the scan's lattice, often just the segment. Box and extent mean the
same voxels: Box(k0, k1, j0, j1, i0, i1) is half open in array order, an extent is closed in (i, j, k) order.

Bringing a segmentation onto the scan's grid, where that loses nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from MemorizingSAM3DLib.engine.errors import EngineError, VolumeError
from MemorizingSAM3DLib.engine.geometry import Box
from MemorizingSAM3DLib.scene.scan import ijkToWorld, localToWorld


def extentOfBox(box: Box) -> tuple[int, int, int, int, int, int]:
    """(i0, i1, j0, j1, k0, k1), both ends included."""
    return (box.i0, box.i1 - 1, box.j0, box.j1 - 1, box.k0, box.k1 - 1)


def boxOfExtent(extent: Sequence[int]) -> Box:
    """The inverse of `extentOfBox`; any empty extent gives an empty box."""
    i0, i1, j0, j1, k0, k1 = extent
    return Box(k0, k1 + 1, j0, j1 + 1, i0, i1 + 1)


def tightBox(voxels: np.ndarray, box: Box) -> Box:
    """The smallest box, in the scan's indices, around the voxels set in a bool array of the box's shape."""
    within = Box.of_mask(voxels)
    return Box.between(np.add(within.low, box.low), np.add(within.high, box.low))


def imageOnGrid(
    volumeNode: Any, frameNode: Any = None, box: Box | None = None, voxels: np.ndarray | None = None
) -> Any:
    """A box of the scan's lattice as vtkOrientedImageData.

    Args:
        frameNode: the node in whose own RAS, above which its parent transforms stand, the image is; None for world RAS.
        box: its extent; None for the whole scan.
        voxels: bool or integers, of the box's shape; None for the geometry without voxels.

    Raises:
        VolumeError: the transforms between the two are not linear, or shear the lattice.
    """
    import slicer
    from vtkmodules.util.numpy_support import numpy_to_vtk
    from vtkmodules.vtkCommonMath import vtkMatrix4x4

    if frameNode is not None and frameNode.GetParentTransformNode() == volumeNode.GetParentTransformNode():
        matrix = vtkMatrix4x4()  # a transform above both cancels out, whatever its kind
        volumeNode.GetIJKToRASMatrix(matrix)
    else:
        affine = ijkToWorld(volumeNode)
        if frameNode is not None:
            affine = np.linalg.inv(localToWorld(frameNode)) @ affine
        directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
        if np.abs(directions.T @ directions - np.eye(3)).max() > 1e-3:
            raise VolumeError(
                f"The voxels of '{volumeNode.GetName()}' are sheared by its transform.",
                "Harden the transform and resample the scan onto a regular grid (Resample Scalar/Vector/DWI Volume).",
            )
        matrix = slicer.util.vtkMatrixFromArray(affine)
    image = slicer.vtkOrientedImageData()
    image.SetExtent(extentOfBox(box or Box.whole(volumeNode.GetImageData().GetDimensions()[::-1])))
    image.SetGeometryFromImageToWorldMatrix(matrix)
    if voxels is not None:
        values = voxels.astype(np.uint8) if voxels.dtype == bool else np.ascontiguousarray(voxels)
        scalars = numpy_to_vtk(values.reshape(-1), deep=True)
        scalars.SetName("ImageScalars")
        image.GetPointData().SetScalars(scalars)
    return image


def matchesGrid(image: Any, grid: Any) -> bool:
    """Whether two oriented images lie on the same lattice, to a hundredth of a voxel over the whole scan."""
    difference = _indexToIndex(image, grid) - np.eye(4)
    return bool((np.abs(difference[:3]) @ _farthestIndex(grid)).max() < _TOLERANCE)


def reorderedTo(image: Any, grid: Any) -> tuple[np.ndarray, Box] | None:
    """The voxels of an image whose lattice is the grid's, but for rounding and the order and direction of its axes.

    Returns:
        the values (K, J, I) and the box of the grid's indices that they fill, which may reach beyond the scan; None
        when the lattices differ by more than the order of their axes.
    """
    from vtkmodules.util.numpy_support import vtk_to_numpy

    toGrid = _indexToIndex(image, grid)
    exact = np.round(toGrid)
    signs = exact[:3, :3]
    isPermutation = (np.abs(signs).sum(axis=0) == 1).all() and (np.abs(signs).sum(axis=1) == 1).all()
    if not isPermutation or (np.abs(toGrid - exact)[:3] @ _farthestIndex(image)).max() >= _NEAR:
        return None
    covered = boxOfExtent(image.GetExtent())
    values = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(covered.shape)
    sourceAxes = np.abs(signs).argmax(axis=1)  # for each of the grid's i, j, k
    values = values.transpose(2, 1, 0).transpose(sourceAxes)[
        tuple(slice(None, None, int(signs[axis].sum())) for axis in range(3))
    ]
    ends = np.reshape(image.GetExtent(), (3, 2))
    corners = np.sort((exact[:3, :3] @ ends + exact[:3, 3:]).astype(int), axis=1)
    return values.transpose(2, 1, 0), boxOfExtent(corners.ravel().tolist())


_TOLERANCE = 1e-2  # voxels
#: Lattices this near (in voxels) are one: programs round origins and directions when they write files.
_NEAR = 0.1


def _indexToIndex(image: Any, grid: Any) -> np.ndarray:
    """(4, 4) matrix from the image's (i, j, k, 1) to the grid's."""
    import slicer
    from vtkmodules.vtkCommonMath import vtkMatrix4x4

    ofImage, ofGrid = vtkMatrix4x4(), vtkMatrix4x4()
    image.GetImageToWorldMatrix(ofImage)
    grid.GetImageToWorldMatrix(ofGrid)
    return np.linalg.inv(slicer.util.arrayFromVTKMatrix(ofGrid)) @ slicer.util.arrayFromVTKMatrix(ofImage)


def _farthestIndex(image: Any) -> np.ndarray:
    """The largest |i|, |j|, |k| of the extent, and 1: where an error of the matrix shows most."""
    return np.array([*np.abs(np.reshape(image.GetExtent(), (3, 2))).max(axis=1), 1.0])


def voxelsOf(image: Any, box: Box) -> np.ndarray:
    """(K, J, I) values of an image in a box of the same lattice; 0 where it does not reach. May be a view."""
    from vtkmodules.util.numpy_support import vtk_to_numpy

    covered = boxOfExtent(image.GetExtent())
    scalars = image.GetPointData().GetScalars()
    common = covered.intersection(box)
    if scalars is None or common.is_empty:
        return np.zeros(box.shape, dtype=np.uint8)
    array = vtk_to_numpy(scalars).reshape(covered.shape)
    part = array[relativeSlices(common, covered)]
    if common == box:
        return part
    values = np.zeros(box.shape, dtype=array.dtype)
    values[relativeSlices(common, box)] = part
    return values


def resampledTo(image: Any, grid: Any) -> Any:
    """An oriented image on another lattice and extent, nearest neighbour, 0 outside."""
    import slicer

    resampled = slicer.vtkOrientedImageData()
    slicer.vtkOrientedImageDataResample.ResampleOrientedImageToReferenceOrientedImage(image, grid, resampled)
    return resampled


def relativeSlices(inner: Box, outer: Box) -> tuple[slice, slice, slice]:
    """Where a box lies in an array of the box around it."""
    return (
        slice(inner.k0 - outer.k0, inner.k1 - outer.k0),
        slice(inner.j0 - outer.j0, inner.j1 - outer.j0),
        slice(inner.i0 - outer.i0, inner.i1 - outer.i0),
    )


LABELMAP = "Binary labelmap"  # vtkSegmentationConverter's name of the representation


def layersOf(segmentation: Any) -> list[tuple[Any, tuple[str, ...]]]:
    """The labelmaps of a vtkSegmentation, each with the IDs of the segments that share it."""
    layers = []
    for layer in range(segmentation.GetNumberOfLayers()):
        labelmap = segmentation.GetLayerDataObject(layer, LABELMAP)
        if labelmap is not None:
            layers.append((labelmap, tuple(segmentation.GetSegmentIDsForLayer(layer, LABELMAP))))
    return layers


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
