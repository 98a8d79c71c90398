"""`slicer.parameterNodeWrapper` on real parameter nodes: types, defaults, validators, saving, notification."""

from __future__ import annotations

import enum
import pathlib
from typing import Annotated, Optional, Union

import pytest


class Device(enum.Enum):
    AUTOMATIC = "auto"
    CPU = "cpu"

    def label(self):
        return self.name.capitalize()


@pytest.fixture
def wrapped(a_scene):
    """A class with a parameter of each type, and a node that it wraps."""
    import slicer

    from Testing.harness.application.parameter_nodes import Choice, Default, WithinRange, parameterNodeWrapper

    # typing.Optional and typing.Union are the forms that Slicer can keep; Python makes the same of `X | None` in 3.14.
    annotations = {
        "scan": slicer.vtkMRMLScalarVolumeNode,
        "optional": Optional[slicer.vtkMRMLSegmentationNode],  # noqa: UP045
        "either": Union[slicer.vtkMRMLScalarVolumeNode, slicer.vtkMRMLModelNode, None],  # noqa: UP007
        "enabled": bool,
        "count": Annotated[int, WithinRange(0, 10)],
        "ratio": Annotated[float, Default(0.25)],
        "name": str,
        "mode": Annotated[str, Choice(["fast", "exact"])],
        "device": Device,
        "folder": pathlib.Path,
    }
    defaults = {"enabled": True, "count": 3, "mode": "fast", "folder": pathlib.Path("memories")}
    cls = parameterNodeWrapper(type("Parameters", (), {"__annotations__": annotations, **defaults}))
    return cls, a_scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")


@pytest.fixture
def parameters(wrapped):
    cls, node = wrapped
    return cls(node)


def test_a_new_node_gets_the_defaults(parameters):
    assert (parameters.enabled, parameters.count, parameters.ratio, parameters.name) == (True, 3, 0.25, "")
    assert (parameters.mode, parameters.device, parameters.folder) == (
        "fast",
        Device.AUTOMATIC,
        pathlib.Path("memories"),
    )
    assert parameters.scan is parameters.optional is parameters.either is None


def test_the_defaults_are_written_to_the_node(parameters):
    assert parameters.parameterNode.GetParameter("count") == "3"
    assert parameters.parameterNode.GetParameter("device") == "AUTOMATIC"


def test_values_are_read_back_by_another_wrapper_of_the_node(wrapped):
    cls, node = wrapped
    scan = node.GetScene().AddNewNodeByClass("vtkMRMLScalarVolumeNode", "scan")
    model = node.GetScene().AddNewNodeByClass("vtkMRMLModelNode", "model")
    first = cls(node)
    first.scan, first.either, first.count, first.ratio, first.enabled = scan, model, 7, 0.5, False
    first.name, first.mode, first.device, first.folder = "liver", "exact", Device.CPU, pathlib.Path("a") / "b"

    second = cls(node)

    assert (second.scan, second.either, second.optional) == (scan, model, None)
    assert (second.count, second.ratio, second.enabled, second.name) == (7, 0.5, False, "liver")
    assert (second.mode, second.device, second.folder) == ("exact", Device.CPU, pathlib.Path("a") / "b")


def test_an_optional_node_can_be_none_again(parameters):
    node = parameters.parameterNode.GetScene().AddNewNodeByClass("vtkMRMLSegmentationNode")
    parameters.optional = node
    assert parameters.optional is node

    parameters.optional = None

    assert parameters.optional is None


def test_a_removed_node_is_none(parameters):
    scene = parameters.parameterNode.GetScene()
    parameters.scan = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")

    scene.RemoveNode(parameters.scan)

    assert parameters.scan is None


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("count", 11, ValueError),
        ("count", None, ValueError),
        ("count", "3", TypeError),
        ("count", 2.5, TypeError),
        ("name", 5, TypeError),
        ("mode", "slow", ValueError),
        ("device", "CPU", TypeError),
        ("folder", "memories", TypeError),
    ],
)
def test_an_unfit_value_is_refused_and_the_old_one_stays(parameters, name, value, error):
    before = getattr(parameters, name)

    with pytest.raises(error):
        setattr(parameters, name, value)

    assert getattr(parameters, name) == before


def test_a_float_takes_an_int(parameters):
    parameters.ratio = 2

    assert parameters.ratio == 2.0
    assert isinstance(parameters.ratio, float)


def test_a_node_of_another_class_is_refused(parameters):
    model = parameters.parameterNode.GetScene().AddNewNodeByClass("vtkMRMLModelNode")

    with pytest.raises(TypeError):
        parameters.scan = model


def test_observers_hear_of_a_change_once_and_see_the_new_value(parameters):
    from vtkmodules.vtkCommonCore import vtkCommand

    seen = []
    parameters.AddObserver(vtkCommand.ModifiedEvent, lambda *_: seen.append(parameters.count))

    parameters.count = 9

    assert seen == [9]


def test_a_value_set_in_the_node_itself_is_seen(parameters):
    parameters.parameterNode.SetParameter("count", "8")

    assert parameters.count == 8


def test_after_the_scene_was_closed_a_singleton_node_has_the_defaults_again(wrapped, a_scene):
    cls, node = wrapped
    node.SetSingletonTag("Example")
    parameters = cls(node)
    parameters.count = 9

    a_scene.Clear(0)

    assert parameters.count == 3


def test_several_values_can_be_set_with_one_notification(parameters):
    import slicer
    from vtkmodules.vtkCommonCore import vtkCommand

    seen = []
    parameters.AddObserver(vtkCommand.ModifiedEvent, lambda *_: seen.append((parameters.count, parameters.name)))

    with slicer.util.NodeModify(parameters):
        parameters.count = 1
        parameters.name = "spleen"

    assert seen == [(1, "spleen")]


def test_an_unknown_parameter_is_named(parameters):
    with pytest.raises(ValueError, match="'size'"):
        parameters.getValue("size")


@pytest.mark.parametrize("unfit", [complex, int | None, object])
def test_a_type_that_slicer_cannot_keep_is_refused(a_scene, unfit):
    from Testing.harness.application.parameter_nodes import parameterNodeWrapper

    with pytest.raises(TypeError, match="cannot keep"):
        parameterNodeWrapper(type("Parameters", (), {"__annotations__": {"value": unfit}}))


def test_a_reserved_name_is_refused(a_scene):
    from Testing.harness.application.parameter_nodes import parameterNodeWrapper

    with pytest.raises(ValueError, match="'connectGui'"):
        parameterNodeWrapper(type("Parameters", (), {"connectGui": 1}))
