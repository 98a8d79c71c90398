"""The user's hands: real mouse and key events on real widgets, refused where a user could not do it either."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from PySide6 import QtCore, QtGui, QtTest, QtWidgets

from Testing.harness.pythonqt.wrapping import unwrap, wrap

_Left = QtCore.Qt.MouseButton.LeftButton
_SHORT = 10  # milliseconds


class CannotDoThat(AssertionError):
    """A user could not do this: hidden, disabled, covered, or not there."""


def processEvents(until: Callable[[], Any] | None = None, timeout: float = 5.0) -> None:
    """Lets Qt work: once, or until the condition holds.

    Args:
        timeout: seconds.

    Raises:
        CannotDoThat: the condition did not come true in time.
    """
    if until is None:
        _work()
        return
    end = time.monotonic() + timeout
    while not until():
        if time.monotonic() > end:
            raise CannotDoThat(f"Waited {timeout} s in vain.")
        _work()
        time.sleep(0.002)


def _work() -> None:
    QtWidgets.QApplication.processEvents()
    # processEvents leaves out what deleteLater() has asked for.
    QtCore.QCoreApplication.sendPostedEvents(None, QtCore.QEvent.Type.DeferredDelete)


def clickOn(widget: Any, position: tuple[int, int] | None = None) -> None:
    """Presses and releases the left button on a widget, as seen on the screen.

    Args:
        position: (x, y) in pixels inside the widget; the middle by default, the indicator of a check box, the header
            of a collapsible button.

    Raises:
        CannotDoThat: hidden, disabled, behind a modal dialog, scrolled away, or covered by another widget.
    """
    native = unwrap(widget)
    _work()
    point = QtCore.QPoint(*position) if position is not None else _clickablePoint(native)
    target = _targetAt(native, point)
    place = target.mapFrom(native, point) if native.isAncestorOf(target) else point
    QtTest.QTest.mouseClick(target, _Left, QtCore.Qt.KeyboardModifier.NoModifier, place)
    _work()


def _clickablePoint(native: QtWidgets.QWidget) -> QtCore.QPoint:
    style = QtWidgets.QStyle
    if isinstance(native, (QtWidgets.QCheckBox, QtWidgets.QRadioButton)):
        option = QtWidgets.QStyleOptionButton()
        native.initStyleOption(option)
        element = style.SubElement.SE_CheckBoxIndicator
        return native.style().subElementRect(element, option, native).center()
    if isinstance(native, QtWidgets.QAbstractButton):
        middle = native.rect().center()
        return middle if native.hitButton(middle) else QtCore.QPoint(middle.x(), native.fontMetrics().height() // 2)
    if isinstance(native, QtWidgets.QGroupBox) and native.isCheckable():
        group = QtWidgets.QStyleOptionGroupBox()
        native.initStyleOption(group)
        control, part = style.ComplexControl.CC_GroupBox, style.SubControl.SC_GroupBoxCheckBox
        return native.style().subControlRect(control, group, part, native).center()
    return native.rect().center()


def _targetAt(native: QtWidgets.QWidget, point: QtCore.QPoint) -> QtWidgets.QWidget:
    name = native.objectName() or type(native).__name__
    if not native.isVisible():
        raise CannotDoThat(f"{name} is not visible.")
    if not native.isEnabled():
        raise CannotDoThat(f"{name} is disabled; its tooltip: {native.toolTip()!r}")
    modal = QtWidgets.QApplication.activeModalWidget()
    if modal is not None and modal is not native.window() and not modal.isAncestorOf(native):
        raise CannotDoThat(f"{name} is behind the modal window {modal.windowTitle()!r}.")
    window = native.window()
    ancestor: QtWidgets.QWidget | None = native
    while ancestor is not None:
        if not ancestor.rect().contains(native.mapTo(ancestor, point)):
            raise CannotDoThat(f"{name} is cut off or scrolled away where it is to be clicked.")
        ancestor = ancestor.parentWidget() if ancestor is not window else None
    hit = window.childAt(native.mapTo(window, point)) if native is not window else native
    hit = hit if hit is not None else window
    if hit is not native and not native.isAncestorOf(hit):
        if hit.isAncestorOf(native) and native.testAttribute(QtCore.Qt.WidgetAttribute.WA_TransparentForMouseEvents):
            return native
        raise CannotDoThat(f"{name} is covered by {hit.objectName() or type(hit).__name__}.")
    return hit


def typeInto(widget: Any, text: str) -> None:
    """Clicks into the widget, replaces what is there by the text, key by key.

    A combo box, spin box, or CTK's boxes around one get it in their line edit. Return is not pressed.
    """
    native = unwrap(widget)
    field = _textField(native)
    clickOn(field)
    field.setFocus()
    if isinstance(field, QtWidgets.QPlainTextEdit | QtWidgets.QTextEdit | QtWidgets.QLineEdit):
        if field.isReadOnly():
            raise CannotDoThat(f"{native.objectName() or type(native).__name__} is read only.")
        field.selectAll()
    if text:
        QtTest.QTest.keyClicks(field, text)
    else:
        QtTest.QTest.keyClick(field, QtCore.Qt.Key.Key_Delete)
    _work()


def _textField(native: QtWidgets.QWidget) -> QtWidgets.QWidget:
    kinds = (QtWidgets.QLineEdit, QtWidgets.QPlainTextEdit, QtWidgets.QTextEdit)
    if isinstance(native, kinds):
        return native
    found = [child for child in native.findChildren(QtWidgets.QLineEdit) if child.isVisible()]
    if not found:
        raise CannotDoThat(f"There is nothing to type into in {native.objectName() or type(native).__name__}.")
    return found[0]


def pressKey(widget: Any, sequence: str) -> None:
    """Presses keys, say "Return" or "Ctrl+Z", with the focus where `widget` has it; shortcuts act as in real life.

    Raises:
        CannotDoThat: not a key sequence, or the widget is hidden or disabled.
    """
    native = unwrap(widget)
    _work()
    keys = QtGui.QKeySequence(sequence)
    if keys.isEmpty():
        raise CannotDoThat(f"{sequence!r} is no key.")
    if not native.isVisible() or not native.isEnabled():
        raise CannotDoThat(f"{native.objectName() or type(native).__name__} is hidden or disabled.")
    activate(native)
    if native.focusPolicy() != QtCore.Qt.FocusPolicy.NoFocus or native.focusProxy() is not None:
        native.setFocus()
    _work()
    target = native.window().focusWidget() or native
    for index in range(keys.count()):
        combination = keys[index]
        _sendKey(target, combination)
    _work()


def _sendKey(target: QtWidgets.QWidget, combination: Any) -> None:
    window = target.window().windowHandle()
    # Through the window, so that shortcuts are looked up first, as with a real keyboard.
    if window is not None and target.window().isActiveWindow():
        QtTest.QTest.keyClick(window, combination.key(), combination.keyboardModifiers())
    else:
        QtTest.QTest.keyClick(target, combination.key(), combination.keyboardModifiers())


def activate(widget: Any) -> None:
    """Makes the window of this widget the active one; shortcuts need that."""
    window = unwrap(widget).window()
    window.show()
    window.raise_()
    window.activateWindow()
    _work()


def choose(combo: Any, text: str) -> None:
    """Opens a combo box (or a selector with one inside) and clicks on the entry with this text.

    Raises:
        CannotDoThat: there is no such entry, or it cannot be chosen.
    """
    box = _comboOf(unwrap(combo))
    interval = QtWidgets.QApplication.doubleClickInterval()
    # For that long, Qt takes the next release for the end of the click that opened the list.
    QtWidgets.QApplication.setDoubleClickInterval(_SHORT)
    try:
        _chooseFrom(box, text)
    finally:
        QtWidgets.QApplication.setDoubleClickInterval(interval)


def _chooseFrom(box: QtWidgets.QComboBox, text: str) -> None:
    clickOn(box, (box.width() - 8, box.height() // 2) if box.isEditable() else None)
    view = box.view()
    if not view.isVisible():
        raise CannotDoThat(f"{box.objectName()} did not open.")
    model = box.model()
    rows = [row for row in range(model.rowCount()) if model.index(row, box.modelColumn()).data() == text]
    if not rows:
        shown = [str(model.index(row, box.modelColumn()).data() or "") for row in range(model.rowCount())]
        box.hidePopup()
        raise CannotDoThat(f"There is no {text!r}; there are {shown}")
    index = model.index(rows[0], box.modelColumn())
    if not index.flags() & QtCore.Qt.ItemFlag.ItemIsEnabled:
        box.hidePopup()
        raise CannotDoThat(f"{text!r} cannot be chosen.")
    view.scrollTo(index)
    position = _visibleCenter(view, index)
    for _ in range(20):  # a slow machine opens the list late
        QtTest.QTest.qWait(2 * _SHORT)
        if not view.isVisible():
            return
        QtTest.QTest.mouseClick(view.viewport(), _Left, QtCore.Qt.KeyboardModifier.NoModifier, position)
    raise CannotDoThat(f"The list of {box.objectName()} stayed open.")


def _comboOf(native: QtWidgets.QWidget) -> QtWidgets.QComboBox:
    if isinstance(native, QtWidgets.QComboBox):
        return native
    found = native.findChildren(QtWidgets.QComboBox)
    if not found:
        raise CannotDoThat(f"{native.objectName() or type(native).__name__} has no list to choose from.")
    return found[0]


def doubleClickOnCell(table: Any, row: int, column: int) -> None:
    """On a table view or a widget with one inside; an editor may open."""
    view = _tableOf(unwrap(table))
    point = _cellCenter(view, row, column)
    QtTest.QTest.mouseClick(view.viewport(), _Left, QtCore.Qt.KeyboardModifier.NoModifier, point)
    QtTest.QTest.mouseDClick(view.viewport(), _Left, QtCore.Qt.KeyboardModifier.NoModifier, point)
    _work()


def clickOnCell(table: Any, row: int, column: int, modifiers: Any = None) -> None:
    """Args: modifiers: as `qt.Qt.ControlModifier`, none by default."""
    view = _tableOf(unwrap(table))
    point = _cellCenter(view, row, column)
    native = QtCore.Qt.KeyboardModifier(int(modifiers or 0))
    QtTest.QTest.mouseClick(view.viewport(), _Left, native, point)
    _work()


def rename(table: Any, row: int, column: int, text: str) -> None:
    """Double-clicks a cell, types the text into the editor that opens, and presses Return."""
    doubleClickOnCell(table, row, column)
    view = _tableOf(unwrap(table))
    editors = [child for child in view.viewport().findChildren(QtWidgets.QLineEdit) if child.isVisible()]
    if not editors:
        raise CannotDoThat(f"Cell ({row}, {column}) cannot be edited.")
    editors[-1].selectAll()
    QtTest.QTest.keyClicks(editors[-1], text)
    QtTest.QTest.keyClick(editors[-1], QtCore.Qt.Key.Key_Return)
    _work()


def _tableOf(native: QtWidgets.QWidget) -> QtWidgets.QAbstractItemView:
    if isinstance(native, QtWidgets.QAbstractItemView):
        return native
    found = native.findChildren(QtWidgets.QAbstractItemView)
    if not found:
        raise CannotDoThat(f"{native.objectName() or type(native).__name__} has no table.")
    return found[0]


def _cellCenter(view: QtWidgets.QAbstractItemView, row: int, column: int) -> QtCore.QPoint:
    index = view.model().index(row, column)
    if not index.isValid():
        raise CannotDoThat(f"There is no cell ({row}, {column}).")
    view.scrollTo(index)
    point = _visibleCenter(view, index)
    if not view.isVisible() or not view.viewport().visibleRegion().contains(point):
        raise CannotDoThat(f"Cell ({row}, {column}) is not visible.")
    if not view.isEnabled():
        raise CannotDoThat("The table is disabled.")
    return point


def _visibleCenter(view: QtWidgets.QAbstractItemView, index: QtCore.QModelIndex) -> QtCore.QPoint:
    return view.visualRect(index).intersected(view.viewport().rect()).center()


def openWindows() -> tuple[Any, ...]:
    """The visible top-level windows, as proxies: dialogs that a click has opened are among them."""
    return tuple(wrap(window) for window in QtWidgets.QApplication.topLevelWidgets() if window.isVisible())


def whileModal(action: Callable[[], Any], answer: Callable[[Any], Any], timeout: float = 5.0) -> None:
    """Does something that opens a modal dialog, and calls `answer(dialog)` as soon as it is open.

    Raises:
        CannotDoThat: no dialog was opened, or `answer` left it open.
    """
    answered: list[BaseException | None] = []

    def respond() -> None:
        dialog = QtWidgets.QApplication.activeModalWidget()
        if dialog is None:
            if time.monotonic() < end:
                QtCore.QTimer.singleShot(10, respond)
            return
        try:
            answer(wrap(dialog))
            answered.append(None)
        except BaseException as error:  # raised again outside of Qt's event loop
            answered.append(error)
        if dialog.isVisible():
            answered[-1] = answered[-1] or CannotDoThat(f"The dialog {dialog.windowTitle()!r} stayed open.")
            dialog.close()

    end = time.monotonic() + timeout
    QtCore.QTimer.singleShot(0, respond)
    action()
    processEvents(until=lambda: bool(answered), timeout=timeout)
    if answered[0] is not None:
        raise answered[0]
