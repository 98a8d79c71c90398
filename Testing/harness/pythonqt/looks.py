"""What a user sees: pictures, what is cut off, and where Tab goes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from Testing.harness.pythonqt.wrapping import unwrap, wrap

# Widgets that Qt puts inside others and clips or scrolls on purpose.
_INNER = (
    QtWidgets.QScrollBar,
    QtWidgets.QHeaderView,
    QtWidgets.QSizeGrip,
    QtWidgets.QRubberBand,
    QtWidgets.QFocusFrame,
    QtWidgets.QTabBar,
)


def grab(widget: Any, path: str | Path, scale: float = 1.0) -> Path:
    """Writes what the widget looks like as PNG.

    Args:
        scale: device pixel ratio, 2.0 for a screen at 200 %.
    """
    native, target = unwrap(widget), Path(path)
    QtWidgets.QApplication.processEvents()
    size = native.size() * scale
    image = QtGui.QImage(size, QtGui.QImage.Format.Format_ARGB32_Premultiplied)
    image.setDevicePixelRatio(scale)
    image.fill(native.palette().color(QtGui.QPalette.ColorRole.Window))
    native.render(image)
    target.parent.mkdir(parents=True, exist_ok=True)
    if not image.save(str(target)):
        raise OSError(f"The picture could not be written: {target}")
    return target


@dataclass(frozen=True)
class CutOff:
    """`missing`: how many pixels it would need more."""

    name: str
    why: str
    missing: int
    widget: Any


def cutOffWidgets(widget: Any) -> list[CutOff]:
    """The visible widgets whose text does not fit, or that stick out of their parent."""
    top = unwrap(widget)
    QtWidgets.QApplication.processEvents()
    found: list[CutOff] = []
    for native in [top, *top.findChildren(QtWidgets.QWidget)]:
        if not native.isVisible() or native.window() is not top.window() or isinstance(native, _INNER):
            continue
        findings = (_stickingOut(native, top), _shortOfText(native), _belowMinimum(native), _scrolledSideways(native))
        for why, missing in (*findings, _shortHeader(native)):
            if missing > 0:
                found.append(CutOff(native.objectName() or type(native).__name__, why, missing, wrap(native)))
    return found


def _stickingOut(native: QtWidgets.QWidget, top: QtWidgets.QWidget) -> tuple[str, int]:
    parent = native.parentWidget()
    if native is top or parent is None or _isScrolled(native):
        return "sticks out of its parent", 0
    inside = parent.rect()
    frame = native.geometry()
    missing = max(
        inside.left() - frame.left(),
        inside.top() - frame.top(),
        frame.right() - inside.right(),
        frame.bottom() - inside.bottom(),
    )
    return "sticks out of its parent", missing


def _isScrolled(native: QtWidgets.QWidget) -> bool:
    """The content of a scroll area may be larger in the directions that have a scroll bar."""
    parent = native.parentWidget()
    area = parent.parentWidget() if parent is not None else None
    return isinstance(area, QtWidgets.QAbstractScrollArea) and area.viewport() is parent


def _shortOfText(native: QtWidgets.QWidget) -> tuple[str, int]:
    needed, room = _textWidths(native)
    if isinstance(native, QtWidgets.QLabel) and native.wordWrap() and native.text():
        needed, room = native.heightForWidth(native.width()), native.height()
    return "its text does not fit", needed - room


def _textWidths(native: QtWidgets.QWidget) -> tuple[int, int]:
    """The pixels that the text needs, and those that it has; (0, 0) if it may be elided or scrolled."""
    metrics = native.fontMetrics()
    mnemonic = QtCore.Qt.TextFlag.TextShowMnemonic
    if isinstance(native, QtWidgets.QLabel):
        if native.wordWrap() or not native.text():
            return 0, 0
        return native.sizeHint().width(), native.width()
    if isinstance(native, QtWidgets.QToolButton) and not _showsText(native):
        return 0, 0
    if isinstance(native, QtWidgets.QAbstractButton) and native.text():
        return _buttonWidth(native, metrics.size(mnemonic, native.text()).width()), native.width()
    if isinstance(native, QtWidgets.QGroupBox) and native.title():
        indicator = 24 if native.isCheckable() else 8
        return metrics.size(mnemonic, native.title()).width() + indicator, native.width()
    if isinstance(native, QtWidgets.QComboBox) and not native.isEditable():
        return _comboWidths(native)
    if isinstance(native, QtWidgets.QLineEdit) and native.isReadOnly():
        return metrics.horizontalAdvance(native.text()) + 8, native.width()
    if isinstance(native, QtWidgets.QAbstractSpinBox):
        edit = native.findChild(QtWidgets.QLineEdit)
        return (metrics.horizontalAdvance(native.text()) + 2, edit.width()) if edit is not None else (0, 0)
    return 0, 0


def _showsText(button: QtWidgets.QToolButton) -> bool:
    return button.toolButtonStyle() != QtCore.Qt.ToolButtonStyle.ToolButtonIconOnly or button.icon().isNull()


def _buttonWidth(button: QtWidgets.QAbstractButton, text: int) -> int:
    beside = button.iconSize().width() + 4 if not button.icon().isNull() else 0
    if isinstance(button, QtWidgets.QToolButton):
        under = button.toolButtonStyle() == QtCore.Qt.ToolButtonStyle.ToolButtonTextUnderIcon
        onlyText = button.toolButtonStyle() == QtCore.Qt.ToolButtonStyle.ToolButtonTextOnly
        return text + (0 if under or onlyText else beside) + 4
    if isinstance(button, (QtWidgets.QCheckBox, QtWidgets.QRadioButton)):
        width = button.style().pixelMetric(QtWidgets.QStyle.PixelMetric.PM_IndicatorWidth)
        return text + width + 4 + beside
    if isinstance(button, QtWidgets.QPushButton):
        return text + beside + (16 if button.menu() is not None else 0) + 6
    return text + beside + 20


def _comboWidths(box: QtWidgets.QComboBox) -> tuple[int, int]:
    from Testing.harness.pythonqt.ctk_widgets.combo_box import ctkComboBox

    if isinstance(box, ctkComboBox) and box.elideMode != QtCore.Qt.TextElideMode.ElideNone:
        return 0, 0
    option = QtWidgets.QStyleOptionComboBox()
    box.initStyleOption(option)
    control, part = QtWidgets.QStyle.ComplexControl.CC_ComboBox, QtWidgets.QStyle.SubControl.SC_ComboBoxEditField
    field = box.style().subControlRect(control, option, part, box)
    icon = box.iconSize().width() + 4 if not option.currentIcon.isNull() else 0
    return box.fontMetrics().horizontalAdvance(box.currentText()) + icon, field.width()


def _belowMinimum(native: QtWidgets.QWidget) -> tuple[str, int]:
    """Smaller than Qt says that it can be drawn; layouts allow that only when a window is too small."""
    hint = native.minimumSizeHint()
    missing = 0
    if isinstance(native.parentWidget(), (QtWidgets.QAbstractSpinBox, QtWidgets.QComboBox)):
        return "smaller than its minimum size", 0
    policy = native.sizePolicy()
    ignored = QtWidgets.QSizePolicy.Policy.Ignored
    if hint.isValid() and native.layout() is None and not isinstance(native, QtWidgets.QAbstractScrollArea):
        if policy.horizontalPolicy() != ignored and native.minimumWidth() == 0:
            missing = max(missing, hint.width() - native.width())
        if policy.verticalPolicy() != ignored and native.minimumHeight() == 0:
            missing = max(missing, hint.height() - native.height())
    return "smaller than its minimum size", missing


def _scrolledSideways(native: QtWidgets.QWidget) -> tuple[str, int]:
    why = "has to be scrolled sideways"
    if not isinstance(native, QtWidgets.QAbstractScrollArea) or isinstance(native, QtWidgets.QPlainTextEdit):
        return why, 0
    bar = native.horizontalScrollBar()
    return why, bar.maximum() if bar.isVisible() else 0


def _shortHeader(native: QtWidgets.QWidget) -> tuple[str, int]:
    why = "a header does not fit"
    if not isinstance(native, (QtWidgets.QTableView, QtWidgets.QTreeView)):
        return why, 0
    header = native.horizontalHeader() if isinstance(native, QtWidgets.QTableView) else native.header()
    if not header.isVisible():
        return why, 0
    sections = [number for number in range(header.count()) if not header.isSectionHidden(number)]
    return why, max((header.sectionSizeHint(number) - header.sectionSize(number) for number in sections), default=0)


def tabOrder(widget: Any) -> list[Any]:
    """The widgets that Tab visits one after another inside `widget`, as proxies (CTK's boxes, not parts)."""
    top = unwrap(widget)
    order: list[Any] = []
    current = top.nextInFocusChain()
    while current is not None and current is not top:
        if _takesTab(current) and top.isAncestorOf(current):
            shown = _outermost(current, top)
            if shown not in order:
                order.append(shown)
        current = current.nextInFocusChain()
    return [wrap(native) for native in order]


def _takesTab(native: QtWidgets.QWidget) -> bool:
    policy = native.focusPolicy()
    tab = QtCore.Qt.FocusPolicy.TabFocus
    return bool(policy & tab) and native.isVisible() and native.isEnabled() and native.focusProxy() is None


def _outermost(native: QtWidgets.QWidget, top: QtWidgets.QWidget) -> QtWidgets.QWidget:
    """The widget that hands its focus to this one."""
    found = native
    parent = native.parentWidget()
    while parent is not None and parent is not top:
        if parent.focusProxy() is native:
            found = parent
        parent = parent.parentWidget()
    return found
