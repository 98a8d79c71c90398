"""The scripted module of 3D Slicer: it puts the library's parts together and follows the application's events."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import qt
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

_PAGE = "https://github.com/MemorizingSAM3D/SlicerMemorizingSAM3D"
_CITATIONS = (
    "Shen et al. FastSAM3D: An Efficient Segment Anything Model for 3D Volumetric Medical Images. MICCAI 2024. "
    "arXiv:2403.09827",
    "Shao et al. Memorizing SAM: 3D Medical Segment Anything Model with Memorizing Transformer. 2024. arXiv:2412.13908",
    "Orbes-Arteaga et al. MAIS: Memory-Attention for Interactive Segmentation. 2025. arXiv:2505.07511",
    "Wang et al. SAM-Med3D: A Vision Foundation Model for General-Purpose Segmentation on Volumetric Medical Images. "
    "IEEE TNNLS 2025. doi:10.1109/TNNLS.2025.3586694",
)
_LIBRARY = "MemorizingSAM3DLib"
if importlib.util.find_spec(_LIBRARY) is None:
    # Run from the source tree, where the library stands beside the module's folder. Installed, both are in one folder.
    sys.path.append(str(Path(__file__).resolve().parent.parent))


class MemorizingSAM3D(ScriptedLoadableModule):
    """What Slicer shows of the module before it is opened."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        from MemorizingSAM3DLib.engine.files import resource_path

        parent.title = _("MemorizingSAM3D")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        parent.dependencies = []
        parent.contributors = ["MemorizingSAM3D contributors"]
        parent.helpText = _(
            "<p>Segment a structure of a CT, MR or PET scan in 3D by clicking: inside what you want, outside where it "
            "grew too far. Every click changes the segment at once; points can be dragged, switched, deleted and "
            "undone. Locked segments and the Segment Editor's masking are respected. It computes on this computer: "
            "nothing of a scan leaves it.</p>"
            "<p>To try it: load a scan from the category MemorizingSAM3D of Sample Data, and follow the tutorial in "
            '<a href="{page}#readme">the extension\'s README</a>.</p>'
            "<p><b>Not a medical device.</b> For research only: it is not made for diagnosis or treatment.</p>"
        ).format(page=_PAGE)
        parent.acknowledgementText = _(
            "<p>This module puts published work into practice. Please cite what you use:</p>{citations}"
            "<p>The licence of each model is shown before it is downloaded.</p>"
        ).format(citations="<ul>" + "".join(f"<li>{citation}</li>" for citation in _CITATIONS) + "</ul>")
        icon = qt.QIcon(str(resource_path("Icons", "MemorizingSAM3D.png")))
        for name in ("MemorizingSAM3DToolbar.png", "MemorizingSAM3DToolbar@2x.png"):  # drawn for small sizes
            icon.addFile(str(resource_path("Icons", name)))
        parent.icon = icon
        slicer.app.connect("startupCompleted()", _addSettingsPage)
        slicer.app.connect("startupCompleted()", _addSampleData)


def _addSettingsPage():
    """Puts our page into Slicer's settings, where a user looks for it before the module was ever opened."""
    if slicer.util.mainWindow() is not None:  # else nobody opens settings, and the dialog would be made for nothing
        from MemorizingSAM3DLib.ui.settings_page import registerSettingsPage

        registerSettingsPage()


def _addSampleData():
    """Puts the tutorial's scans into Slicer's Sample Data, whose module is there only once all are loaded."""
    from MemorizingSAM3DLib.ui.sample_data import registerSampleData

    registerSampleData()


