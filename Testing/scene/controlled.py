"""A `ClickController` on a scan of two bright blocks, and what a test asks of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from MemorizingSAM3DLib.scene.click_controller import ClickController
from MemorizingSAM3DLib.scene.scan import ScanFrame
from MemorizingSAM3DLib.scene.segments.segmentation import maskFromSegment
from Testing.scene.quick_model import QuickModel

FIRST, SECOND = (9, 11, 12), (23, 24, 26)  # (k, j, i) in the middle of the blocks
BETWEEN = (16, 18, 20)


def addBlocks(matrix: np.ndarray, name: str = "blocks") -> Any:
    """A CT of two bright blocks in air."""
    import slicer

    voxels = np.full((30, 32, 34), -900, np.int16)
    voxels[5:14, 6:16, 7:18] = 300
    voxels[20:26, 20:28, 22:30] = 300
    return slicer.util.addVolumeFromArray(voxels, matrix, name)


class Controlled:
    """A controller with its scan, driven as a user would: by control points in its two lists."""

    def __init__(self, volumeNode: Any, choice: QuickModel | None = None) -> None:
        self.volumeNode = volumeNode
        self.controller = ClickController(choice or QuickModel())
        self.messages: list[str] = []
        self.controller.failed.connect(self.messages.append)
        self.controller.setScan(volumeNode)
        self.settle()

    def settle(self) -> None:
        """Waits until nothing is outstanding."""
        while self.controller.poll(0.02):
            pass

    def world(self, kji: tuple[float, float, float]) -> tuple[float, float, float]:
        """World RAS of a voxel of the scan."""
        import slicer
        from vtkmodules.vtkCommonMath import vtkMatrix4x4

        toRas = vtkMatrix4x4()
        self.volumeNode.GetIJKToRASMatrix(toRas)
        k, j, i = kji
        r, a, s = (slicer.util.arrayFromVTKMatrix(toRas) @ (i, j, k, 1.0))[:3].tolist()
        return ScanFrame(self.volumeNode).toWorld((r, a, s))

    def place(self, kji: tuple[float, float, float], positive: bool = True, wait: bool = True) -> None:
        """A control point where the user clicks."""
        node = self.controller.positiveNode if positive else self.controller.negativeNode
        node.AddControlPointWorld(*self.world(kji))
        if wait:
            self.settle()

    def mask(self, segmentID: str = "") -> np.ndarray:
        """The segment's voxels in the scene."""
        segmentID = segmentID or self.controller.selectedSegmentID
        return maskFromSegment(self.controller.segmentationNode, segmentID, self.volumeNode)

    def segmentIDs(self) -> list[str]:
        """All segments, in order."""
        return list(self.controller.segmentationNode.GetSegmentation().GetSegmentIDs())

    def paint(self, slices: tuple[slice, slice, slice], segmentID: str = "", value: int = 1) -> None:
        """Someone else adds a block of voxels to the segment (or takes it away), as the Segment Editor would."""
        import slicer

        segmentID = segmentID or self.controller.selectedSegmentID
        mask = self.mask(segmentID).astype(np.uint8)
        mask[slices] = value
        slicer.util.updateSegmentBinaryLabelmapFromArray(
            mask, self.controller.segmentationNode, segmentID, self.volumeNode
        )
