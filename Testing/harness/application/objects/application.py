"""`slicer.app`."""

from __future__ import annotations

import importlib.metadata
import platform
from pathlib import Path
from typing import Any

from PySide6 import QtCore, QtWidgets

from Testing.harness.application.objects.command_options import qSlicerCommandOptions
from Testing.harness.application.objects.layout_manager import qSlicerLayoutManager
from Testing.harness.application.objects.module_manager import qSlicerModuleManager
from Testing.harness.pythonqt.implementations import implementationOf, implements

_VERSION = [int(part) for part in importlib.metadata.version("slicer-core").split(".")[:3]]
_OS = {"Windows": "win", "Darwin": "macosx"}.get(platform.system(), "linux")
_ARCH = platform.machine()


@implements
class qSlicerApplication(QtCore.QObject):
    """What QApplication has is looked up at the process's QApplication, which cannot be of this class.

    Attributes:
        requests: what was asked of the application that would end or leave the test: restart, exit, URLs.
    """

    startupCompleted = QtCore.Signal()
    renderPaused = QtCore.Signal(bool)
    mrmlSceneChanged = QtCore.Signal(object)
    aboutToQuit = QtCore.Signal()
    focusChanged = QtCore.Signal(QtWidgets.QWidget, QtWidgets.QWidget)

    def __init__(self, headless: Any) -> None:
        super().__init__()
        self.requests: list[tuple[Any, ...]] = []
        self._headless = headless
        self._options = qSlicerCommandOptions(self)
        self._layoutManager = qSlicerLayoutManager(self, headless)
        self._moduleManager = qSlicerModuleManager(self)
        self._settings = QtCore.QSettings()
        self._settingsDialog: Any = None
        self._renderPauses = 0
        QtWidgets.QApplication.instance().focusChanged.connect(self.focusChanged)  # type: ignore[union-attr]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(QtWidgets.QApplication.instance(), name)

    # --- version and folders

    majorVersion, minorVersion = _VERSION[:2]
    mainApplicationMajorVersion, mainApplicationMinorVersion, mainApplicationPatchVersion = _VERSION
    mainApplicationName = mainApplicationDisplayName = "Slicer"
    isCustomMainApplication = False
    revision = repositoryRevision = mainApplicationRevision = mainApplicationRepositoryRevision = "0"
    releaseType = "Experimental"
    isInstalled = True
    intDir = ""
    platform = f"{_OS}-{_ARCH}"
    arch = _ARCH
    os = _OS
    applicationLocaleName = "en-US"
    documentationBaseUrl = "https://slicer.readthedocs.io/en/latest/"
    documentationVersion, documentationLanguage = "latest", "en"
    startupWorkingPath = str(Path.cwd())

    @property
    def temporaryPath(self) -> str:
        return str(self._headless.applicationLogic.GetTemporaryPath())

    def _folder(self, name: str) -> str:
        folder = Path(self.temporaryPath, name)
        folder.mkdir(exist_ok=True)
        return folder.as_posix()

    @property
    def slicerHome(self) -> str:
        return self._folder("SlicerHome")

    @property
    def cachePath(self) -> str:
        return self._folder("Cache")

    @property
    def extensionsInstallPath(self) -> str:
        return self._folder("Extensions")

    @property
    def defaultScenePath(self) -> str:
        return self._folder("Scenes")

    @property
    def slicerUserSettingsFilePath(self) -> str:
        return str(self._settings.fileName())

    def moduleDocumentationUrl(self, moduleName: str) -> str:
        return f"{self.documentationBaseUrl}user_guide/modules/{moduleName.lower()}.html"

    # --- parts

    def mrmlScene(self) -> Any:
        return self._headless.scene

    def applicationLogic(self) -> Any:
        return self._headless.applicationLogic

    def moduleLogic(self, moduleName: str) -> Any:
        return self._headless.applicationLogic.GetModuleLogic(moduleName)

    def commandOptions(self) -> qSlicerCommandOptions:
        return self._options

    def layoutManager(self) -> qSlicerLayoutManager:
        return self._layoutManager

    def moduleManager(self) -> qSlicerModuleManager:
        return self._moduleManager

    def userSettings(self) -> QtCore.QSettings:
        return self._settings

    def settings(self) -> QtCore.QSettings:
        return self._settings

    def revisionUserSettings(self) -> QtCore.QSettings:
        return self._settings

    def settingsDialog(self) -> Any:
        if self._settingsDialog is None:
            dialog = implementationOf("ctkSettingsDialog")
            assert dialog is not None
            self._settingsDialog = dialog()
            self._settingsDialog.settings = self._settings
        return self._settingsDialog

    def openSettingsDialog(self, panel: str = "") -> None:
        """Recorded; nothing is shown, since a modal dialog would stop the test."""
        self.requests.append(("openSettingsDialog", panel))
        if panel:
            self.settingsDialog().setCurrentPanel(panel)

    # --- doing

    def testingEnabled(self) -> bool:
        return self._options.testingEnabled

    def processEvents(self) -> None:
        QtCore.QCoreApplication.processEvents()

    def setRenderPaused(self, paused: bool) -> None:
        self._renderPauses += 1 if paused else -1
        if self._renderPauses == int(paused):
            self.renderPaused.emit(paused)

    def pauseRender(self) -> None:
        self.setRenderPaused(True)

    def resumeRender(self) -> None:
        self.setRenderPaused(False)

    def restart(self) -> None:
        self.requests.append(("restart",))

    def confirmRestart(self, reason: str = "") -> None:
        self.requests.append(("confirmRestart", reason))

    def exit(self, status: int = 0) -> None:
        self.requests.append(("exit", status))

    def quit(self) -> None:
        self.requests.append(("exit", 0))

    def openUrl(self, url: str) -> None:
        self.requests.append(("openUrl", url))

    def logUsageEvent(self, component: str, event: str) -> None:
        self.requests.append(("logUsageEvent", component, event))
