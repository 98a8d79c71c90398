"""`ctkFittedTextBrowser`: as high as its text."""

from __future__ import annotations

from PySide6 import QtCore, QtGui, QtWidgets

from Testing.harness.pythonqt.declaring import stored
from Testing.harness.pythonqt.implementations import implements


@implements
class ctkFittedTextBrowser(QtWidgets.QTextBrowser):
    """Collapsible text: the part after `<!--more-->` is hidden until "Show details" is clicked."""

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._collapsible = ""
        self.setHorizontalScrollBarPolicy(QtCore.Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        policy = QtWidgets.QSizePolicy.Policy
        self.setSizePolicy(policy.Ignored, policy.Preferred)
        self.document().documentLayout().documentSizeChanged.connect(self._onDocumentSize)
        self.anchorClicked.connect(self._onAnchor)

    def _onDocumentSize(self, _size: QtCore.QSizeF) -> None:
        self.updateGeometry()

    disableMouseScroll = stored(bool, False)
    collapsed = stored(bool, True, "_showCollapsible")
    showDetailsText = stored(str, "Show details...", "_showCollapsible")
    hideDetailsText = stored(str, "Hide details", "_showCollapsible")

    def setCollapsibleText(self, text: str) -> None:
        self._collapsible = text
        self._showCollapsible()

    setCollapsibleHtml = setCollapsibleText

    def setCollapsiblePlainText(self, text: str) -> None:
        self.setCollapsibleText(text.replace("\n", "<br>"))

    def collapsibleText(self) -> str:
        return self._collapsible

    def _showCollapsible(self) -> None:
        teaser, separator, rest = self._collapsible.partition("<!--more-->")
        if not separator:
            self.setHtml(self._collapsible)
        elif self.collapsed:
            self.setHtml(f'{teaser}<br><a href="#">{self.showDetailsText}</a>')
        else:
            self.setHtml(f'{teaser}{rest}<br><a href="#">{self.hideDetailsText}</a>')

    def _onAnchor(self, address: QtCore.QUrl) -> None:
        if address.toString() == "#":
            self.collapsed = not self.collapsed

    def heightForWidth(self, width: int) -> int:
        document = self.document().clone()
        document.setTextWidth(width - 2 * self.frameWidth())
        height = int(document.size().height()) + 2 * self.frameWidth()
        document.deleteLater()
        return height

    def sizeHint(self) -> QtCore.QSize:
        return QtCore.QSize(super().sizeHint().width(), self.heightForWidth(max(self.width(), 50)))

    def minimumSizeHint(self) -> QtCore.QSize:
        return QtCore.QSize(50, self.heightForWidth(max(self.width(), 50)))

    def resizeEvent(self, event: QtGui.QResizeEvent) -> None:
        super().resizeEvent(event)
        self.updateGeometry()

    def wheelEvent(self, event: QtGui.QWheelEvent) -> None:
        if self.disableMouseScroll:
            event.ignore()
            return
        super().wheelEvent(event)
