"""`ctkDirectoryButton`: a button that shows a folder and opens a dialog to choose one."""

from __future__ import annotations

from PySide6 import QtCore, QtGui, QtWidgets

from Testing.harness.pythonqt.declaring import stored
from Testing.harness.pythonqt.implementations import implements


@implements
class ctkDirectoryButton(QtWidgets.QWidget):
    directoryChanged = QtCore.Signal(str)
    directorySelected = QtCore.Signal(str)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._directory = QtCore.QDir.currentPath()
        self._button = QtWidgets.QPushButton(self)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._button)
        self.setFocusProxy(self._button)
        icon = QtWidgets.QStyle.StandardPixmap.SP_DirIcon
        self._button.setIcon(self.style().standardIcon(icon))
        self._button.clicked.connect(self.browse)
        self._show()

    def _setDirectory(self, directory: str) -> None:
        path = QtCore.QDir(directory).absolutePath() if directory else QtCore.QDir.currentPath()
        if path != self._directory:
            self._directory = path
            self._show()
            self.directorySelected.emit(path)
            self.directoryChanged.emit(path)

    directory = QtCore.Property(str, lambda self: self._directory, _setDirectory)
    acceptMode = stored(object, QtWidgets.QFileDialog.AcceptMode.AcceptOpen)
    caption = stored(str, "")
    text = stored(str, "", "_show")
    elideMode = stored(object, QtCore.Qt.TextElideMode.ElideMiddle, "_show")
    options = stored(int, 1)

    def _setIcon(self, icon: QtGui.QIcon) -> None:
        self._button.setIcon(icon)

    icon = QtCore.Property(QtGui.QIcon, lambda self: self._button.icon(), _setIcon)

    def browse(self) -> str:
        chosen = QtWidgets.QFileDialog.getExistingDirectory(self, self.caption, self._directory)
        if chosen:
            self._setDirectory(chosen)
        return self._directory

    def _show(self) -> None:
        width = max(self._button.width() - 40, 60)
        full = self.text or self._directory
        self._button.setText(self.fontMetrics().elidedText(full, self.elideMode, width))
        self._button.setToolTip(self._directory)

    def resizeEvent(self, event: QtGui.QResizeEvent) -> None:
        super().resizeEvent(event)
        self._show()
