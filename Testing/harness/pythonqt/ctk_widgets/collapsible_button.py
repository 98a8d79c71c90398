"""`ctkCollapsibleButton`: a header to click on, and contents that it hides."""

from __future__ import annotations

from PySide6 import QtCore, QtGui, QtWidgets

from Testing.harness.pythonqt.ctk_widgets.contents_hider import ContentsHider
from Testing.harness.pythonqt.declaring import stored
from Testing.harness.pythonqt.implementations import implements

_MARGIN = 4
_Alignment = QtCore.Qt.AlignmentFlag


@implements
class ctkCollapsibleButton(QtWidgets.QAbstractButton):
    """Not checkable by default: a click on the header collapses or expands. Checkable: checked means expanded."""

    contentsCollapsed = QtCore.Signal(bool)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._collapsed = False
        self._maximumHeight = self.maximumHeight()
        self._hider = ContentsHider(self)
        policy = QtWidgets.QSizePolicy.Policy
        self.setSizePolicy(policy.Minimum, policy.Preferred)
        self.setContentsMargins(0, self._headerHeight(), 0, 0)
        self.setBackgroundRole(QtGui.QPalette.ColorRole.Window)
        self.setFocusPolicy(QtCore.Qt.FocusPolicy.StrongFocus)
        self.toggled.connect(self._onToggled)

    def _readCollapsed(self) -> bool:
        return self._collapsed

    def _writeCollapsed(self, collapsed: bool) -> None:
        if self.isCheckable():
            self.setChecked(not collapsed)
        else:
            self._collapse(collapsed)

    collapsed = QtCore.Property(bool, _readCollapsed, _writeCollapsed)
    collapsedHeight = stored(int, 10, "_updateHeight")
    flat = stored(bool, False, "update")
    contentsFrameShape = stored(object, QtWidgets.QFrame.Shape.NoFrame, "update")
    contentsFrameShadow = stored(object, QtWidgets.QFrame.Shadow.Plain, "update")
    contentsLineWidth = stored(int, 1, "update")
    contentsMidLineWidth = stored(int, 0, "update")
    buttonTextAlignment = stored(object, _Alignment.AlignLeft | _Alignment.AlignVCenter, "update")
    indicatorAlignment = stored(object, _Alignment.AlignLeft | _Alignment.AlignVCenter, "update")

    def _onToggled(self, checked: bool) -> None:
        if self.isCheckable():
            self._collapse(not checked)

    def nextCheckState(self) -> None:
        if self.isCheckable():
            super().nextCheckState()
        else:
            self._collapse(not self._collapsed)

    def _collapse(self, collapsed: bool) -> None:
        if collapsed == self._collapsed:
            return
        if collapsed:
            self._maximumHeight = self.maximumHeight()
        self._collapsed = collapsed
        self._hider.setCollapsed(collapsed)
        self._updateHeight()
        self.contentsCollapsed.emit(collapsed)

    def _updateHeight(self) -> None:
        if self._collapsed:
            self.setMaximumHeight(self._headerHeight() + self.collapsedHeight)
        else:
            self.setMaximumHeight(self._maximumHeight)
        self.updateGeometry()
        self.update()

    def _headerHeight(self) -> int:
        return max(self.fontMetrics().height(), self._indicatorSize()) + 2 * _MARGIN

    def _indicatorSize(self) -> int:
        return self.style().pixelMetric(QtWidgets.QStyle.PixelMetric.PM_IndicatorHeight)

    def _headerWidth(self) -> int:
        text = self.fontMetrics().size(QtCore.Qt.TextFlag.TextShowMnemonic, self.text()).width()
        return text + self._indicatorSize() + 4 * _MARGIN

    def hitButton(self, position: QtCore.QPoint) -> bool:
        return position.y() < self._headerHeight() and self.rect().contains(position)

    def sizeHint(self) -> QtCore.QSize:
        layout = self.layout()
        inner = layout.totalSizeHint() if layout is not None and not self._collapsed else QtCore.QSize()
        return self._withHeader(inner)

    def minimumSizeHint(self) -> QtCore.QSize:
        layout = self.layout()
        inner = layout.totalMinimumSize() if layout is not None and not self._collapsed else QtCore.QSize()
        return self._withHeader(inner)

    def _withHeader(self, inner: QtCore.QSize) -> QtCore.QSize:
        height = self._headerHeight() + (self.collapsedHeight if self._collapsed else 0)
        return inner.expandedTo(QtCore.QSize(self._headerWidth(), height))

    def changeEvent(self, event: QtCore.QEvent) -> None:
        if event.type() in (QtCore.QEvent.Type.FontChange, QtCore.QEvent.Type.StyleChange):
            self.setContentsMargins(0, self._headerHeight(), 0, 0)
        super().changeEvent(event)

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:
        painter = QtGui.QPainter(self)
        option = QtWidgets.QStyleOptionButton()
        option.initFrom(self)
        option.rect = QtCore.QRect(0, 0, self.width(), self._headerHeight())
        raised = QtWidgets.QStyle.StateFlag.State_Sunken if self.isDown() else QtWidgets.QStyle.StateFlag.State_Raised
        option.state |= raised
        style = self.style()
        if not self.flat:
            style.drawControl(QtWidgets.QStyle.ControlElement.CE_PushButtonBevel, option, painter, self)
        self._paintArrow(painter, QtCore.QPointF(3 * _MARGIN, option.rect.center().y()))
        textRect = option.rect.adjusted(self._indicatorSize() + 2 * _MARGIN, 0, -_MARGIN, 0)
        flags = int(self.buttonTextAlignment.value) | int(QtCore.Qt.TextFlag.TextShowMnemonic.value)
        enabled, role = self.isEnabled(), QtGui.QPalette.ColorRole.ButtonText
        style.drawItemText(painter, textRect, flags, self.palette(), enabled, self.text(), role)
        if self.hasFocus():
            focus = QtWidgets.QStyleOptionFocusRect()
            focus.initFrom(self)
            focus.rect = option.rect.adjusted(2, 2, -2, -2)
            style.drawPrimitive(QtWidgets.QStyle.PrimitiveElement.PE_FrameFocusRect, focus, painter, self)
        painter.end()

    def _paintArrow(self, painter: QtGui.QPainter, center: QtCore.QPointF) -> None:
        along, across = (0.0, 4.0) if self._collapsed else (4.0, 0.0)
        corners = [QtCore.QPointF(-along - across / 2, -across - along / 2) + center]
        corners.append(QtCore.QPointF(along - across / 2, across - along / 2) + center)
        corners.append(QtCore.QPointF(across / 2, along / 2) + center)
        painter.save()
        painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
        painter.setPen(QtCore.Qt.PenStyle.NoPen)
        painter.setBrush(self.palette().color(QtGui.QPalette.ColorRole.ButtonText))
        painter.drawPolygon(corners)
        painter.restore()
