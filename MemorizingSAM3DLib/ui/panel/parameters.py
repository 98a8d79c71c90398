"""The parameter node and the controller, kept equal.

What the panel keeps with the scene.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, cast

import slicer
from slicer import vtkMRMLMarkupsFiducialNode, vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.parameterNodeWrapper import Default, WithinRange, parameterNodeWrapper
from slicer.util import VTKObservationMixin
from vtkmodules.vtkCommonCore import vtkCommand

from MemorizingSAM3DLib.ui.controls import Connections
from MemorizingSAM3DLib.ui.panel.segment_list import findSegment
from MemorizingSAM3DLib.ui.panel.status_bar import Notices

if TYPE_CHECKING:
    from MemorizingSAM3DLib.scene.click_controller import ClickController


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


# The section of "Correct by hand" is not kept: opening it makes a Segment Editor, which takes a while.
_SECTIONS = {
    "pointsSection": "pointsCollapsed",
    "caseMemorySection": "caseMemoryCollapsed",
    "interactionMemorySection": "interactionMemoryCollapsed",
    "advancedSection": "advancedCollapsed",
}


class ParameterBinding(VTKObservationMixin):
    """Whoever changes the parameter node (a selector, a script, a loaded scene) changes the controller, and vice versa.

    Attributes:
        parameters: the `PanelParameters` in use, or None while the scene is closing.
    """

    def __init__(self, ui: Any, controller: ClickController, notices: Notices) -> None:
        VTKObservationMixin.__init__(self)
        self._ui = ui
        self._controller = controller
        self._notices = notices
        self._guiTag: Any = None
        self._exchanging = False
        self._isWaiting = False  # the parameter node has changed, and the controller does not know it yet
        self.parameters: Any = None
        self._connections = Connections()
        for signal in (controller.inputsChanged, controller.pointsChanged):
            self._connections.toSignal(signal, self.store)
        for name, parameter in _SECTIONS.items():
            section = getattr(ui, name)
            self._connections.toWidget(
                section,
                "contentsCollapsed(bool)",
                lambda collapsed, parameter=parameter: self._set(parameter, collapsed),
            )

    @property
    def isBound(self) -> bool:
        """Whether there is a parameter node in use, and still in the scene."""
        return self.parameters is not None and self.parameters.parameterNode.GetScene() is not None

    def use(self, parameterNode: Any) -> None:
        """Binds another vtkMRMLScriptedModuleNode, or none."""
        if self.parameters is not None:
            self.parameters.disconnectGui(self._guiTag)
            self.removeObservers()
            self.parameters = None
        self._isWaiting = False
        if parameterNode is None:
            return
        # First, and with a low priority: of observers with the same priority VTK calls the first one last, and that
        # must not be the one by which the wrapper learns of a new value.
        self.addObserver(parameterNode, vtkCommand.ModifiedEvent, self.apply, priority=-1.0)
        self.parameters = cast(Any, PanelParameters)(parameterNode)  # the decorator gives it a constructor
        self._guiTag = self.parameters.connectGui(self._ui)
        self.apply()

    def apply(self, *_event: Any) -> None:
        """Gives the controller what the parameter node says."""
        if self.parameters is None or self._exchanging:
            return
        # While a scene is being read its nodes refer to nodes that are not there yet.
        self._isWaiting = bool(slicer.mrmlScene.IsBatchProcessing())
        if self._isWaiting:
            return
        self._exchanging = True
        try:
            self._applySwitches()
            if self._changedInputs():
                self._notices.run(self._applyInputs)
        finally:
            self._exchanging = False
        self.store()

    def store(self) -> None:
        """Writes what the controller has into the parameter node."""
        if self.parameters is None or self._exchanging or slicer.mrmlScene.IsBatchProcessing():
            return
        if self._isWaiting:  # the controller is the first to speak after a scene was read: what was read comes first
            self.apply()
            return
        self._exchanging = True
        try:
            with slicer.util.NodeModify(self.parameters.parameterNode):
                controller = self._controller
                for name, value in self._inputs().items():
                    self._set(name, value)
                self._set("positivePoints", controller.positiveNode)
                self._set("negativePoints", controller.negativeNode)
        finally:
            self._exchanging = False

    def release(self, node: Any) -> None:
        """Lets go of a scan or segmentation that is about to be removed.

        A node selector that loses the node it shows selects another one on its own. Nobody asked for that scan.
        """
        if self.parameters is not None and node is not None:
            for name in ("scan", "segmentation"):
                if self.parameters.getValue(name) is node:
                    self.parameters.setValue(name, None)

    def close(self) -> None:
        """Listens no more."""
        self.use(None)
        self._connections.close()

    def _applySwitches(self) -> None:
        parameters, controller = self.parameters, self._controller
        for name, parameter in _SECTIONS.items():
            section = getattr(self._ui, name)
            if section.collapsed != parameters.getValue(parameter):
                section.collapsed = parameters.getValue(parameter)
        if controller.previewWhileDragging != parameters.previewWhileDragging:
            controller.previewWhileDragging = parameters.previewWhileDragging
        memories = controller.memories
        memories.setUse(parameters.useCaseMemory)
        memories.setNeighbours(parameters.caseNeighbours)
        memories.setInteractions(parameters.interactionsKept if parameters.useInteractionMemory else None)

    def _applyInputs(self) -> None:
        parameters, controller = self.parameters, self._controller
        # Only what the parameter node has changed: another scan may make the controller choose another segmentation.
        changed = self._changedInputs()
        segmentation, segmentID = parameters.segmentation, parameters.segmentID
        if "scan" in changed:
            controller.setScan(parameters.scan)
        if "segmentation" in changed and controller.segmentationNode is not segmentation:
            controller.setSegmentation(segmentation)
        isThere = segmentation is controller.segmentationNode and findSegment(segmentation, segmentID) is not None
        if isThere and segmentID != controller.selectedSegmentID:
            controller.selectSegment(segmentID)

    def _inputs(self) -> dict[str, Any]:
        controller = self._controller
        return {
            "scan": controller.scanNode,
            "segmentation": controller.segmentationNode,
            "segmentID": controller.selectedSegmentID,
        }

    def _changedInputs(self) -> set[str]:
        return {name for name, value in self._inputs().items() if self.parameters.getValue(name) != value}

    def _set(self, name: str, value: Any) -> None:
        if self.parameters is not None and self.parameters.getValue(name) != value:
            self.parameters.setValue(name, value)
