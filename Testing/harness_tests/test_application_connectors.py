"""Parameters follow widgets and widgets follow parameters, as Slicer's table of connectors says; nothing else does."""

from __future__ import annotations

import enum
import pathlib
from typing import Annotated

import pytest

from Testing.harness.application.fixtures import installed_application, slicer_application  # noqa: F401
from Testing.harness.application.parameter_nodes import (
    Choice,
    Decimals,
    Minimum,
    SingleStep,
    WithinRange,
    parameterNodeWrapper,
)


class Device(enum.Enum):
    AUTOMATIC = 0
    CPU = 1

    def label(self):
        return self.name.capitalize()


def connected(widget, type_, scene, **default):
    """A wrapped node with the parameter `value`, connected to the widget."""
    cls = parameterNodeWrapper(type("Parameters", (), {"__annotations__": {"value": type_}, **default}))
    parameters = cls(scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode"))
    tag = parameters.connectParametersToGui({"value": widget})
    return parameters, tag


BOUNDED = Annotated[int, WithinRange(-5, 5)]
PERCENT = Annotated[float, WithinRange(0, 100)]
CASES = [
    ("qt.QCheckBox", bool, "checked", True, True),
    ("ctk.ctkCheckBox", bool, "checked", True, True),
    ("qt.QPushButton", bool, "checked", True, True),
    ("qt.QSlider", BOUNDED, "value", 4, 4),
    ("qt.QSpinBox", int, "value", 123456, 123456),
    ("qt.QDoubleSpinBox", float, "value", -2.5, -2.5),
    ("ctk.ctkSliderWidget", PERCENT, "value", 55.5, 55.5),
    ("ctk.ctkDoubleSpinBox", PERCENT, "value", 55.5, 55.5),
    ("qt.QLineEdit", str, "text", "liver", "liver"),
    ("qt.QTextEdit", str, "plainText", "liver\nspleen", "liver\nspleen"),
    ("qt.QComboBox", Annotated[str, Choice(["a", "b", "c"])], "currentIndex", 2, "c"),
    ("qt.QComboBox", Device, "currentIndex", 1, Device.CPU),
    ("ctk.ctkComboBox", Device, "currentIndex", 1, Device.CPU),
    ("ctk.ctkPathLineEdit", pathlib.Path, "currentPath", "memories", pathlib.Path("memories")),
    (
        "ctk.ctkDirectoryButton",
        pathlib.Path,
        "directory",
        pathlib.Path.cwd().parent.as_posix(),
        pathlib.Path.cwd().parent,
    ),
]


def make(name):
    import importlib

    module, _, cls = name.partition(".")
    return getattr(importlib.import_module(module), cls)()


@pytest.mark.parametrize(("name", "type_", "prop", "shown", "value"), CASES, ids=lambda item: str(item)[:24])
def test_both_follow_each_other(slicer_application, name, type_, prop, shown, value):  # noqa: F811
    default = {"value": "a"} if prop == "currentIndex" and isinstance(value, str) else {}
    widget = make(name)
    first, _ = connected(widget, type_, slicer_application.scene, **default)

    setattr(widget, prop, shown)
    assert first.value == value

    other = make(name)
    second, _ = connected(other, type_, slicer_application.scene, **default)
    second.value = value
    assert getattr(other, prop) == shown


def test_a_combo_box_shows_the_labels_of_an_enum(slicer_application):  # noqa: F811
    import qt

    combo = qt.QComboBox()
    combo.addItem("from the .ui file")
    connected(combo, Device, slicer_application.scene)

    assert [combo.itemText(index) for index in range(combo.count)] == ["Automatic", "Cpu"]


def test_annotations_prepare_the_widget(slicer_application):  # noqa: F811
    import qt

    spin = qt.QDoubleSpinBox()
    connected(spin, Annotated[float, Minimum(1), Decimals(3), SingleStep(0.125)], slicer_application.scene, value=2.0)

    assert (spin.minimum, spin.decimals, spin.singleStep) == (1, 3, 0.125)
    assert spin.maximum > 1e300, "none is given: the limit of the .ui file is overwritten"


def test_a_label_shows_the_parameter(slicer_application):  # noqa: F811
    import qt

    label = qt.QLabel()
    parameters, tag = connected(label, str, slicer_application.scene)

    parameters.value = "encoding"

    assert label.text == "encoding"
    parameters.disconnectGui(tag)


def test_a_disconnected_widget_is_left_alone(slicer_application):  # noqa: F811
    import qt

    box = qt.QCheckBox()
    parameters, tag = connected(box, bool, slicer_application.scene)

    parameters.disconnectGui(tag)
    parameters.disconnectGui(None)
    box.checked = True

    assert not parameters.value


def test_a_refused_value_of_a_widget_is_an_error(slicer_application):  # noqa: F811
    import qt

    from Testing.harness.pythonqt.errors import takeRecordedErrors

    edit = qt.QLineEdit()
    parameters, _ = connected(edit, Annotated[str, Choice(["", "a"])], slicer_application.scene)

    edit.text = "b"

    assert parameters.value == ""
    assert [type(error.exception) for error in takeRecordedErrors()] == [ValueError]


@pytest.mark.parametrize(
    ("name", "type_"),
    [
        ("qt.QToolButton", bool),
        ("qt.QRadioButton", bool),
        ("qt.QGroupBox", bool),
        ("ctk.ctkCollapsibleButton", bool),
        ("qt.QSpinBox", float),
        ("qt.QDoubleSpinBox", int),
        ("qt.QSlider", int),
        ("ctk.ctkSliderWidget", float),
        ("qt.QComboBox", str),
    ],
)
def test_what_slicer_cannot_connect_is_refused(slicer_application, name, type_):  # noqa: F811
    with pytest.raises(RuntimeError):
        connected(make(name), type_, slicer_application.scene)


def test_an_error_in_an_observer_is_recorded(slicer_application):  # noqa: F811
    from vtkmodules.vtkCommonCore import vtkCommand

    from Testing.harness.pythonqt.errors import takeRecordedErrors

    def fail(*_):
        raise KeyError("segment")

    node = slicer_application.scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")
    node.AddObserver(vtkCommand.ModifiedEvent, fail)
    node.Modified()

    assert [type(error.exception) for error in takeRecordedErrors()] == [KeyError]
