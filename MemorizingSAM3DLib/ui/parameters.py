"""What the panel keeps with the scene."""

from __future__ import annotations

from typing import Annotated

from slicer import vtkMRMLMarkupsFiducialNode, vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.parameterNodeWrapper import Default, WithinRange, parameterNodeWrapper


@parameterNodeWrapper
class PanelParameters:
    """The parameter node. `scan`, `segmentation` and the switches are bound to widgets by their SlicerParameterName.

    The memories' switches change what clicks do, so they are the scene's; where the case memory lies is a setting.
    The points' nodes are only named here, so that the scene tells what belongs together; the controller finds its own.
    """

    scan: vtkMRMLScalarVolumeNode
    segmentation: vtkMRMLSegmentationNode
    segmentID: str = ""
    positivePoints: vtkMRMLMarkupsFiducialNode
    negativePoints: vtkMRMLMarkupsFiducialNode
    previewWhileDragging: bool = True
    useCaseMemory: bool = True
    caseNeighbours: Annotated[int, WithinRange(1, 64), Default(5)]
    useInteractionMemory: bool = True
    interactionsKept: Annotated[int, WithinRange(1, 256), Default(60)]
    pointsCollapsed: bool = True
    caseMemoryCollapsed: bool = True
    interactionMemoryCollapsed: bool = True
    advancedCollapsed: bool = True
