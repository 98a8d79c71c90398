"""The scan's voxel lattice as vtkOrientedImageData, and boxes of it as numpy arrays.

A labelmap of a segmentation covers some extent of the scan's lattice, often just the segment. Box and extent mean the
same voxels: Box(k0, k1, j0, j1, i0, i1) is half open in array order, an extent is closed in (i, j, k) order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from MemorizingSAM3DLib.engine.errors import VolumeError
from MemorizingSAM3DLib.engine.geometry import Box
from MemorizingSAM3DLib.scene.volumes import ijkToWorld, localToWorld


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
