"""One scripted module that is open in a module panel."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from Testing.harness.application.waiting import processEvents

if TYPE_CHECKING:
    from Testing.harness.application.slicer_application import SlicerApplication


class OpenModule:
    """
    Attributes:
        name: of the module.
        module: `slicer.modules.<name>`.
        dock: the PySide6 scroll area around it, as wide as Slicer's module panel is.
    """

    def __init__(self, application: SlicerApplication, path: Path, width: int, height: int) -> None:
        from Testing.harness.application.objects.scripted_module import qSlicerScriptedLoadableModule
        from Testing.harness.pythonqt.wrapping import wrap

        self._application = application
        self._object = qSlicerScriptedLoadableModule(path.resolve(), application.scene)
        self.name = self._object.name
        self.module = wrap(self._object)
        try:
            self._load(width, height)
        except BaseException:
            self._forget()
            raise

    def _load(self, width: int, height: int) -> None:
        import slicer
        from PySide6 import QtCore, QtWidgets

        # Before the constructor of the Python class, which asks for its path.
        setattr(slicer.modules, self.name.lower(), self.module)
        self._object.load()
        panel = self._object.widgetRepresentation()
        self._application._object.moduleManager().add(self._object)
        # Slicer's module panel: as wide as the dock, no horizontal scroll bar.
        self.dock = QtWidgets.QScrollArea()
        self.dock.setHorizontalScrollBarPolicy(QtCore.Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.dock.setWidgetResizable(True)
        panel.layout().setContentsMargins(0, 0, 0, 0)
        panel.setSizePolicy(QtWidgets.QSizePolicy.Policy.Ignored, panel.sizePolicy().verticalPolicy())
        self.dock.setWidget(panel)
        self._width = width
        self.resize(width, height)
        self._show()

    @property
    def widget(self) -> Any:
        """The module's Python widget; another one after a reload."""
        return self._object.widgetRepresentation().self()

    @property
    def parent(self) -> Any:
        """The qSlicerScriptedLoadableModuleWidget that holds the panel."""
        from Testing.harness.pythonqt.wrapping import wrap

        return wrap(self._object.widgetRepresentation())

    @property
    def logic(self) -> Any:
        return self.widget.logic

    @property
    def isEntered(self) -> bool:
        return bool(self._object.widgetRepresentation().isEntered)

    def resize(self, width: int, height: int) -> None:
        """Of the module panel, in pixels; in a main window the height is that of the window."""
        self._width = width
        if self._application.mainWindow is None:
            self.dock.resize(width, height)
        else:
            self._application.mainWindow.showPanel(self.dock, width)
        processEvents()

    def _show(self) -> None:
        if self._application.mainWindow is not None:
            self._application.mainWindow.showPanel(self.dock, self._width)
        self.dock.show()
        processEvents()

    def enter(self) -> None:
        """The user selects the module."""
        if not self.isEntered:
            self._show()
            self._object.widgetRepresentation().enter()
            processEvents()

    def exit(self) -> None:
        """The user selects another module."""
        if self.isEntered:
            self._object.widgetRepresentation().exit()
            self.dock.hide()
            processEvents()

    def reload(self) -> None:
        """The developer's Reload button."""
        import slicer

        slicer.util.reloadScriptedModule(self.name)
        processEvents()

    def picture(self, path: str | Path) -> Path:
        """Writes the whole panel, as wide as the dock and as high as it wants to be, to a PNG."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        processEvents()
        self._object.widgetRepresentation().grab().save(str(path))
        return path

    def close(self) -> None:
        """Slicer ends, or unloads the module: leaves it, calls `cleanup()`, deletes the panel."""
        self.exit()
        self._application._object.moduleManager().remove(self.name)
        self._application.modules.remove(self)
        self._forget()
        self.dock.deleteLater()
        processEvents()

    def _forget(self) -> None:
        import slicer

        for attribute in (self.name.lower(), f"{self.name}Widget", f"{self.name}Instance"):
            vars(slicer.modules).pop(attribute, None)
        slicer.selfTests.pop(self.name, None)
        sys.modules.pop(self.name, None)
