"""The application that a test drives: installs the stand-ins, opens modules, closes and loads scenes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from Testing.harness.application.dialogs import Dialogs
from Testing.harness.application.installation import Installation, ModuleNamespace
from Testing.harness.application.open_module import OpenModule
from Testing.harness.application.packages import Packages
from Testing.harness.application.translation import Translation
from Testing.harness.application.views import SliceViews
from Testing.harness.application.waiting import processEvents

# Modules of Slicer's own that a scripted module may name; those with a logic have the headless application's.
_WITHOUT_LOGIC = ("SegmentEditor", "Data", "Welcome", "SampleData", "DICOM", "Terminologies")


class SlicerApplication:
    """
    Attributes:
        app: `slicer.app`.
        scene: `slicer.mrmlScene`.
        dialogs: what was shown to the user.
        translation: what went through `_()`.
        packages: what would have been installed.
        selectedModules: the names that `slicer.util.selectModule` was called with, in order.
        modules: those that are open.
        mainWindow: the PySide6 main window, None as long as there is none.
    """

    def __init__(self, headless: Any) -> None:
        import sys

        import slicer
        import vtk  # noqa: F401 (Slicer has all of VTK loaded before any module is opened)

        from Testing.harness import pythonqt
        from Testing.harness.application import parameter_nodes, scripted_loadable_module

        self._qtWasThere = "qt" in sys.modules
        pythonqt.install()
        from Testing.harness.application.objects.application import qSlicerApplication
        from Testing.harness.application.objects.main_window import qSlicerModuleSelectorToolBar
        from Testing.harness.application.objects.module_manager import qSlicerLoadableModule
        from Testing.harness.pythonqt.wrapping import wrap

        self._headless = headless
        self._installation = Installation()
        self._object = qSlicerApplication(headless)
        self.app = wrap(self._object)
        self.scene = headless.scene
        self.dialogs = Dialogs()
        self.translation = Translation()
        self.packages = Packages()
        self.selectedModules: list[str] = []
        self.modules: list[OpenModule] = []
        self.mainWindow: Any = None
        self._selector = qSlicerModuleSelectorToolBar(self._object.moduleManager().modulesNames, self._select)

        namespace = ModuleNamespace()
        logics = {**headless._logics, **dict.fromkeys(_WITHOUT_LOGIC)}
        for name, logic in logics.items():
            module = qSlicerLoadableModule(name, logic, headless.scene)
            self._object.moduleManager().add(module)
            setattr(namespace, name.lower(), wrap(module))
        self._installation.setAttributes(slicer, {"app": self.app, "modules": namespace, "selfTests": {}})
        self._installation.setModule("slicer.ScriptedLoadableModule", scripted_loadable_module)
        self._installation.setModule("slicer.parameterNodeWrapper", parameter_nodes)
        self._installation.setModule("slicer.i18n", self.translation.module())
        self._installation.setModule("slicer.packaging", self.packages.module())
        self._installation.setAttributes(slicer.util, self._utilReplacements())
        self._installation.setAttributes(sys, {"excepthook": _recordObserverError})

    def _utilReplacements(self) -> dict[str, Any]:
        from Testing.harness.pythonqt.wrapping import wrap

        def saveScene(filename: str, properties: Any = None) -> bool:
            return self.saveMrb(filename)

        def loadScene(filename: str, properties: Any = None) -> bool:
            return bool(self.scene.ReadFromMRB(str(filename), False))

        return {
            **self.dialogs.replacements(),
            # There without a main window too, where Slicer's own raises RuntimeError.
            "moduleSelector": lambda: wrap(self._selector),
            "pip_install": self.packages.pip_install,
            "pip_uninstall": self.packages.pip_uninstall,
            "saveScene": saveScene,
            "loadScene": loadScene,
        }

    def uninstall(self) -> None:
        """Closes the modules that are still open; `slicer` is as before, without `app`."""
        from Testing.harness import pythonqt

        for module in list(self.modules):
            module.close()
        self.attachViews(None)
        self.closeMainWindow()
        self._installation.undo()
        if not self._qtWasThere:
            pythonqt.uninstall()

    # --- parts of the application

    @property
    def requests(self) -> list[tuple[Any, ...]]:
        """Restarts, exits, opened URLs and settings pages that were asked for."""
        return self._object.requests

    @property
    def settings(self) -> Any:
        """`slicer.app.userSettings()`, a file that only the tests use."""
        return self.app.userSettings()

    def attachViews(self, views: SliceViews | None) -> None:
        """From now on `slicer.app.layoutManager()` has these slice views."""
        layoutManager = self._object.layoutManager()
        layoutManager.attach(views)
        if self.mainWindow is not None:
            self.mainWindow.showViews(layoutManager.widgets())

    def openMainWindow(self) -> Any:
        """Slicer with a main window: `slicer.util.mainWindow()` is not None. To be called before modules are opened."""
        from Testing.harness.application.objects.main_window import qSlicerMainWindow

        if self.mainWindow is None:
            self.mainWindow = qSlicerMainWindow(self._selector)
            self.mainWindow.showViews(self._object.layoutManager().widgets())
            self._object.commandOptions().noMainWindow = False
            self.mainWindow.show()
            processEvents()
        return self.mainWindow

    def picture(self, path: str | Path) -> Path:
        """Writes the main window with module panel and views to a PNG. Raises RuntimeError without a main window."""
        if self.mainWindow is None:
            raise RuntimeError("There is no main window: call openMainWindow() first.")
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        views = [widget.sliceView() for widget in self._object.layoutManager().widgets()]
        for view in views:
            view.isDrawn = True
        self.mainWindow.grab().save(str(path))
        for view in views:
            view.isDrawn = False
        return path

    def closeMainWindow(self) -> None:
        """Slicer is again as with --no-main-window."""
        if self.mainWindow is not None:
            self.mainWindow.showViews([])
            self.mainWindow.removeToolBar(self._selector)
            self._selector.setParent(None)
            self.mainWindow.deleteLater()
            self.mainWindow = None
            self._object.commandOptions().noMainWindow = True
        processEvents()

    def forget(self) -> None:
        """All that a test leaves: parameter nodes, messages, answers, requests, settings, packages, texts."""
        import slicer

        # Closing the scene keeps singletons, and with them what observes them.
        for node in slicer.util.getNodesByClass("vtkMRMLScriptedModuleNode"):
            self.scene.RemoveNode(node)
        self.dialogs.clear()
        self.requests.clear()
        self.selectedModules.clear()
        self._selector.forget()
        self.settings.clear()
        self.packages.installed.clear()
        self.packages.missing.clear()
        self.translation.texts.clear()
        self.translation.marking = False

    def completeStartup(self) -> None:
        """Emits `startupCompleted()`."""
        self._object.startupCompleted.emit()
        processEvents()

    # --- modules

    def openModule(self, path: str | Path, width: int = 500, height: int = 900) -> OpenModule:
        """Imports a module's file, makes module and widget, calls `setup()`, shows the panel, calls `enter()`.

        Args:
            path: `MemorizingSAM3D/MemorizingSAM3D.py`.
            width, height: of the module panel, in pixels.

        Raises:
            whatever the module's code raises.
        """
        opened = OpenModule(self, Path(path), width, height)
        self.modules.append(opened)
        self._selector.selectModule(opened.name)
        self.selectedModules.clear()
        return opened

    def _select(self, name: str) -> None:
        self.selectedModules.append(name)
        for module in self.modules:
            if module.name != name:
                module.exit()
        for module in self.modules:
            if module.name == name:
                module.enter()

    # --- the scene

    def closeScene(self) -> None:
        """As the menu's Close Scene: StartCloseEvent, all nodes but the singletons go, EndCloseEvent."""
        self.scene.Clear(0)
        processEvents()

    def saveMrb(self, path: str | Path) -> bool:
        """The whole scene as a bundle; whether it was written."""
        url, root = self.scene.GetURL(), self.scene.GetRootDirectory()
        try:
            return bool(self.scene.WriteToMRB(str(path)))
        finally:
            self.scene.SetURL(url)
            self.scene.SetRootDirectory(root)

    def loadMrb(self, path: str | Path) -> None:
        """As File, Add Data after Close Scene. Raises RuntimeError if it cannot be read."""
        self.closeScene()
        if not self.scene.ReadFromMRB(str(path), False):
            raise RuntimeError(f"{path} could not be loaded.")
        processEvents()


def _recordObserverError(kind: type[BaseException], error: BaseException, traceback: Any) -> None:
    """VTK prints what a Python observer raises, and goes on: kept beside the errors in slots, to fail the test."""
    from Testing.harness.pythonqt.errors import record

    record("a VTK observer", error)


@contextmanager
def slicerApplication(headless: Any) -> Iterator[SlicerApplication]:
    """An installed application on the scene of a `HeadlessApplication`, which has to exist before."""
    application = SlicerApplication(headless)
    try:
        yield application
    finally:
        application.uninstall()
