"""Pictures, what is cut off, and the tab order."""

from __future__ import annotations

import pytest

from Testing.harness.pythonqt.fixtures import a_pythonqt, a_qt_application, no_error_in_slots  # noqa: F401
from Testing.harness.pythonqt.looks import cutOffWidgets, grab, tabOrder
from Testing.harness.pythonqt.modules import modules

qt, ctk = modules["qt"], modules["ctk"]
pytestmark = pytest.mark.usefixtures("a_pythonqt")


@pytest.fixture
def window():
    made = qt.QWidget()
    qt.QVBoxLayout(made)
    return made


def show(window, *widgets, width=300, height=200):
    for number, widget in enumerate(widgets):
        widget.objectName = widget.objectName or f"widget{number}"
        window.layout().addWidget(widget)
    window.resize(width, height)
    window.show()
    return widgets


def names(found):
    return {item.name for item in found}


@pytest.mark.parametrize(("scale", "size"), [(1.0, (300, 200)), (2.0, (600, 400))])
def test_a_picture_has_the_size_of_the_screen_scale(window, tmp_path, scale, size):
    show(window, qt.QPushButton("press"))
    picture = qt.QImage(str(grab(window, tmp_path / "sub" / "picture.png", scale)))
    assert (picture.width(), picture.height()) == size
    colors = {picture.pixelColor(x, y).name() for x in range(0, size[0], 3) for y in range(0, size[1], 3)}
    assert len(colors) > 3


def test_nothing_is_cut_off_where_there_is_room(window):
    box = qt.QComboBox()
    box.addItems(["a choice", "another"])
    group = qt.QGroupBox("Group")
    show(window, qt.QLabel("text"), qt.QPushButton("press"), qt.QCheckBox("check"), box, qt.QSpinBox(), group)
    assert cutOffWidgets(window) == []


@pytest.mark.parametrize("kind", ["QLabel", "QPushButton", "QCheckBox", "QToolButton", "QRadioButton"])
def test_text_that_does_not_fit_is_found(window, kind):
    widget = getattr(qt, kind)()
    widget.text = "a text that is far too long for its place"
    widget.setFixedWidth(60)
    show(window, widget)
    (found,) = [item for item in cutOffWidgets(window) if "text" in item.why]
    assert found.name == "widget0" and found.widget is widget and found.missing > 50


def test_a_combo_box_that_does_not_show_its_choice_is_found(window):
    box = qt.QComboBox()
    box.addItems(["a choice that is far too long for its place"])
    box.setFixedWidth(80)
    show(window, box)
    assert names(cutOffWidgets(window)) == {"widget0"}


def test_text_that_wraps_is_cut_off_only_when_it_is_too_high(window):
    label = qt.QLabel("many words that go on to the next line where there is room for them " * 2)
    label.wordWrap = True
    show(window, label, width=150, height=300)
    assert cutOffWidgets(window) == []
    label.setFixedHeight(20)
    assert names(cutOffWidgets(window)) == {"widget0"}


def test_a_widget_that_sticks_out_of_its_parent_is_found(window):
    (inside,) = show(window, qt.QWidget())
    child = qt.QLabel("x", inside)
    child.objectName = "child"
    child.setGeometry(-10, 0, 50, 20)
    child.show()
    assert [(item.name, item.missing) for item in cutOffWidgets(window)] == [("child", 10)]


def test_what_is_hidden_is_not_cut_off(window):
    label = qt.QLabel("a text that is far too long for its place")
    label.setFixedWidth(30)
    show(window, label)
    label.hide()
    assert cutOffWidgets(window) == []


def test_a_scrolled_page_is_not_cut_off_but_sideways_scrolling_is_told(window):
    area, content = qt.QScrollArea(), qt.QWidget()
    content.setFixedSize(100, 1000)
    area.setWidget(content)
    show(window, area)
    assert cutOffWidgets(window) == []
    content.setFixedSize(1000, 1000)
    assert [item.why for item in cutOffWidgets(window)] == ["has to be scrolled sideways"]


def test_a_header_that_does_not_fit_is_found(window):
    table = qt.QTableWidget(1, 1)
    table.setHorizontalHeaderLabels(["a header that is far too long"])
    table.setColumnWidth(0, 40)
    show(window, table)
    assert any("header" in item.why for item in cutOffWidgets(window))


def test_tab_visits_what_takes_the_focus_in_its_order(window):
    widgets = show(window, qt.QLineEdit(), qt.QLabel("x"), ctk.ctkSliderWidget(), qt.QPushButton("press"))
    disabled = show(window, qt.QPushButton("off"))[0]
    disabled.enabled = False
    assert [widget.objectName for widget in tabOrder(window)] == ["widget0", "widget2", "SpinBox", "widget3"]
    assert tabOrder(window)[1] is widgets[2]


def test_the_tab_order_can_be_changed(window):
    first, second, third = show(window, qt.QLineEdit(), qt.QLineEdit(), qt.QLineEdit())
    qt.QWidget.setTabOrder(first, third)
    assert tabOrder(window) == [first, third, second]
