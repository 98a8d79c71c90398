"""Properties, enums and lenient conversions, as PythonQt has them (rules 1, 2, 4, 6, 8 and 9 of slicer_qt_api.md)."""

from __future__ import annotations

import pytest

from Testing.harness.pythonqt.fixtures import a_pythonqt, a_qt_application, no_error_in_slots  # noqa: F401
from Testing.harness.pythonqt.modules import modules

qt, ctk = modules["qt"], modules["ctk"]
pytestmark = pytest.mark.usefixtures("a_pythonqt")


def test_a_property_is_an_attribute():
    button = qt.QPushButton("press")
    assert button.text == "press"
    button.enabled = False
    assert button.enabled is False and not button.isEnabled()


def test_a_property_cannot_be_called():
    with pytest.raises(TypeError):
        qt.QPushButton("press").text()


@pytest.mark.parametrize(
    ("widget", "name"),
    [("QLabel", "width"), ("QLabel", "x"), ("QComboBox", "count"), ("QWidget", "sizeHint"), ("QTimer", "active")],
)
def test_a_read_only_property_cannot_be_set(widget, name):
    with pytest.raises(AttributeError, match="not writable"):
        setattr(getattr(qt, widget)(), name, 3)


@pytest.mark.parametrize("name", ["isText", "tooltip", "setCaption", "foo", "visble"])
def test_a_name_that_qt_does_not_have_cannot_be_read(name):
    with pytest.raises(AttributeError):
        getattr(qt.QPushButton(), name)


@pytest.mark.parametrize("name", ["foo", "tooltip", "Text"])
def test_a_name_that_qt_does_not_have_cannot_be_set(name):
    with pytest.raises(AttributeError, match="does not exist"):
        setattr(qt.QPushButton(), name, 1)


@pytest.mark.parametrize("name", ["setText", "clicked", "click", "layout"])
def test_a_slot_or_signal_cannot_be_overwritten(name):
    with pytest.raises(AttributeError, match="can not be overwritten"):
        setattr(qt.QPushButton(), name, lambda: None)


@pytest.mark.parametrize("name", ["setMaximum", "setRange", "slider", "spinBox", "setTracking", "hasTracking"])
def test_what_ctk_has_in_cpp_only_is_refused(name):
    with pytest.raises(AttributeError):
        getattr(ctk.ctkSliderWidget(), name)


def test_what_ctk_inherits_from_qt_is_there():
    button = ctk.ctkCollapsibleButton()
    button.setText("Inputs")
    button.setToolTip("what goes in")
    assert (button.text, button.toolTip) == ("Inputs", "what goes in")


def test_the_name_is_the_object_name():
    label = qt.QLabel()
    label.name = "hint"
    assert label.objectName == "hint"
    label.objectName = "other"
    assert label.name == "other"


def test_a_child_is_found_by_its_name():
    parent = qt.QWidget()
    child = qt.QLabel("inside", parent)
    child.objectName = "hint"
    assert parent.hint is child


def test_a_property_goes_before_a_child_of_the_same_name():
    parent = qt.QWidget()
    qt.QLabel("inside", parent).objectName = "toolTip"
    assert parent.toolTip == ""


def test_a_dynamic_property_is_an_attribute_once_it_is_there():
    widget = qt.QWidget()
    with pytest.raises(AttributeError):
        widget.SlicerParameterName = "threshold"
    widget.setProperty("SlicerParameterName", "threshold")
    assert widget.SlicerParameterName == "threshold"
    widget.SlicerParameterName = "other"
    assert widget.property("SlicerParameterName") == "other"


@pytest.mark.parametrize(("value", "text"), [(3, "3"), (None, "None"), (2.5, "2.5"), (True, "True")])
def test_anything_becomes_a_string(value, text):
    label = qt.QLabel()
    label.text = value
    assert label.text == text
    label.setToolTip(value)
    assert label.toolTip == text


def test_a_float_is_floored_for_an_int():
    box = qt.QSpinBox()
    box.minimum = -10
    box.value = 3.9
    assert box.value == 3
    box.setValue(-3.1)
    assert box.value == -4


