"""Points between the world and a scan's own RAS, below its parent transforms."""

from __future__ import annotations

from typing import Any

from MemorizingSAM3DLib.engine.geometry.volume import FACE_TOLERANCE

Ras = tuple[float, float, float]


def gridOf(volumeNode: Any) -> tuple[float, ...]:
    """The IJK-to-RAS matrix of a volume in its own RAS, mm: 12 numbers, row by row without the last row."""
    from vtkmodules.vtkCommonMath import vtkMatrix4x4

    matrix = vtkMatrix4x4()
    volumeNode.GetIJKToRASMatrix(matrix)
    return tuple(matrix.GetElement(row, column) for row in range(3) for column in range(4))


class ScanFrame:
    """A scan's own RAS frame. Clicks are kept in it: whatever transform is put above, they stay in the anatomy.

    Args:
        volumeNode: vtkMRMLVolumeNode; its parent transform may change at any time and may be non-linear.
    """

    def __init__(self, volumeNode: Any) -> None:
        self._volumeNode = volumeNode

    def toWorld(self, ras: Ras) -> Ras:
        """World RAS, mm, of a point in the scan's own RAS, mm."""
        return self._transformed(ras, self._volumeNode.GetParentTransformNode(), None)

    def toScan(self, ras: Ras) -> Ras:
        """The scan's own RAS, mm, of a point in world RAS, mm."""
        return self._transformed(ras, None, self._volumeNode.GetParentTransformNode())

    def contains(self, ras: Ras) -> bool:
        """Whether a point in the scan's own RAS, mm, lies in one of its voxels, its outer faces included."""
        from vtkmodules.vtkCommonMath import vtkMatrix4x4

        toIJK = vtkMatrix4x4()
        self._volumeNode.GetRASToIJKMatrix(toIJK)
        ijk = toIJK.MultiplyPoint((*ras, 1.0))[:3]
        dimensions = self._volumeNode.GetImageData().GetDimensions()
        beyond = [max(-0.5 - index, index - (size - 0.5)) for index, size in zip(ijk, dimensions, strict=True)]
        return all(distance <= FACE_TOLERANCE for distance in beyond)  # NaN is not

    @staticmethod
    def _transformed(ras: Ras, source: Any, target: Any) -> Ras:
        import slicer
        from vtkmodules.vtkCommonTransforms import vtkGeneralTransform

        if source is target:
            return ras
        transform = vtkGeneralTransform()
        slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(source, target, transform)
        r, a, s = transform.TransformPoint(ras)
        return r, a, s
