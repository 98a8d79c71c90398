"""Slicer's slice views, as far as points have to do with them."""

from __future__ import annotations

from typing import Any


def jumpTo(scene: Any, ras: tuple[float, float, float]) -> None:
    """Brings all slice views to a point, world RAS in mm."""
    import slicer

    r, a, s = ras
    slicer.vtkMRMLSliceNode.JumpAllSlices(scene, r, a, s, slicer.vtkMRMLSliceNode.CenteredJumpSlice)
