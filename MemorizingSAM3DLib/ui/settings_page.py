"""The page of Slicer's application settings."""

from __future__ import annotations

from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from MemorizingSAM3DLib.engine.errors import EngineError
from MemorizingSAM3DLib.engine.files import resource_path
from MemorizingSAM3DLib.scene.compute.model_manager import ModelManager
from MemorizingSAM3DLib.ui import settings
from MemorizingSAM3DLib.ui.controls import Connections, asToolTip, setAvailable
from MemorizingSAM3DLib.ui.installation.banner import InstallationRow
from MemorizingSAM3DLib.ui.models_dialog import ModelsDialog

PAGE = "MemorizingSAM3D"
_PAGE_OBJECT = "MemorizingSAM3DSettings"
_kept: list[SettingsPanel] = []  # the dialog owns the page, and nobody the object behind it


def registerSettingsPage() -> None:
    """Adds the page to Slicer's settings, once."""
    dialog = slicer.app.settingsDialog()
    if not slicer.util.findChildren(dialog, name=_PAGE_OBJECT):
        _kept.append(SettingsPanel())
        dialog.addPanel(PAGE, _kept[-1].page)


class SettingsPanel:
    """Controls on the left of which Qt keeps the values: every change is written to the settings at once.

    Attributes:
        page: the ctkSettingsPanel.
    """

    def __init__(self) -> None:
        self.page = slicer.util.loadUI(str(resource_path("UI", "Settings.ui")))
        self._ui = slicer.util.childWidgetVariables(self.page)
        self._connections = Connections()
        self._models: ModelsDialog | None = None
        self._fillModels()
        self._fillLists()
        self._setToolTips()
        self._register()
        self._installation = InstallationRow(self._ui)
        self._connections.toWidget(self._ui.modelComboBox, "currentIndexChanged(int)", self._refreshModelState)
        self._connections.toWidget(self._ui.modelsButton, "clicked()", self._openModels)
        settings.modelChosen.connect(self._showChosenModel)
        # Slicer's dialog owns the page, and takes it away when it goes.
        self.page.connect("destroyed()", lambda: settings.modelChosen.disconnect(self._showChosenModel))
        self._connections.toWidget(self._ui.cacheSizeButton, "clicked()", self._measureCache)
        self._refreshModelState()

    def _fillModels(self) -> None:
        combo = self._ui.modelComboBox
        for model in settings.namedModels():
            # The shipped model is stored as "", so that another version's shipped model takes its place.
            title = _("{title} (comes with the extension)").format(title=model.title) if model.shipped else model.title
            combo.addItem(title, "" if model.shipped else model.name)
        if path := settings.ownModelFile():
            combo.addItem(_("{name} (your file)").format(name=Path(path).name), settings.A_FILE)

    def _fillLists(self) -> None:
        ui = self._ui
        ui.deviceComboBox.addItem(_("Automatic: the GPU if there is one"), "auto")
        ui.deviceComboBox.addItem(_("GPU (CUDA)"), "cuda")
        ui.deviceComboBox.addItem(_("CPU"), "cpu")
        ui.precisionComboBox.addItem(_("Automatic"), "auto")
        ui.precisionComboBox.addItem(_("Single (float32)"), "float32")
        ui.precisionComboBox.addItem(_("Half (bfloat16)"), "bfloat16")

    def _setToolTips(self) -> None:
        ui = self._ui
        setAvailable(ui.modelsButton, _("Download and remove models, or use a file of your own."))
        for control in (ui.modelComboBox, ui.deviceComboBox, ui.precisionComboBox, ui.threadsSpinBox,
                        ui.cacheFolderEdit, ui.memoryFolderEdit, ui.cacheSizeButton):  # fmt: skip
            control.toolTip = asToolTip(control.toolTip)

    def _register(self) -> None:
        ui = self._ui
        index = str(qt.SIGNAL("currentIndexChanged(int)"))
        path = str(qt.SIGNAL("currentPathChanged(QString)"))
        for key, control, name, signal in (
            (settings.MODEL, ui.modelComboBox, "currentUserDataAsString", index),
            (settings.DEVICE, ui.deviceComboBox, "currentUserDataAsString", index),
            (settings.PRECISION, ui.precisionComboBox, "currentUserDataAsString", index),
            (settings.THREADS, ui.threadsSpinBox, "value", str(qt.SIGNAL("valueChanged(int)"))),
            (settings.CACHE_FOLDER, ui.cacheFolderEdit, "currentPath", path),
            (settings.MEMORY_FOLDER, ui.memoryFolderEdit, "currentPath", path),
        ):
            self.page.registerProperty(key, control, name, signal)

    def _openModels(self) -> None:
        if self._models is None or not self._models.isOpen:
            self._models = ModelsDialog(self.page.window())
        self._models.show()

    def _showChosenModel(self) -> None:
        """The model was chosen in another window, which has written the settings already."""
        combo = self._ui.modelComboBox
        chosen = settings.chosenModel().model
        wasBlocked = combo.blockSignals(True)  # rows that come and go are no choice of the user
        combo.clear()
        self._fillModels()
        isFile = bool(chosen) and chosen == settings.ownModelFile()
        combo.currentUserDataAsString = settings.A_FILE if isFile else chosen
        combo.blockSignals(wasBlocked)
        self._refreshModelState()

    def _refreshModelState(self) -> None:
        self._ui.modelStateLabel.setText(self._whatToDo())
        self._ui.modelStateLabel.setVisible(bool(self._ui.modelStateLabel.text))

    def _whatToDo(self) -> str:
        """What the user still has to do before the chosen model can segment; "" for nothing."""
        choice = settings.chosenModel()
        if not choice.model:
            return ""
        if choice.model == settings.ownModelFile():
            return "" if Path(choice.model).is_file() else _("There is no file {path} any more.").format(
                path=choice.model)  # fmt: skip
        try:
            models = ModelManager(choice.cacheFolder).models()
        except EngineError as error:
            return str(error)
        if any(model.entry.name == choice.model and model.path.is_file() for model in models):
            return ""
        return _("It is not on this computer yet. Press Models to download it.")

    def _measureCache(self) -> None:
        ui = self._ui
        try:
            from MemorizingSAM3DLib.engine.models.download import cache_folder, cached_models
        except ModuleNotFoundError as error:
            ui.cacheSizeLabel.setText(_("Not known: {package} is not installed.").format(package=error.name))
            return
        folder = cache_folder(Path(ui.cacheFolderEdit.currentPath) if ui.cacheFolderEdit.currentPath else None)
        megabytes = sum(model.size for model in cached_models(folder)) / 1e6
        ui.cacheSizeLabel.setText(_("{size} MB in {folder}").format(size=f"{megabytes:.0f}", folder=folder))
