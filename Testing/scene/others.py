"""What other tools do to the scene in tests."""

from __future__ import annotations

from typing import Any

import numpy as np

CORNER = (slice(23, 29), slice(2, 9), slice(2, 7))  # outside of both blocks of a `Controlled`
IN_CORNER = (26, 5, 4)
NEAR_FIRST = (12, 14, 16)  # inside the first block, away from its middle


def fillBlock(segmentationNode: Any, segmentID: str, volumeNode: Any) -> None:
    """Draws a block."""
    import slicer

    mask = np.zeros(volumeNode.GetImageData().GetDimensions()[::-1], np.uint8)
    mask[5:14, 6:16, 7:18] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask, segmentationNode, segmentID, volumeNode)


def addWarp() -> Any:
    """A transform node that pushes by some millimetres, otherwise at every place."""
    import slicer
    from vtkmodules.vtkCommonCore import vtkPoints
    from vtkmodules.vtkCommonTransforms import vtkThinPlateSplineTransform

    source, target = vtkPoints(), vtkPoints()
    rng = np.random.default_rng(4)
    for corner in np.array(np.meshgrid(*[(-60.0, 60.0)] * 3)).reshape(3, -1).T:
        source.InsertNextPoint(corner)
        target.InsertNextPoint(corner + rng.normal(0, 4, 3))
    spline = vtkThinPlateSplineTransform()
    spline.SetBasisToR()
    spline.SetSourceLandmarks(source)
    spline.SetTargetLandmarks(target)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode", "a warp")
    node.SetAndObserveTransformToParent(spline)
    return node
