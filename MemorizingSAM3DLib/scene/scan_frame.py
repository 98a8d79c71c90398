"""Points between the world and a scan's own RAS, below its parent transforms."""

from __future__ import annotations

from typing import Any

Ras = tuple[float, float, float]


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
        """Whether a point in the scan's own RAS, mm, lies in one of its voxels."""
        from vtkmodules.vtkCommonMath import vtkMatrix4x4

        toIJK = vtkMatrix4x4()
        self._volumeNode.GetRASToIJKMatrix(toIJK)
        ijk = toIJK.MultiplyPoint((*ras, 1.0))[:3]
        dimensions = self._volumeNode.GetImageData().GetDimensions()
        return all(-0.5 <= index <= size - 0.5 for index, size in zip(ijk, dimensions, strict=True))

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
