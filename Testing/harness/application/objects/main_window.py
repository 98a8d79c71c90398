"""Slicer's main window, as far as a module meets it: the module selector, the dock of the module panel, the views."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6 import QtCore, QtWidgets

from Testing.harness.pythonqt.implementations import implements

_FOUR_UP = ((0, 0), (1, 0), (1, 1))  # rows and columns of Red, Green, Yellow; the 3D view's place stays empty


@implements
class qSlicerModuleSelectorToolBar(QtWidgets.QToolBar):
    """Selecting a module leaves the one that was selected."""

    moduleSelected = QtCore.Signal(str)

    def __init__(self, names: Callable[[], list[str]], select: Callable[[str], None]) -> None:
        super().__init__()
        self._names, self._select = names, select
        self._history: list[str] = []
        self._position = -1

    @property
    def selectedModule(self) -> str:
        return self._history[self._position] if self._history else ""

    @selectedModule.setter
    def selectedModule(self, name: str) -> None:
        self.selectModule(name)

    def selectModule(self, name: str) -> None:
        """Raises ValueError for a module that there is not, for which Slicer would do nothing."""
        if name not in self._names():
            raise ValueError(f"Slicer has no module {name!r}; the harness knows {', '.join(self._names())}")
        if name != self.selectedModule:
            self._history[self._position + 1 :] = [name]
            self._position = len(self._history) - 1
        self._go(name)

    def selectPreviousModule(self) -> None:
        if self._position > 0:
            self._position -= 1
            self._go(self.selectedModule)

    def selectNextModule(self) -> None:
        if self._position < len(self._history) - 1:
            self._position += 1
            self._go(self.selectedModule)

    def forget(self) -> None:
        """The harness's: the history is empty again."""
        self._history.clear()
        self._position = -1

    def _go(self, name: str) -> None:
        self._select(name)
        self.moduleSelected.emit(name)


@implements
class qSlicerMainWindow(QtWidgets.QMainWindow):
    """Module panel on the left, views on the right, both in one window, so that shortcuts meet as in Slicer."""

    def __init__(self, selector: qSlicerModuleSelectorToolBar) -> None:
        super().__init__()
        self.setObjectName("qSlicerMainWindow")
        self._selector = selector
        self.addToolBar(selector)
        self._dock = QtWidgets.QDockWidget("Module Panel", self)
        self._dock.setObjectName("PanelDockWidget")
        self.addDockWidget(QtCore.Qt.DockWidgetArea.LeftDockWidgetArea, self._dock)
        views = QtWidgets.QWidget(self)
        views.setObjectName("CentralWidgetLayoutFrame")
        QtWidgets.QGridLayout(views)
        self.setCentralWidget(views)
        self.statusBar()
        self.resize(1280, 960)

    def moduleSelector(self) -> qSlicerModuleSelectorToolBar:
        return self._selector

    def showPanel(self, panel: Any, width: int) -> None:
        """The harness's: what the module panel contains, and how many pixels wide the dock is."""
        if self._dock.widget() is not panel:
            self._dock.setWidget(panel)
        self.resizeDocks([self._dock], [width], QtCore.Qt.Orientation.Horizontal)

    def showViews(self, widgets: list[Any]) -> None:
        """The harness's: the slice widgets, which can have the focus here; they show nothing."""
        layout = self.centralWidget().layout()
        assert isinstance(layout, QtWidgets.QGridLayout)
        while (item := layout.takeAt(0)) is not None:
            item.widget().setParent(None)
        for widget, (row, column) in zip(widgets, _FOUR_UP, strict=False):
            layout.addWidget(widget, row, column)
