"""A scripted module as Slicer's templates have it, to try the harness with: thresholds a scan."""

from __future__ import annotations

from typing import Annotated

import qt
import slicer
from slicer import vtkMRMLScalarVolumeNode
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import *  # noqa: F403 (as in Slicer's templates)
from slicer.util import VTKObservationMixin


class ExampleModule(ScriptedLoadableModule):  # noqa: F405
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)  # noqa: F405
        self.parent.title = _("Example")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Examples")]
        self.parent.contributors = ["Nobody"]
        slicer.app.connect("startupCompleted()", self.onStartupCompleted)

    def onStartupCompleted(self):
        slicer.modules.exampleStartups = getattr(slicer.modules, "exampleStartups", 0) + 1


@parameterNodeWrapper
class ExampleParameterNode:
    inputVolume: vtkMRMLScalarVolumeNode
    threshold: Annotated[float, WithinRange(-100, 200)] = 100
    invert: bool = False


class ExampleModuleWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):  # noqa: F405
    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)  # noqa: F405
        VTKObservationMixin.__init__(self)
        self.logic = None
        self._parameterNode = None
        self._tag = None
        self.calls = []

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)  # noqa: F405
        self.calls.append("setup")
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/ExampleModule.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = ExampleModuleLogic()
        self.ui.applyButton.connect("clicked(bool)", self.onApply)
        self.ui.applyButton.toolTip = _("Count the voxels above the threshold")
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.initializeParameterNode()

    def enter(self):
        self.calls.append("enter")
        self.initializeParameterNode()

    def exit(self):
        self.calls.append("exit")
        if self._parameterNode:
            self._parameterNode.disconnectGui(self._tag)
            self._tag = None

    def cleanup(self):
        self.calls.append("cleanup")
        self.setParameterNode(None)
        self.removeObservers()

    def onSceneStartClose(self, caller, event):
        self.calls.append("startClose")
        self.setParameterNode(None)

    def onSceneEndClose(self, caller, event):
        self.calls.append("endClose")
        if self.parent.isEntered:
            self.initializeParameterNode()

    def initializeParameterNode(self):
        self.setParameterNode(self.logic.getParameterNode())

    def setParameterNode(self, parameterNode):
        if self._parameterNode:
            self._parameterNode.disconnectGui(self._tag)
        self._parameterNode = parameterNode
        if self._parameterNode:
            self._tag = self._parameterNode.connectGui(self.ui)

    def onApply(self):
        with slicer.util.tryWithErrorDisplay(_("The count failed."), waitCursor=True):
            count = self.logic.count(self._parameterNode)
            if self._parameterNode.invert and not slicer.util.confirmYesNoDisplay(_("Count those below?")):
                return
            self.ui.resultLabel.text = _("{count} voxels").format(count=count)


class ExampleModuleLogic(ScriptedLoadableModuleLogic):  # noqa: F405
    def getParameterNode(self):
        return ExampleParameterNode(super().getParameterNode())

    def count(self, parameters):
        if parameters.inputVolume is None:
            raise ValueError("Select a scan first.")
        above = slicer.util.arrayFromVolume(parameters.inputVolume) > parameters.threshold
        return int((~above if parameters.invert else above).sum())


class ExampleModuleTest(ScriptedLoadableModuleTest):  # noqa: F405
    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        self.setUp()
        self.delayDisplay("Counting nothing")
        self.assertRaises(ValueError, ExampleModuleLogic().count, ExampleModuleLogic().getParameterNode())
        qt.QSettings().setValue("ExampleModule/tested", 1)