class MemorizingSAM3DWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel in Slicer: made once, entered and left many times.

    Args:
        logic: what does the work; made by `setup` if it is None.
    """

    def __init__(self, parent=None, logic=None):
        # First of all, since without a parent the base class calls setup.
        VTKObservationMixin.__init__(self)
        self.logic = logic
        self.panel = None
        self._isEntered = False
        ScriptedLoadableModuleWidget.__init__(self, parent)

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        from MemorizingSAM3DLib.engine.files import resource_path
        from MemorizingSAM3DLib.ui.panel.panel import Panel

        self.uiWidget = slicer.util.loadUI(str(resource_path("UI", "MemorizingSAM3D.ui")))
        self.layout.addWidget(self.uiWidget)
        self.uiWidget.setMRMLScene(slicer.mrmlScene)
        if self.logic is None:
            self.logic = MemorizingSAM3DLogic()
        self.panel = Panel(self.uiWidget, self.logic.controller)
        self.ui = self.panel.ui

        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(scene, scene.EndImportEvent, self.onSceneEndImport)
        self.addObserver(scene, scene.EndBatchProcessEvent, self.onSceneEndBatchProcess)
        # Before the node selectors hear of it, which would select another node.
        self.addObserver(scene, scene.NodeAboutToBeRemovedEvent, self.onNodeAboutToBeRemoved, priority=100.0)
        self.initializeParameterNode()
        _addSettingsPage()
        if getattr(self.parent, "isEntered", False):  # set up anew by a reload, for which Slicer does not call enter
            self.enter()

    def cleanup(self):
        """The module is unloaded or reloaded: nothing of this widget stays behind."""
        self.removeObservers()
        if self.panel is None:
            return
        self.panel.close()
        self.panel = None
        self.logic.close()
        self.uiWidget.setMRMLScene(None)
        self.uiWidget.deleteLater()

    def enter(self):
        """The user opens the module."""
        self._isEntered = True
        if not self.panel.binding.isBound:
            self.initializeParameterNode()
        self.panel.enter()

    def exit(self):
        """The user goes to another module."""
        self._isEntered = False
        if self.panel is not None:
            self.panel.exit()

    def onReload(self):
        """Reloads the library too, which Slicer does not know of."""
        for name in [name for name in sys.modules if name.partition(".")[0] == _LIBRARY]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    def initializeParameterNode(self):
        """Binds the panel to the scene's parameter node, which is made if there is none."""
        self.panel.binding.use(self.logic.getParameterNode().parameterNode)

    def onSceneStartClose(self, caller, event):
        self.panel.onSceneStartClose()

    def onSceneEndClose(self, caller, event):
        if self._isEntered:  # else when the module is entered next: other modules' scenes need no node of ours
            self.initializeParameterNode()

    def onSceneEndImport(self, caller, event):
        if self.panel.binding.parameters is not None:
            self.initializeParameterNode()

    def onSceneEndBatchProcess(self, caller, event):
        self.panel.binding.apply()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def onNodeAboutToBeRemoved(self, caller, event, node):
        self.panel.binding.release(node)


class MemorizingSAM3DLogic(ScriptedLoadableModuleLogic):
    """Clicks to segments, without a user interface.

    All logics without a controller of their own share one: of two that follow the same points each would answer every
    click with a segment.

    Args:
        controller: what does the work; the shared one if it is None.
    """

    _shared = None
    _users = 0

    def __init__(self, controller=None):
        ScriptedLoadableModuleLogic.__init__(self)
        self._isShared = controller is None
        self.controller = self._share() if controller is None else controller

    @classmethod
    def _share(cls):
        if cls._shared is None:
            from MemorizingSAM3DLib.scene.click_controller import ClickController
            from MemorizingSAM3DLib.ui.settings import chosenModel

            cls._shared = ClickController(chosenModel())
        cls._users += 1
        return cls._shared

    def getParameterNode(self):
        """The scene's parameter node, wrapped."""
        from MemorizingSAM3DLib.ui.panel.parameters import PanelParameters

        return PanelParameters(ScriptedLoadableModuleLogic.getParameterNode(self))

    def close(self):
        """Ends the worker's thread and every observation, unless another logic still uses the controller."""
        controller, self.controller = self.controller, None
        if controller is None:
            return
        if self._isShared:
            cls = type(self)
            cls._users -= 1
            if cls._users:
                return
            cls._shared = None
        controller.close()


class MemorizingSAM3DTest(ScriptedLoadableModuleTest):
    """Slicer's own test, started by "Reload and Test" and by CTest; its scenarios are in the library."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        from MemorizingSAM3DLib.installation.condition import examine
        from MemorizingSAM3DLib.installation.this_python import ThisPython
        from MemorizingSAM3DLib.scene.self_test import runScenarios

        missing = [state.name for state in examine(ThisPython()) if not state.is_ready]
        if missing:
            self.skipTest(f"{', '.join(missing)}: not installed. Open the module, choose Install, then test again.")
        self.setUp()
        logic = MemorizingSAM3DLogic()
        try:
            runScenarios(self, logic.controller)
        finally:
            logic.close()
