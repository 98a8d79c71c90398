"""The small drawings in the segments table, each told apart by its shape."""

from __future__ import annotations

from functools import cache

from PySide6 import QtCore, QtGui

_SIZE = 16


def _canvas() -> tuple[QtGui.QPixmap, QtGui.QPainter]:
    pixmap = QtGui.QPixmap(_SIZE * 2, _SIZE * 2)
    pixmap.setDevicePixelRatio(2)
    pixmap.fill(QtCore.Qt.GlobalColor.transparent)
    painter = QtGui.QPainter(pixmap)
    painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
    painter.setPen(QtGui.QPen(QtGui.QColor("#404040"), 1.5))
    return pixmap, painter


@cache
def visibilityIcon(visible: bool) -> QtGui.QIcon:
    pixmap, painter = _canvas()
    painter.drawEllipse(QtCore.QRectF(1, 4, 14, 8))
    if visible:
        painter.setBrush(QtGui.QColor("#404040"))
        painter.drawEllipse(QtCore.QRectF(6, 6, 4, 4))
    else:
        painter.drawLine(2, 14, 14, 2)
    painter.end()
    return QtGui.QIcon(pixmap)


@cache
def statusIcon(status: int) -> QtGui.QIcon:
    """0 not started: a ring; 1 in progress: half full; 2 completed: a tick; 3 flagged: a flag."""
    pixmap, painter = _canvas()
    if status == 2:
        painter.drawPolyline([QtCore.QPointF(3, 8), QtCore.QPointF(7, 12), QtCore.QPointF(13, 4)])
    elif status == 3:
        painter.drawLine(4, 2, 4, 14)
        painter.setBrush(QtGui.QColor("#b04000"))
        painter.drawPolygon([QtCore.QPointF(4, 2), QtCore.QPointF(13, 5), QtCore.QPointF(4, 8)])
    else:
        painter.drawEllipse(QtCore.QRectF(3, 3, 10, 10))
        if status == 1:
            painter.setBrush(QtGui.QColor("#404040"))
            painter.drawPie(QtCore.QRectF(3, 3, 10, 10), 90 * 16, -180 * 16)
    painter.end()
    return QtGui.QIcon(pixmap)
