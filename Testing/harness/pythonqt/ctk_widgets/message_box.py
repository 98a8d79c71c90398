"""`ctkMessageBox`: a message box that can be told not to appear again."""

from __future__ import annotations

from PySide6 import QtCore, QtWidgets

from Testing.harness.pythonqt.declaring import stored
from Testing.harness.pythonqt.implementations import implements


@implements
class ctkMessageBox(QtWidgets.QMessageBox):
    """With a settings key, the button chosen together with "don't show again" is remembered in QSettings."""

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._roles: list[int] = []
        self._check = QtWidgets.QCheckBox("Don't show this message again")
        self.finished.connect(self.onFinished)

    def _showCheck(self) -> None:
        if self.dontShowAgainVisible:
            self.setCheckBox(self._check)

    dontShowAgainVisible = stored(bool, False, "_showCheck")
    dontShowAgainSettingsKey = stored(str, "", "_readSettings")

    def setDontShowAgain(self, dontShow: bool) -> None:
        self.dontShowAgainVisible = True
        self._check.setChecked(dontShow)

    dontShowAgain = QtCore.Property(bool, lambda self: self._check.isChecked(), setDontShowAgain)

    def _setRoles(self, roles: list[int]) -> None:
        self._roles = [int(role) for role in roles]

    dontShowAgainButtonRoles = QtCore.Property("QVariantList", lambda self: list(self._roles), _setRoles)

    def addDontShowAgainButtonRole(self, role: int) -> None:
        self._roles.append(int(role))

    def _remembered(self) -> int:
        if not self.dontShowAgainSettingsKey:
            return 0
        return int(QtCore.QSettings().value(self.dontShowAgainSettingsKey, 0) or 0)

    def _readSettings(self) -> None:
        if self._remembered():
            self.setDontShowAgain(True)

    def exec(self) -> int:
        remembered = self._remembered()
        return remembered if remembered else super().exec()

    exec_ = exec

    def onFinished(self, result: int) -> None:
        if not self.dontShowAgainSettingsKey or not self.dontShowAgainVisible:
            return
        button = self.clickedButton()
        accepted = button is not None and (
            self.buttonRole(button).value in self._roles
            or self.buttonRole(button) == QtWidgets.QMessageBox.ButtonRole.AcceptRole
        )
        remember = result if self._check.isChecked() and accepted else 0
        QtCore.QSettings().setValue(self.dontShowAgainSettingsKey, remember)
