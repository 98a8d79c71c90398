"""Slicer's own editing tools on the same segment, one click away and one click back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import slicer
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin
from vtkmodules.vtkCommonCore import vtkCommand

from MemorizingSAM3DLib.ui.controls import Connections, setAvailable
from MemorizingSAM3DLib.ui.panel.status_bar import Notices

if TYPE_CHECKING:
    from MemorizingSAM3DLib.scene.click_controller import ClickController


_SINGLETON_TAG = "SegmentEditor"  # of the node that the Segment Editor module works with


class HandEditor(VTKObservationMixin):
    """The section "Correct by hand": an embedded Segment Editor.

    It shares the Segment Editor module's node, so that editable area, intensity range and overwrite mode are the same
    there, here, and for clicks. It is made when the section is opened first, because making its effects takes a while.
    Points and effects both want the mouse: starting one ends the other.
    """

    def __init__(self, ui: Any, controller: ClickController, notices: Notices) -> None:
        VTKObservationMixin.__init__(self)
        self._ui = ui
        self._controller = controller
        self._notices = notices
        self._connections = Connections()
        self._editor: Any = None
        self._node: Any = None
        self._isFollowing = False
        self._isEntered = False
        self._isWorking = False  # open and entered: the editor listens to the views
        self._connections.toWidget(ui.handSection, "contentsCollapsed(bool)", self._onCollapsed)
        self._connections.toWidget(ui.segmentEditorButton, "clicked()", self._openModule)
        for signal in (controller.inputsChanged, controller.segmentsChanged):
            self._connections.toSignal(signal, self.refresh)
        self._connections.toSignal(controller.placingChanged, self._onPlacing)
        self.refresh()

    def refresh(self) -> None:
        """Brings the editor to the controller's scan, segmentation and segment, if it is open."""
        controller = self._controller
        reason = None
        if controller.segmentationNode is None:
            reason = _("There is no segmentation yet: place a point, or choose one.")
        does = _("Go on with this segment in the Segment Editor module. Come back by Slicer's history of modules.")
        setAvailable(self._ui.segmentEditorButton, does, reason)
        if self._isWorking:
            self._follow()

    def enter(self) -> None:
        """The module is open."""
        self._isEntered = True
        self._update()

    def exit(self) -> None:
        """The module is left: the views and the keys are the next module's."""
        self._isEntered = False
        self._update()

    def onSceneStartClose(self) -> None:
        """Lets go of what is about to be removed."""
        if self._editor is not None:
            self._editor.setActiveEffect(None)
            self._editor.setSegmentationNode(None)

    def close(self) -> None:
        """Ends the editor."""
        self.exit()
        self._connections.close()
        self.removeObservers()
        if self._editor is not None:
            self._editor.setMRMLSegmentEditorNode(None)
            self._editor.setMRMLScene(None)
            self._editor = None

    def _onCollapsed(self) -> None:
        self._update()

    def _update(self) -> None:
        isWorking = self._isEntered and not self._ui.handSection.collapsed
        if isWorking == self._isWorking:
            return
        self._isWorking = isWorking
        if isWorking:
            self._ensureEditor()
            self._useSharedNode()
            self._follow()
            self._editor.setupViewObservations()
            self._editor.installKeyboardShortcuts(self._ui.handSection)
        else:
            self._editor.setActiveEffect(None)
            self._editor.uninstallKeyboardShortcuts()
            self._editor.removeViewObservations()

    def _ensureEditor(self) -> None:
        if self._editor is not None:
            return
        editor = slicer.qMRMLSegmentEditorWidget()
        editor.setMRMLScene(slicer.mrmlScene)
        # The panel above has all of these.
        editor.segmentationNodeSelectorVisible = False
        editor.sourceVolumeNodeSelectorVisible = False
        editor.switchToSegmentationsButtonVisible = False
        editor.addRemoveSegmentButtonsVisible = False
        editor.show3DButtonVisible = False
        editor.setMaximumNumberOfUndoStates(10)
        self._ui.handSection.layout().insertWidget(0, editor)
        self._connections.toWidget(editor, "currentSegmentIDChanged(QString)", self._onEditorSegment)
        self._editor = editor

    def _useSharedNode(self) -> None:
        node = sharedEditorNode()
        if node is not self._node:
            self.removeObservers()
            self.addObserver(node, vtkCommand.ModifiedEvent, self._onEditorNode)
            self._node = node
        self._editor.setMRMLSegmentEditorNode(node)

    def _follow(self) -> None:
        controller, editor = self._controller, self._editor
        self._isFollowing = True  # with another segmentation the editor selects its first segment on its own
        try:
            if editor.segmentationNode() is not controller.segmentationNode:
                editor.setSegmentationNode(controller.segmentationNode)
            if editor.sourceVolumeNode() is not controller.scanNode:
                editor.setSourceVolumeNode(controller.scanNode)
            segmentID = controller.selectedSegmentID
            if segmentID and editor.currentSegmentID() != segmentID:
                editor.setCurrentSegmentID(segmentID)
        finally:
            self._isFollowing = False

    def _onEditorSegment(self, segmentID: str) -> None:
        controller = self._controller
        if self._isFollowing:
            return
        isOurs = self._isWorking and self._editor.segmentationNode() is controller.segmentationNode
        if isOurs and segmentID and segmentID != controller.selectedSegmentID:
            self._notices.run(lambda: controller.selectSegment(segmentID))

    def _onEditorNode(self, *_event: Any) -> None:
        if self._node.GetActiveEffectName() and self._controller.placing is not None:
            self._controller.stopPlacing()

    def _onPlacing(self) -> None:
        if self._controller.placing is not None and self._isWorking and self._node.GetActiveEffectName():
            self._editor.setActiveEffect(None)

    def _openModule(self) -> None:
        controller = self._controller
        node = sharedEditorNode()
        node.SetAndObserveSegmentationNode(controller.segmentationNode)
        node.SetAndObserveSourceVolumeNode(controller.scanNode)
        node.SetSelectedSegmentID(controller.selectedSegmentID)
        slicer.util.selectModule("SegmentEditor")  # which leaves this module, and that ends placing


def sharedEditorNode() -> Any:
    """The vtkMRMLSegmentEditorNode of the Segment Editor module, made as that module makes it if it is not there."""
    node = slicer.mrmlScene.GetSingletonNode(_SINGLETON_TAG, "vtkMRMLSegmentEditorNode")
    if node is None:
        node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLSegmentEditorNode")
        node.UnRegister(None)  # the Python variable owns it now
        node.SetSingletonTag(_SINGLETON_TAG)
        node = slicer.mrmlScene.AddNode(node)
    return node
