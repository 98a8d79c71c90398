"""The panel: its parts, put together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import slicer
from slicer.i18n import tr as _

from MemorizingSAM3DLib.ui.controls import Connections, asToolTip, setAvailable
from MemorizingSAM3DLib.ui.installation.banner import InstallationBanner
from MemorizingSAM3DLib.ui.models_dialog import ModelsDialog
from MemorizingSAM3DLib.ui.panel.click_bar import ClickBar
from MemorizingSAM3DLib.ui.panel.hand_editor import HandEditor
from MemorizingSAM3DLib.ui.panel.memory_sections import CaseMemorySection, InteractionMemorySection
from MemorizingSAM3DLib.ui.panel.parameters import ParameterBinding
from MemorizingSAM3DLib.ui.panel.point_list import PointList
from MemorizingSAM3DLib.ui.panel.segment_list import SegmentList
from MemorizingSAM3DLib.ui.panel.shortcuts import Shortcuts, withKey
from MemorizingSAM3DLib.ui.panel.status_bar import Notices, StatusBar
from MemorizingSAM3DLib.ui.poll_timer import PollTimer
from MemorizingSAM3DLib.ui.settings import chosenModel, memoryFolder, modelChosen
from MemorizingSAM3DLib.ui.settings_page import PAGE, registerSettingsPage

if TYPE_CHECKING:
    from MemorizingSAM3DLib.scene.click_controller import ClickController


class Panel:
    """Everything between the widgets of MemorizingSAM3D.ui and a controller.

    Args:
        widget: the loaded .ui file.
        controller: what does the work; it tells of every change by its signals. The caller closes it.
    """

    def __init__(self, widget: Any, controller: ClickController) -> None:
        self.ui = ui = slicer.util.childWidgetVariables(widget)
        self._controller = controller
        self._connections = Connections()
        self._choice = chosenModel()
        self._models: ModelsDialog | None = None
        self.notices = notices = Notices(ui, controller)
        self.binding = ParameterBinding(ui, controller, notices)
        self.handEditor = HandEditor(ui, controller, notices)
        self.installation = InstallationBanner(ui, self._chooseScan)
        self._parts = (
            PollTimer(controller),
            SegmentList(ui, controller, notices),
            ClickBar(ui, controller, notices),
            PointList(ui, controller, notices),
            StatusBar(ui, controller, notices),
            CaseMemorySection(ui, controller, notices),
            InteractionMemorySection(ui, controller),
        )
        self.shortcuts = Shortcuts(
            widget,
            {
                "inside": ui.insideButton,
                "outside": ui.outsideButton,
                "undo": ui.undoButton,
                "redo": ui.redoButton,
                "deleteLast": ui.deleteLastButton,
                "nextSegment": ui.nextSegmentButton,
                "cancel": ui.cancelButton,
                "help": ui.shortcutsButton,
            },
        )
        self._connections.toWidget(ui.settingsButton, "clicked()", self._openSettings)
        self._connections.toWidget(ui.modelsButton, "clicked()", self._openModels)
        self._connections.toSignal(modelChosen, self._onModelChosen)
        self._connections.toWidget(ui.shortcutsButton, "clicked()", self._showShortcuts)
        if slicer.util.mainWindow() is not None:  # else nobody opens the settings but by our button
            self._connections.toWidget(slicer.app.settingsDialog(), "finished(int)", self.applySettings)
        self._describe()

    def enter(self) -> None:
        """The module is opened."""
        self.installation.enter()
        if self.installation.isComplete:  # else the scan would be prepared at once, which needs all packages
            self._controller.memories.choose(memoryFolder())  # another program may have filled it meanwhile
            self._chooseScan()
        self.applySettings()
        self.shortcuts.create()
        self.handEditor.enter()

    def exit(self) -> None:
        """The module is left. What is being computed goes on."""
        self.shortcuts.remove()
        self.handEditor.exit()
        if self._controller.placing is not None:  # another module's place mode is none of our business
            self._controller.stopPlacing()

    def onSceneStartClose(self) -> None:
        """The scene is about to lose its nodes."""
        self.binding.use(None)
        self.handEditor.onSceneStartClose()

    def applySettings(self) -> None:
        """Changes the model and the case memory if the user has set others."""
        choice = chosenModel()
        if choice != self._choice:
            self._choice = choice
            self.notices.run(lambda: self._controller.setModel(choice))
        memories = self._controller.memories
        if memories.choice.folder not in ("", memoryFolder()):
            memories.choose(memoryFolder())
        if self._models is not None and self._models.isOpen:
            self._models.refresh()  # the settings open a window of models of their own

    def close(self) -> None:
        """Takes back every connection, timer and key."""
        self.shortcuts.remove()
        self._connections.close()
        if self._models is not None:
            self._models.close()
        self.handEditor.close()
        self.installation.close()
        self.binding.close()
        for part in self._parts:
            part.close()
        self.notices.close()

    def _describe(self) -> None:
        ui = self.ui
        for control in (ui.scanSelector, ui.segmentationSelector, ui.segmentTable, ui.pointTable, ui.previewCheckBox):
            control.toolTip = asToolTip(control.toolTip)
        setAvailable(ui.shortcutsButton, withKey(_("List the keys that work while this module is open."), "help"))
        setAvailable(ui.modelsButton, _("Choose the model that segments, download one, or use a file of your own."))
        setAvailable(ui.settingsButton, _("Open the settings: model, device, precision, threads, folders."))

    def _chooseScan(self) -> None:
        """The scan that the views show, if none is chosen yet."""
        parameters = self.binding.parameters
        if parameters is None or parameters.scan is not None:
            return
        selection = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSelectionNode")
        shown = None if selection is None else slicer.mrmlScene.GetNodeByID(selection.GetActiveVolumeID() or "")
        if shown is not None and shown.GetClassName() == "vtkMRMLScalarVolumeNode":
            parameters.scan = shown

    def _openSettings(self) -> None:
        registerSettingsPage()
        slicer.app.openSettingsDialog(PAGE)  # comes back when the user closes it
        self.applySettings()

    def _onModelChosen(self) -> None:
        """The same model may be chosen again, when it has come only now or its file has changed."""
        self._choice = choice = chosenModel()
        self.notices.run(lambda: self._controller.setModel(choice))

    def _openModels(self) -> None:
        if self._models is None or not self._models.isOpen:
            self._models = ModelsDialog()
        self._models.show()

    def _showShortcuts(self) -> None:
        slicer.util.infoDisplay(Shortcuts.helpText(), windowTitle=_("Shortcuts"))
