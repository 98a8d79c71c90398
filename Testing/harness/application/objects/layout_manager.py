"""`slicer.app.layoutManager()` and the slice widgets that it returns."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from Testing.harness.application.slice_view import ClickableSliceView
from Testing.harness.application.views import SliceViews
from Testing.harness.pythonqt.implementations import implements


@implements
class qMRMLSliceView(QtWidgets.QWidget):
    """Has no picture of its own: `ClickableSliceView` renders off screen. Shows its pixels while `isDrawn`."""

    isDrawn = False

    def __init__(self, parent: QtWidgets.QWidget | None = None, view: ClickableSliceView | None = None) -> None:
        super().__init__(parent)
        self._view: Any = view
        self.setFocusPolicy(QtCore.Qt.FocusPolicy.StrongFocus)

    def mrmlSliceNode(self) -> Any:
        return self._view.node

    def renderWindow(self) -> Any:
        return self._view.renderWindow

    def interactor(self) -> Any:
        return self._view.interactor

    def interactorStyle(self) -> Any:
        return self._view.interactorStyle

    def sliceViewInteractorStyle(self) -> Any:
        return self._view.interactorStyle

    def interactorObserver(self) -> Any:
        return self._view.interactorStyle

    def displayableManagerByClassName(self, className: str) -> Any:
        return self._view.displayableManager(className)

    def convertRASToXYZ(self, ras: list[float]) -> list[float]:
        return [float(value) for value in self._view._xyzOf(ras)]

    def convertXYZToRAS(self, xyz: list[float]) -> list[float]:
        return [float(value) for value in self._view.node.GetXYToRAS().MultiplyPoint((*xyz, 1.0))[:3]]

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:
        painter = QtGui.QPainter(self)
        painter.fillRect(self.rect(), QtCore.Qt.GlobalColor.black)
        if self.isDrawn:
            pixels = self._view.pixels()
            height, width, _ = pixels.shape
            image = QtGui.QImage(pixels.tobytes(), width, height, 3 * width, QtGui.QImage.Format.Format_RGB888)
            scaled = image.scaled(self.size(), QtCore.Qt.AspectRatioMode.KeepAspectRatio)
            painter.drawImage((self.width() - scaled.width()) // 2, (self.height() - scaled.height()) // 2, scaled)
        painter.end()

    def scheduleRender(self) -> None:
        self._view.rendering.schedule_render()

    def forceRender(self) -> None:
        self._view.render()


@implements
class qMRMLSliceControllerWidget(QtWidgets.QWidget):
    def __init__(self, parent: QtWidgets.QWidget | None = None, view: ClickableSliceView | None = None) -> None:
        super().__init__(parent)
        self._view: Any = view

    def mrmlSliceNode(self) -> Any:
        return self._view.node

    def mrmlSliceCompositeNode(self) -> Any:
        return self._view.compositeNode

    def sliceLogic(self) -> Any:
        return self._view.logic

    def setSliceOffsetValue(self, offset: float) -> None:
        self._view.logic.SetSliceOffset(offset)

    def setSliceOrientation(self, orientation: str) -> None:
        self._view.node.SetOrientation(orientation)

    def setSliceVisible(self, visible: bool) -> None:
        self._view.node.SetSliceVisible(visible)

    def fitSliceToBackground(self) -> None:
        self._view.fit()


@implements
class qMRMLSliceWidget(QtWidgets.QWidget):
    def __init__(self, parent: QtWidgets.QWidget | None = None, view: ClickableSliceView | None = None) -> None:
        super().__init__(parent)
        self._view: Any = view
        self._sliceView = qMRMLSliceView(self, view)
        self._controller = qMRMLSliceControllerWidget(self, view)
        layout = QtWidgets.QVBoxLayout(self)
        layout.addWidget(self._controller)
        layout.addWidget(self._sliceView, 1)

    @property
    def sliceViewName(self) -> str:
        return str(self._view.name)

    @property
    def sliceOrientation(self) -> str:
        return str(self._view.node.GetOrientation())

    def mrmlSliceNode(self) -> Any:
        return self._view.node

    def mrmlAbstractViewNode(self) -> Any:
        return self._view.node

    def mrmlSliceCompositeNode(self) -> Any:
        return self._view.compositeNode

    def sliceLogic(self) -> Any:
        return self._view.logic

    def interactorStyle(self) -> Any:
        return self._view.interactorStyle

    def sliceView(self) -> qMRMLSliceView:
        return self._sliceView

    def sliceController(self) -> qMRMLSliceControllerWidget:
        return self._controller

    def fitSliceToBackground(self) -> None:
        self._view.fit()


@implements
class qSlicerLayoutManager(QtCore.QObject):
    """Knows the slice views that a test has opened; there are no 3D, table and plot views."""

    layoutChanged = QtCore.Signal(int)
    selectModule = QtCore.Signal(str)

    threeDViewCount = 0
    tableViewCount = 0
    plotViewCount = 0
    enabled = True

    def __init__(self, parent: QtCore.QObject, headless: Any) -> None:
        super().__init__(parent)
        self._headless = headless
        self._widgets: dict[str, qMRMLSliceWidget] = {}
        self._layout = 3  # SlicerLayoutFourUpView

    def attach(self, views: SliceViews | None) -> None:
        """The harness's: the views that `sliceWidget` gives from now on."""
        self._widgets = {view.name: qMRMLSliceWidget(None, view) for view in views or ()}

    def widgets(self) -> list[Any]:
        """The harness's."""
        return list(self._widgets.values())

    @property
    def layout(self) -> int:
        return self._layout

    @layout.setter
    def layout(self, layout: int) -> None:
        self.setLayout(layout)

    def setLayout(self, layout: int) -> None:
        if layout != self._layout:
            self._layout = layout
            self.layoutChanged.emit(layout)

    def mrmlScene(self) -> Any:
        return self._headless.scene

    def sliceViewNames(self) -> list[str]:
        return list(self._widgets)

    def sliceWidget(self, name: str) -> qMRMLSliceWidget | None:
        return self._widgets.get(name)

    def threeDWidget(self, _index: Any) -> None:
        return None

    def mrmlSliceLogics(self) -> Any:
        return self._headless.applicationLogic.GetSliceLogics()

    def mrmlViewLogics(self) -> Any:
        return self._headless.applicationLogic.GetViewLogics()

    def resetSliceViews(self) -> None:
        for widget in self._widgets.values():
            widget.fitSliceToBackground()

    def resetThreeDViews(self) -> None: ...

    def activeMRMLThreeDViewNode(self) -> None:
        return None
