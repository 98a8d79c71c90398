"""`slicer.ScriptedLoadableModule`: the base classes of scripted modules, by Slicer's documentation."""

from __future__ import annotations

import importlib
import logging
import unittest
from pathlib import Path
from typing import Any

__all__ = [
    "ScriptedLoadableModule",
    "ScriptedLoadableModuleLogic",
    "ScriptedLoadableModuleTest",
    "ScriptedLoadableModuleWidget",
]

_PARAMETER_NODE = "vtkMRMLScriptedModuleNode"


def _moduleNameOf(instance: object, suffix: str) -> str:
    return type(instance).__name__.removesuffix(suffix)


class ScriptedLoadableModule:
    """Describes the module; `parent` is the qSlicerScriptedLoadableModule."""

    def __init__(self, parent: Any) -> None:
        import qt
        import slicer

        super().__init__()
        self.parent = parent
        self.moduleName = _moduleNameOf(self, "")
        parent.title = ""
        parent.categories = parent.dependencies = parent.contributors = []
        parent.helpText = parent.acknowledgementText = "To be written by the module."
        for suffix in (".svg", ".png"):
            icon = Path(self.resourcePath(f"Icons/{self.moduleName}{suffix}"))
            if icon.is_file():
                parent.icon = qt.QIcon(icon.as_posix())
                break
        if not hasattr(slicer, "selfTests"):
            slicer.selfTests = {}
        slicer.selfTests[self.moduleName] = self.runTest

    def resourcePath(self, filename: str) -> str:
        return (Path(self.parent.path).parent / "Resources" / filename).as_posix()

    def getDefaultModuleDocumentationLink(self, docPage: str | None = None) -> str:
        import slicer

        app = slicer.app
        url = app.documentationBaseUrl + docPage if docPage else app.moduleDocumentationUrl(self.moduleName)
        return f'<p>For more information see the <a href="{url}">online documentation</a>.</p>'

    def runTest(self, msec: int = 100, **kwargs: Any) -> None:
        """Runs `<module>Test.runTest` of the module as it was imported last."""
        testClass = getattr(importlib.import_module(type(self).__module__), f"{self.moduleName}Test")
        test = testClass()
        test.messageDelay = msec
        test.runTest(**kwargs)


