"""A module that is written in Python: loads the file, makes its classes, calls setup, enter and exit."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from Testing.harness.pythonqt.implementations import implements
from Testing.harness.pythonqt.wrapping import wrap


@implements
class qSlicerScriptedLoadableModule(QtCore.QObject):
    """`slicer.modules.<name>`; its attributes are set by the constructor of the Python class."""

    name = path = title = helpText = acknowledgementText = ""
    categories: Any = ()
    contributors: Any = ()
    dependencies: Any = ()
    associatedNodeTypes: Any = ()
    extensions: Any = None
    icon: Any = None
    hidden = isBuiltIn = False
    isInstalled = widgetRepresentationCreationEnabled = True
    index = -1

    def __init__(self, path: Path, scene: Any) -> None:
        super().__init__()
        self.setObjectName(path.stem)
        self.name = self.title = path.stem
        self.path = path.as_posix()
        self.extensions, self.icon = {}, QtGui.QIcon()
        self._scene = scene
        self._widget: qSlicerScriptedLoadableModuleWidget | None = None
        self._instance: Any = None

    def load(self) -> Any:
        """The harness's: imports the file and makes the module class. Raises what they raise."""
        import slicer

        module = importModuleFile(Path(self.path))
        moduleClass = getattr(module, self.name)
        self._instance = moduleClass(wrap(self))
        setattr(slicer.modules, f"{self.name}Instance", self._instance)
        return self._instance

    def logic(self) -> None:
        """A scripted module has none in C++; `slicer.util.getModuleLogic` asks the widget."""
        return None

    def mrmlScene(self) -> Any:
        return self._scene

    def widgetRepresentation(self) -> qSlicerScriptedLoadableModuleWidget:
        if self._widget is None:
            self._widget = self.createNewWidgetRepresentation()
        return self._widget

    def createNewWidgetRepresentation(self) -> qSlicerScriptedLoadableModuleWidget:
        widget = qSlicerScriptedLoadableModuleWidget(None)
        widget.moduleName = self.name
        widget._module = self
        # Not when made: setup may ask for the module's widgetRepresentation.
        self._widget = self._widget or widget
        widget.load()
        widget.setMRMLScene(self._scene)
        return widget


@implements
class qSlicerScriptedLoadableModuleWidget(QtWidgets.QWidget):
    """The parent of the module's Python widget; it has a QVBoxLayout from the start."""

    mrmlSceneChanged = QtCore.Signal(object)
    moduleName = ""
    isEntered = False

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        QtWidgets.QVBoxLayout(self)
        self._module: Any = None
        self._python: Any = None

    def load(self) -> None:
        """The harness's: makes the Python widget from the module as it was imported last, and sets it up."""
        import slicer

        className = f"{self.moduleName}Widget"
        widgetClass = getattr(sys.modules[self.moduleName], className)
        self._python = widgetClass(wrap(self))
        setattr(slicer.modules, className, self._python)
        self._python.setup()

    def reload(self) -> None:
        """Sets up a new Python widget; the module stays entered, but `enter` is not called."""
        self.load()

    def self(this) -> Any:  # noqa: N805 (Slicer's name for it)
        return this._python

    def module(self) -> Any:
        return self._module

    def enter(self) -> None:
        self.isEntered = True
        if hasattr(self._python, "enter"):
            self._python.enter()

    def exit(self) -> None:
        self.isEntered = False
        if hasattr(self._python, "exit"):
            self._python.exit()

    def setMRMLScene(self, scene: Any) -> None:
        self.mrmlSceneChanged.emit(scene)


def importModuleFile(path: Path) -> ModuleType:
    """A fresh module object under the file's name, its folder on `sys.path`, as Slicer does it."""
    if path.parent.as_posix() not in sys.path:
        sys.path.insert(0, path.parent.as_posix())
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[path.stem]
        raise
    return module
