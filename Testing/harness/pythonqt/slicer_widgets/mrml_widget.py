"""`qMRMLWidget` and `qSlicerWidget`: widgets with a scene."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from Testing.harness.pythonqt.implementations import implements
from Testing.harness.pythonqt.observing import Observations


class SceneWidget(QtWidgets.QWidget):
    """What both have in common."""

    mrmlSceneChanged = QtCore.Signal(object)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene: Any = None
        self._observations = Observations(self)

    def setMRMLScene(self, scene: Any) -> None:
        if scene is self._scene:
            return
        self._scene = scene
        self.mrmlSceneChanged.emit(scene)


@implements
class qMRMLWidget(SceneWidget):
    def mrmlScene(self) -> Any:
        return self._scene

    def preInitializeApplication(self) -> None:
        """Nothing to prepare here."""

    def postInitializeApplication(self) -> None:
        """Nothing to prepare here."""

    def pixmapFromIcon(self, icon: QtGui.QIcon) -> QtGui.QPixmap:
        return icon.pixmap(16, 16)


@implements
class qSlicerWidget(SceneWidget):
    def mrmlScene(self) -> Any:
        return self._scene