@pytest.mark.parametrize(("value", "expected"), [(1, True), ([], False), ("no", True), (None, False)])
def test_a_bool_is_the_truth_value(value, expected):
    box = qt.QCheckBox()
    box.checked = value
    assert box.checked is expected


def test_text_is_no_number():
    with pytest.raises(AttributeError, match="does not accept"):
        qt.QSpinBox().value = "3"


def test_a_slot_refuses_arguments_that_fit_no_overload():
    with pytest.raises(ValueError, match="overload"):
        qt.QProgressBar().setRange("a", "b")


def test_a_slot_refuses_keyword_arguments():
    with pytest.raises(TypeError, match="keyword"):
        qt.QLabel().setText(text="x")


def test_a_class_refuses_keyword_arguments():
    with pytest.raises(TypeError, match="keyword"):
        qt.QLabel(text="x")


def test_enum_values_are_reached_without_the_name_of_the_enum():
    assert qt.QMessageBox.Yes == 0x4000
    assert qt.QSizePolicy().Expanding == qt.QSizePolicy.Expanding
    with pytest.raises(AttributeError):
        qt.QMessageBox.StandardButton.Yes  # noqa: B018


@pytest.mark.parametrize("value", [lambda: qt.Qt.StrongFocus, lambda: 11, lambda: "StrongFocus"])
def test_an_enum_property_takes_the_value_a_number_or_the_key(value):
    widget = qt.QWidget()
    widget.focusPolicy = value()
    assert widget.focusPolicy == qt.Qt.StrongFocus


@pytest.mark.parametrize("value", ["StrongFcous", 2.5, None])
def test_an_enum_property_refuses_the_rest(value):
    with pytest.raises(AttributeError, match="does not accept"):
        qt.QWidget().focusPolicy = value


def test_flags_can_be_combined():
    label = qt.QLabel()
    label.alignment = qt.Qt.AlignRight | qt.Qt.AlignTop
    assert label.alignment == qt.Qt.AlignRight | qt.Qt.AlignTop
    label.setAlignment(qt.Qt.AlignLeft | qt.Qt.AlignVCenter)
    assert label.alignment & qt.Qt.AlignLeft


def test_enums_of_ctk_are_reached_too():
    slider = ctk.ctkSliderWidget()
    slider.synchronizeSiblings = slider.NoSynchronize
    assert slider.synchronizeSiblings == ctk.ctkSliderWidget.NoSynchronize == 0


def test_an_unregistered_enum_is_not_reachable(a_pythonqt):  # noqa: F811
    slicer = pytest.importorskip("slicer")
    with pytest.raises(AttributeError):
        slicer.qMRMLSegmentsModel.SegmentIDRole  # noqa: B018


def test_lists_come_back_as_tuples():
    box = qt.QComboBox()
    box.addItems(["a", "b"])
    assert qt.QWidget().children() == ()
    model = qt.QStringListModel(["a", "b"])
    assert model.stringList() == ("a", "b")


def test_values_keep_their_methods():
    widget = qt.QWidget()
    widget.resize(qt.QSize(40, 30))
    assert (widget.size.width(), widget.width, widget.size) == (40, 40, qt.QSize(40, 30))
    assert qt.QColor("red").name() == "#ff0000"


def test_single_shot_is_the_static_method():
    calls = []
    qt.QTimer.singleShot(0, lambda: calls.append(1))
    timer = qt.QTimer()
    timer.setSingleShot(True)
    with pytest.raises(AttributeError):
        timer.singleShot = True
    from Testing.harness.pythonqt.driver import processEvents

    processEvents(until=lambda: calls)
    assert timer.isSingleShot()


def test_a_destroyed_object_is_noticed():
    widget = qt.QWidget()
    widget.delete()
    with pytest.raises(ValueError, match="destroyed"):
        widget.toolTip  # noqa: B018
    with pytest.raises(AttributeError, match="destroyed"):
        widget.toolTip = "x"
