"""The page of Slicer's application settings."""

from __future__ import annotations

from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from MemorizingSAM3DLib.engine.resources import resource_path
from MemorizingSAM3DLib.ui import settings
from MemorizingSAM3DLib.ui.availability import asToolTip, setAvailable
from MemorizingSAM3DLib.ui.connections import Connections

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
        self._fillLists()
        self._setToolTips()
        self._register()
        self._connections.toWidget(self._ui.modelComboBox, "currentIndexChanged(int)", self._refreshModelFile)
        self._connections.toWidget(self._ui.cacheSizeButton, "clicked()", self._measureCache)
        self._refreshModelFile()

    def _fillLists(self) -> None:
        ui = self._ui
        for model in settings.namedModels():
            # The shipped model is stored as "", so that another version's shipped model takes its place.
            title = _("{title} (comes with the extension)").format(title=model.title) if model.shipped else model.title
            ui.modelComboBox.addItem(title, "" if model.shipped else model.name)
        ui.modelComboBox.addItem(_("A file"), settings.A_FILE)
        ui.deviceComboBox.addItem(_("Automatic: the GPU if there is one"), "auto")
        ui.deviceComboBox.addItem(_("GPU (CUDA)"), "cuda")
        ui.deviceComboBox.addItem(_("CPU"), "cpu")
        ui.precisionComboBox.addItem(_("Automatic"), "auto")
        ui.precisionComboBox.addItem(_("Single (float32)"), "float32")
        ui.precisionComboBox.addItem(_("Half (bfloat16)"), "bfloat16")

    def _setToolTips(self) -> None:
        ui = self._ui
        for control in (ui.modelComboBox, ui.deviceComboBox, ui.precisionComboBox, ui.threadsSpinBox,
                        ui.cacheFolderEdit, ui.memoryFolderEdit, ui.cacheSizeButton):  # fmt: skip
            control.toolTip = asToolTip(control.toolTip)

    def _register(self) -> None:
        ui = self._ui
        index = str(qt.SIGNAL("currentIndexChanged(int)"))
        path = str(qt.SIGNAL("currentPathChanged(QString)"))
        for key, control, name, signal in (
            (settings.MODEL, ui.modelComboBox, "currentUserDataAsString", index),
            (settings.MODEL_FILE, ui.modelFileEdit, "currentPath", path),
            (settings.DEVICE, ui.deviceComboBox, "currentUserDataAsString", index),
            (settings.PRECISION, ui.precisionComboBox, "currentUserDataAsString", index),
            (settings.THREADS, ui.threadsSpinBox, "value", str(qt.SIGNAL("valueChanged(int)"))),
            (settings.CACHE_FOLDER, ui.cacheFolderEdit, "currentPath", path),
            (settings.MEMORY_FOLDER, ui.memoryFolderEdit, "currentPath", path),
        ):
            self.page.registerProperty(key, control, name, signal)

    def _refreshModelFile(self) -> None:
        ui = self._ui
        isFile = ui.modelComboBox.currentUserDataAsString == settings.A_FILE
        reason = None if isFile else _("Choose 'A file' as the model to use one of your own.")
        setAvailable(ui.modelFileEdit, _("The file of the model, if it is one of your own."), reason)

    def _measureCache(self) -> None:
        ui = self._ui
        try:
            from MemorizingSAM3DLib.engine.download import cache_folder, cached_models
        except ModuleNotFoundError as error:
            ui.cacheSizeLabel.setText(_("Not known: {package} is not installed.").format(package=error.name))
            return
        folder = cache_folder(Path(ui.cacheFolderEdit.currentPath) if ui.cacheFolderEdit.currentPath else None)
        megabytes = sum(model.size for model in cached_models(folder)) / 1e6
        ui.cacheSizeLabel.setText(_("{size} MB in {folder}").format(size=f"{megabytes:.0f}", folder=folder))