class ScriptedLoadableModuleWidget:
    """The panel; `parent` is the qSlicerScriptedLoadableModuleWidget, or None for a window of its own."""

    def __init__(self, parent: Any = None) -> None:
        import qt
        import slicer

        super().__init__()  # VTKObservationMixin may come next
        self.moduleName = _moduleNameOf(self, "Widget")
        self.developerMode = slicer.util.settingsValue("Developer/DeveloperMode", False, slicer.util.toBool)
        self.parent = parent
        if parent is None:
            self.parent = slicer.qMRMLWidget()
            self.parent.setLayout(qt.QVBoxLayout())
            self.parent.setMRMLScene(slicer.mrmlScene)
        self.layout = self.parent.layout()
        if parent is None:
            self.setup()
            self.parent.show()
        slicer.app.moduleManager().connect("moduleAboutToBeUnloaded(QString)", self._onModuleAboutToBeUnloaded)

    def resourcePath(self, filename: str) -> str:
        import slicer

        return (Path(slicer.util.modulePath(self.moduleName)).parent / "Resources" / filename).as_posix()

    def setup(self) -> None:
        """To be called by the derived class: adds the developer's section where developer mode is on."""
        self.setupDeveloperSection()

    def cleanup(self) -> None:
        """To be overridden: the module is about to be unloaded or reloaded."""

    def setupDeveloperSection(self) -> None:
        import ctk
        import qt

        if not self.developerMode:
            return
        self.reloadCollapsibleButton = ctk.ctkCollapsibleButton()
        self.reloadCollapsibleButton.text = "Reload && Test"
        self.layout.addWidget(self.reloadCollapsibleButton)
        form = qt.QFormLayout(self.reloadCollapsibleButton)
        self.reloadButton = qt.QPushButton("Reload")
        self.reloadButton.connect("clicked()", self.onReload)
        self.reloadTestMenuButton = qt.QToolButton()
        self.testAction = qt.QAction("Test", self.reloadTestMenuButton)
        self.testAction.connect("triggered()", self.onTest)
        self.reloadTestAction = qt.QAction("Reload and Test", self.reloadTestMenuButton)
        self.reloadTestAction.connect("triggered()", self.onReloadAndTest)
        self.reloadTestMenuButton.setDefaultAction(self.reloadTestAction)
        form.addRow(self.reloadButton)
        form.addRow(self.reloadTestMenuButton)

    def onReload(self) -> None:
        import slicer

        slicer.util.reloadScriptedModule(self.moduleName)

    def onTest(self, **kwargs: Any) -> None:
        import slicer

        with slicer.util.tryWithErrorDisplay("Test failed."):
            slicer.selfTests[self.moduleName](msec=self._messageDelay(), **kwargs)

    def onReloadAndTest(self, **kwargs: Any) -> None:
        import slicer

        with slicer.util.tryWithErrorDisplay("Reload and Test failed."):
            self.onReload()
            slicer.selfTests[self.moduleName](msec=self._messageDelay(), **kwargs)

    @staticmethod
    def _messageDelay() -> int:
        import slicer

        return int(slicer.util.settingsValue("Developer/SelfTestDisplayMessageDelay", 50))

    def _onModuleAboutToBeUnloaded(self, moduleName: str) -> None:
        import slicer

        if moduleName == self.moduleName:
            self.cleanup()
            slicer.app.moduleManager().disconnect("moduleAboutToBeUnloaded(QString)", self._onModuleAboutToBeUnloaded)


class ScriptedLoadableModuleLogic:
    """Finds and makes the parameter node, one in a scene unless `isSingletonParameterNode` is False."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__()
        self.moduleName = _moduleNameOf(self, "Logic")
        self.isSingletonParameterNode = True

    def getParameterNode(self) -> Any:
        import slicer

        if self.isSingletonParameterNode:
            found = slicer.mrmlScene.GetSingletonNode(self.moduleName, _PARAMETER_NODE)
            if found is not None:
                # Closing the scene resets the node, and with it the attribute.
                if found.GetAttribute("ModuleName") != self.moduleName:
                    found.SetAttribute("ModuleName", self.moduleName)
                return found
        elif existing := self.getAllParameterNodes():
            return existing[0]
        return slicer.mrmlScene.AddNode(self.createParameterNode())

    def getAllParameterNodes(self) -> list[Any]:
        import slicer

        nodes = slicer.util.getNodesByClass(_PARAMETER_NODE)
        return [node for node in nodes if node.GetAttribute("ModuleName") == self.moduleName]

    def createParameterNode(self) -> Any:
        """Not yet in the scene."""
        import slicer

        node = slicer.vtkMRMLScriptedModuleNode()
        if self.isSingletonParameterNode:
            node.SetSingletonTag(self.moduleName)
        node.SetAttribute("ModuleName", self.moduleName)
        node.SetName(slicer.mrmlScene.GenerateUniqueName(self.moduleName))
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    """May be made without a method name; `runTest` is what Slicer calls."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.enableScreenshots = False
        self.screenshotScaleFactor = 1.0

    def delayDisplay(self, message: str, requestedDelay: int | None = None, msec: int | None = None) -> None:
        import slicer

        delays = (getattr(self, "messageDelay", None), msec, requestedDelay, 100)
        slicer.util.delayDisplay(message, next(delay for delay in delays if delay is not None))

    def takeScreenshot(self, name: str, description: str, type: int = -1) -> None:
        self.delayDisplay(description)

    def runTest(self) -> None:
        logging.warning("No test is defined in %s", self.__class__.__name__)
