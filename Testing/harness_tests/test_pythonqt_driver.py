"""The user's hands do what a user can do, and nothing else."""

from __future__ import annotations

import pytest

from Testing.harness.pythonqt.driver import (
    CannotDoThat,
    choose,
    clickOn,
    doubleClickOnCell,
    openWindows,
    pressKey,
    processEvents,
    rename,
    typeInto,
    whileModal,
)
from Testing.harness.pythonqt.fixtures import a_pythonqt, a_qt_application, no_error_in_slots  # noqa: F401
from Testing.harness.pythonqt.modules import modules

qt = modules["qt"]
pytestmark = pytest.mark.usefixtures("a_pythonqt")


@pytest.fixture
def window():
    made = qt.QWidget()
    made.resize(300, 200)
    qt.QVBoxLayout(made)
    return made


def put(window, widget):
    window.layout().addWidget(widget)
    window.show()
    return widget


def test_a_click_is_heard(window):
    button, heard = put(window, qt.QPushButton("press")), []
    button.connect("clicked()", lambda: heard.append(1))
    clickOn(button)
    assert heard == [1]


def test_a_click_on_a_check_box_checks_it(window):
    box = put(window, qt.QCheckBox("a rather long text beside the box"))
    clickOn(box)
    assert box.checked


def test_nobody_clicks_on_what_is_hidden(window):
    button = put(window, qt.QPushButton("press"))
    button.hide()
    with pytest.raises(CannotDoThat, match="not visible"):
        clickOn(button)


def test_nobody_clicks_on_what_is_disabled(window):
    button = put(window, qt.QPushButton("press"))
    button.enabled, button.toolTip = False, "Choose a scan first."
    with pytest.raises(CannotDoThat, match="Choose a scan first"):
        clickOn(button)


def test_nobody_clicks_through_another_widget(window):
    button = put(window, qt.QPushButton("press"))
    cover = qt.QLabel("on top", window)
    cover.objectName = "cover"
    cover.setGeometry(0, 0, 300, 200)
    cover.show()
    with pytest.raises(CannotDoThat, match="covered by cover"):
        clickOn(button)


def test_nobody_clicks_on_what_is_scrolled_away(window):
    area, content = qt.QScrollArea(), qt.QWidget()
    content.setFixedSize(100, 2000)
    button = qt.QPushButton("far down", content)
    button.setGeometry(0, 1900, 90, 30)
    area.setWidget(content)
    put(window, area)
    with pytest.raises(CannotDoThat, match="scrolled away"):
        clickOn(button)
    area.ensureWidgetVisible(button)
    clickOn(button)


def test_nobody_clicks_behind_a_modal_dialog(window):
    button = put(window, qt.QPushButton("press"))
    dialog = qt.QDialog()
    dialog.setModal(True)
    dialog.show()
    with pytest.raises(CannotDoThat, match="modal"):
        clickOn(button)


def test_typing_replaces_the_text(window):
    edit = put(window, qt.QLineEdit("old"))
    heard = []
    edit.connect("textEdited(QString)", heard.append)
    typeInto(edit, "new")
    assert edit.text == "new" and heard == ["n", "ne", "new"]
    typeInto(edit, "")
    assert edit.text == ""


def test_nobody_types_into_what_is_read_only(window):
    edit = put(window, qt.QLineEdit("old"))
    edit.readOnly = True
    with pytest.raises(CannotDoThat, match="read only"):
        typeInto(edit, "new")


def test_typing_works_in_a_spin_box_and_a_text(window):
    box, text = put(window, qt.QSpinBox()), put(window, qt.QPlainTextEdit())
    typeInto(box, "42")
    typeInto(text, "two words")
    assert (box.value, text.plainText) == (42, "two words")


def test_shortcuts_of_the_window_act(window):
    heard = []
    put(window, qt.QLabel("x"))
    shortcut = qt.QShortcut(qt.QKeySequence("Ctrl+Z"), window)
    shortcut.connect("activated()", lambda: heard.append("undo"))
    pressKey(window, "Ctrl+Z")
    shortcut.enabled = False
    pressKey(window, "Ctrl+Z")
    assert heard == ["undo"]


def test_shortcuts_of_a_widget_act_only_inside_it(window):
    inside, outside, heard = qt.QLineEdit(), qt.QPushButton("outside"), []
    put(window, inside)
    put(window, outside)
    shortcut = qt.QShortcut(qt.QKeySequence("F2"), inside)
    shortcut.context = qt.Qt.WidgetWithChildrenShortcut
    shortcut.connect("activated()", lambda: heard.append(1))
    pressKey(outside, "F2")
    assert heard == []
    pressKey(inside, "F2")
    assert heard == [1]


def test_tab_moves_the_focus(window):
    first, second = put(window, qt.QLineEdit()), put(window, qt.QLineEdit())
    pressKey(first, "Tab")
    assert second.focus and not first.focus


def test_what_is_no_key_is_refused(window):
    put(window, qt.QLabel("x"))
    with pytest.raises(CannotDoThat, match="no key"):
        pressKey(window, "")


def test_an_entry_is_chosen(window):
    box, heard = put(window, qt.QComboBox()), []
    box.addItems(["one", "two", "three"])
    box.connect("activated(int)", heard.append)
    choose(box, "three")
    assert box.currentText == "three" and heard == [2]


def test_a_disabled_entry_is_not_chosen(window):
    box = put(window, qt.QComboBox())
    box.addItems(["one", "two"])
    box.model().item(1).setEnabled(False)
    with pytest.raises(CannotDoThat, match="cannot be chosen"):
        choose(box, "two")


def test_a_cell_is_edited(window):
    table = put(window, qt.QTableWidget(2, 1))
    table.setItem(0, 0, qt.QTableWidgetItem("old"))
    rename(table, 0, 0, "new")
    assert table.item(0, 0).text() == "new"
    with pytest.raises(CannotDoThat, match="no cell"):
        doubleClickOnCell(table, 5, 0)


def test_a_dialog_is_answered(window):
    button, results = put(window, qt.QPushButton("ask")), []

    def ask():
        box = qt.QMessageBox(window)
        box.setStandardButtons(qt.QMessageBox.Yes | qt.QMessageBox.No)
        results.append(box.exec_())

    button.connect("clicked()", ask)
    whileModal(lambda: clickOn(button), lambda dialog: clickOn(dialog.button(qt.QMessageBox.No)))
    assert results == [qt.QMessageBox.No]


def test_a_dialog_that_does_not_come_is_noticed(window):
    with pytest.raises(CannotDoThat):
        whileModal(lambda: None, lambda dialog: None, timeout=0.2)


def test_a_dialog_that_stays_open_is_noticed_and_closed(window):
    with pytest.raises(CannotDoThat, match="stayed open"):
        whileModal(lambda: qt.QMessageBox(window).exec_(), lambda dialog: None)
    assert all(shown.className() != "QMessageBox" for shown in openWindows())


def test_waiting_in_vain_is_an_error():
    with pytest.raises(CannotDoThat, match="in vain"):
        processEvents(until=lambda: False, timeout=0.05)
