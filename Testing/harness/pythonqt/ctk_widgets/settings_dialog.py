"""`ctkSettingsDialog`: a list of settings panels."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtWidgets

from Testing.harness.pythonqt.ctk_widgets.settings_panel import ctkSettingsPanel
from Testing.harness.pythonqt.declaring import stored
from Testing.harness.pythonqt.implementations import implements


@implements
class ctkSettingsDialog(QtWidgets.QDialog):
    settingChanged = QtCore.Signal(str, object)
    restartRequested = QtCore.Signal()

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._list, self._stack = QtWidgets.QListWidget(self), QtWidgets.QStackedWidget(self)
        self._list.setMaximumWidth(160)
        layout = QtWidgets.QHBoxLayout(self)
        layout.addWidget(self._list)
        layout.addWidget(self._stack)
        self._settings: QtCore.QSettings | None = None
        self._list.currentRowChanged.connect(self._stack.setCurrentIndex)

    def _panels(self) -> list[ctkSettingsPanel]:
        found = (self._stack.widget(index) for index in range(self._stack.count()))
        return [panel for panel in found if isinstance(panel, ctkSettingsPanel)]

    def addPanel(self, *arguments: Any) -> None:
        """(panel), (label, panel) or (label, icon, panel), each with an optional parent panel."""
        position = next(i for i, item in enumerate(arguments) if isinstance(item, ctkSettingsPanel))
        panel = arguments[position]
        label = arguments[0] if position else panel.windowTitle()
        self._list.addItem(label)
        self._stack.addWidget(panel)
        if self._settings is not None:
            panel.settings = self._settings
        panel.settingChanged.connect(self.settingChanged)

    def setCurrentPanel(self, panel: ctkSettingsPanel | str) -> None:
        for row, item in enumerate(self._panels()):
            if panel is item or panel == self._list.item(row).text():
                self._list.setCurrentRow(row)

    def _setSettings(self, settings: QtCore.QSettings | None) -> None:
        self._settings = settings
        for panel in self._panels():
            panel.settings = settings

    settings = QtCore.Property(QtCore.QObject, lambda self: self._settings, _setSettings)
    currentPanel = QtCore.Property(QtCore.QObject, lambda self: self._stack.currentWidget(), setCurrentPanel)
    resetButton = stored(bool, False)
    restartRequired = QtCore.Property(bool, lambda self: False)

    def applySettings(self) -> None:
        for panel in self._panels():
            panel.applySettings()

    def resetSettings(self) -> None:
        for panel in self._panels():
            panel.resetSettings()

    def restoreDefaultSettings(self) -> None:
        for panel in self._panels():
            panel.restoreDefaultSettings()

    def reloadSettings(self) -> None:
        for panel in self._panels():
            panel.reloadSettings()

    def accept(self) -> None:
        self.applySettings()
        super().accept()

    def reject(self) -> None:
        self.resetSettings()
        super().reject()

    def adjustTreeWidgetToContents(self) -> None:
        self._list.setMaximumWidth(self._list.sizeHintForColumn(0) + 20)
