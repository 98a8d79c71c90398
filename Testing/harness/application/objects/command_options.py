"""`slicer.app.commandOptions()`: a Slicer that was started with --no-main-window."""

from __future__ import annotations

from PySide6 import QtCore

from Testing.harness.pythonqt.implementations import implements


@implements
class qSlicerCommandOptions(QtCore.QObject):
    noMainWindow = True
    noSplash = True
    disableToolTips = False
    showPythonConsole = False
    exitAfterStartup = False
    runPythonAndExit = False
    pythonScript = ""
    pythonCode = ""
    disableLoadableModules = False
    disableScriptedLoadableModules = False
    verboseModuleDiscovery = False
    testingEnabled = False
    additionalModulePaths: tuple[str, ...] = ()
    modulesToIgnore: tuple[str, ...] = ()
