"""What the panel keeps with the scene."""

from __future__ import annotations

from slicer import vtkMRMLMarkupsFiducialNode, vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.parameterNodeWrapper import parameterNodeWrapper


@parameterNodeWrapper
class PanelParameters:
    """The parameter node. `scan`, `segmentation` and the switches are bound to widgets by their SlicerParameterName.

    The points' nodes are only named here, so that the scene tells what belongs together; the controller finds its own.
    """

    scan: vtkMRMLScalarVolumeNode
    segmentation: vtkMRMLSegmentationNode
    segmentID: str = ""
    positivePoints: vtkMRMLMarkupsFiducialNode
    negativePoints: vtkMRMLMarkupsFiducialNode
    previewWhileDragging: bool = True
    useCaseMemory: bool = False
    useInteractionMemory: bool = False
    pointsCollapsed: bool = True
    caseMemoryCollapsed: bool = True
    interactionMemoryCollapsed: bool = True
    advancedCollapsed: bool = True
