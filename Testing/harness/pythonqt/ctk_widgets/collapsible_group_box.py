"""`ctkCollapsibleGroupBox`: a group box whose check mark hides the contents."""

from __future__ import annotations

from PySide6 import QtCore, QtWidgets

from Testing.harness.pythonqt.ctk_widgets.contents_hider import ContentsHider
from Testing.harness.pythonqt.declaring import stored
from Testing.harness.pythonqt.implementations import implements


@implements
class ctkCollapsibleGroupBox(QtWidgets.QGroupBox):
    """Checked means expanded; the children stay enabled in either case."""

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._hider = ContentsHider(self)
        self._maximumHeight = self.maximumHeight()
        self.setCheckable(True)
        self.setChecked(True)
        self.toggled.connect(self._expand)

    def _readCollapsed(self) -> bool:
        return not self.isChecked()

    def _writeCollapsed(self, collapsed: bool) -> None:
        self.setChecked(not collapsed)

    collapsed = QtCore.Property(bool, _readCollapsed, _writeCollapsed)
    collapsedHeight = stored(int, 14)

    def _expand(self, expanded: bool) -> None:
        self._hider.setCollapsed(not expanded)
        if expanded:
            self.setMaximumHeight(self._maximumHeight)
        else:
            self._maximumHeight = self.maximumHeight()
            self.setMaximumHeight(self.fontMetrics().height() + self.collapsedHeight)
        self.updateGeometry()
