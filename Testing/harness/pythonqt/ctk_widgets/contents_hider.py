"""Hides the children of a collapsed widget, and shows again those that were visible."""

from __future__ import annotations

from PySide6 import QtCore, QtWidgets


class ContentsHider(QtCore.QObject):
    """As CTK does it: a child that is shown while its parent is collapsed stays hidden until it is expanded."""

    def __init__(self, container: QtWidgets.QWidget) -> None:
        super().__init__(container)
        self._container = container
        self._collapsed = False
        self._forcing = False
        self._toShow: list[QtWidgets.QWidget] = []
        container.installEventFilter(self)
        for child in self._children():
            child.installEventFilter(self)

    def _children(self) -> list[QtWidgets.QWidget]:
        found = self._container.findChildren(
            QtWidgets.QWidget, options=QtCore.Qt.FindChildOption.FindDirectChildrenOnly
        )
        return [child for child in found if not child.isWindow()]

    def setCollapsed(self, collapsed: bool) -> None:
        self._collapsed = collapsed
        if collapsed:
            self._toShow = [child for child in self._children() if not child.isHidden()]
            self._force(self._toShow, False)
        else:
            self._force(self._toShow, True)
            self._toShow = []

    def _force(self, children: list[QtWidgets.QWidget], visible: bool) -> None:
        self._forcing = True
        for child in children:
            child.setVisible(visible)
        self._forcing = False

    def eventFilter(self, watched: QtCore.QObject, event: QtCore.QEvent) -> bool:
        container = getattr(self, "_container", None)  # gone while Python shuts down
        if container is None:
            return False
        kind = event.type()
        if watched is container:
            if isinstance(event, QtCore.QChildEvent) and kind == QtCore.QEvent.Type.ChildPolished:
                child = event.child()
                if isinstance(child, QtWidgets.QWidget):
                    child.installEventFilter(self)
                    self._keepHidden(child)
            return False
        if self._collapsed and not self._forcing and isinstance(watched, QtWidgets.QWidget):
            if kind == QtCore.QEvent.Type.ShowToParent:
                self._keepHidden(watched)
            elif kind == QtCore.QEvent.Type.HideToParent and watched in self._toShow:
                self._toShow.remove(watched)
        return False

    def _keepHidden(self, child: QtWidgets.QWidget) -> None:
        if self._collapsed and not child.isHidden() and not child.isWindow():
            if child not in self._toShow:
                self._toShow.append(child)
            self._force([child], False)
