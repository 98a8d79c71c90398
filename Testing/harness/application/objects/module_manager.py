"""`slicer.app.moduleManager()` and the modules that are written in C++."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore

from Testing.harness.pythonqt.implementations import implements


@implements
class qSlicerLoadableModule(QtCore.QObject):
    """A module of Slicer's own; it has its real logic, and no user interface."""

    hidden = False
    isBuiltIn = isInstalled = True
    name = title = path = helpText = acknowledgementText = ""
    categories = contributors = dependencies = associatedNodeTypes = ()

    def __init__(self, name: str, logic: Any, scene: Any) -> None:
        super().__init__()
        self.name = self.title = name
        self._logic, self._scene = logic, scene

    def logic(self) -> Any:
        return self._logic

    def mrmlScene(self) -> Any:
        return self._scene

    def widgetRepresentation(self) -> Any:
        raise NotImplementedError(f"The harness has no user interface of the module {self.name}.")

    createNewWidgetRepresentation = widgetRepresentation


@implements
class qSlicerModuleFactoryManager(QtCore.QObject):
    def __init__(self, manager: qSlicerModuleManager) -> None:
        super().__init__(manager)
        self._manager = manager

    def loadedModuleNames(self) -> list[str]:
        return self._manager.modulesNames()

    registeredModuleNames = instantiatedModuleNames = loadedModuleNames

    def isLoaded(self, name: str) -> bool:
        return self._manager.module(name) is not None

    isRegistered = isInstantiated = isLoaded

    def loadedModule(self, name: str) -> Any:
        return self._manager.module(name)

    moduleInstance = loadedModule


@implements
class qSlicerModuleManager(QtCore.QObject):
    moduleLoaded = QtCore.Signal(str)
    moduleAboutToBeUnloaded = QtCore.Signal(str)

    def __init__(self, parent: QtCore.QObject) -> None:
        super().__init__(parent)
        self._modules: dict[str, Any] = {}
        self._factory = qSlicerModuleFactoryManager(self)

    def add(self, module: Any) -> None:
        """The harness's."""
        self._modules[module.name] = module
        self.moduleLoaded.emit(module.name)

    def remove(self, name: str) -> None:
        """The harness's: tells everyone first, then forgets the module."""
        if name in self._modules:
            self.moduleAboutToBeUnloaded.emit(name)
            del self._modules[name]

    def factoryManager(self) -> qSlicerModuleFactoryManager:
        return self._factory

    def modulesNames(self) -> list[str]:
        return list(self._modules)

    def module(self, name: str) -> Any:
        return self._modules.get(name)
