"""`ctkPathLineEdit`: an editable combo box with the last paths, and a browse button."""

from __future__ import annotations

from PySide6 import QtCore, QtWidgets

from Testing.harness.pythonqt.declaring import stored
from Testing.harness.pythonqt.implementations import implements

_FILES, _DIRS, _WRITABLE = 2, 1, 32


@implements
class ctkPathLineEdit(QtWidgets.QWidget):
    """The history is kept in QSettings under `settingKey`."""

    validInputChanged = QtCore.Signal(bool)
    currentPathChanged = QtCore.Signal(str)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._combo = QtWidgets.QComboBox(self)
        self._combo.setEditable(True)
        self._combo.setInsertPolicy(QtWidgets.QComboBox.InsertPolicy.NoInsert)
        policy = QtWidgets.QSizePolicy.Policy
        self._combo.setSizePolicy(policy.Expanding, policy.Fixed)
        self._browse = QtWidgets.QToolButton(self)
        self._browse.setText("...")
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._combo)
        layout.addWidget(self._browse)
        self.setFocusProxy(self._combo)
        self._path, self._valid = "", False
        self._browse.clicked.connect(self.browse)
        self._combo.editTextChanged.connect(self._onText)

    def _onText(self, text: str) -> None:
        if text == self._path:
            return
        self._path = text
        valid = self._isValid(text)
        if valid != self._valid:
            self._valid = valid
            self.validInputChanged.emit(valid)
        self.currentPathChanged.emit(text)

    def _isValid(self, text: str) -> bool:
        info = QtCore.QFileInfo(text)
        filters = int(self.filters)
        if not info.exists():
            return bool(filters & _WRITABLE) and QtCore.QFileInfo(info.absolutePath()).isDir()
        return bool((info.isDir() and filters & _DIRS) or (info.isFile() and filters & _FILES))

    def setCurrentPath(self, path: str) -> None:
        self._combo.setEditText(path)

    currentPath = QtCore.Property(str, lambda self: self._path, setCurrentPath)
    label = stored(str, "")
    filters = stored(int, 7 | 0x2000 | 0x4000)
    options = stored(int, 0)
    nameFilters = stored("QStringList", [])
    settingKey = stored(str, "", "retrieveHistory")
    sizeAdjustPolicy = stored(int, 1)
    minimumContentsLength = stored(int, 0)

    def _setBrowseShown(self, shown: bool) -> None:
        self._browse.setVisible(shown)

    showBrowseButton = QtCore.Property(bool, lambda self: not self._browse.isHidden(), _setBrowseShown)
    showHistoryButton = stored(bool, True)

    def browse(self) -> None:
        dialog = QtWidgets.QFileDialog
        filters = int(self.filters)
        if filters & _FILES and filters & _WRITABLE:
            chosen = dialog.getSaveFileName(self, self.label, self._path, ";;".join(self.nameFilters))[0]
        elif filters & _FILES:
            chosen = dialog.getOpenFileName(self, self.label, self._path, ";;".join(self.nameFilters))[0]
        else:
            chosen = dialog.getExistingDirectory(self, self.label, self._path)
        if chosen:
            self.setCurrentPath(chosen)

    def comboBox(self) -> QtWidgets.QComboBox:
        return self._combo

    def retrieveHistory(self) -> None:
        if not self.settingKey:
            return
        history = QtCore.QSettings().value(self.settingKey, []) or []
        items = [history] if isinstance(history, str) else list(history)
        current = self._path
        self._combo.clear()
        self._combo.addItems(items)
        self._combo.setEditText(items[0] if items and not current else current)

    def addCurrentPathToHistory(self) -> None:
        if not self._path or not self._valid:
            return
        items = [self._combo.itemText(index) for index in range(self._combo.count())]
        items = [self._path, *(item for item in items if item != self._path)][:20]
        if self.settingKey:
            QtCore.QSettings().setValue(self.settingKey, items)
        path = self._path
        self._combo.clear()
        self._combo.addItems(items)
        self._combo.setEditText(path)
