from __future__ import annotations

import numpy as np
import pytest

from MemorizingSAM3DLib.engine.errors import ClickError
from MemorizingSAM3DLib.engine.prompts import Click


@pytest.fixture
def a_positive_list(a_scene):
    from MemorizingSAM3DLib.scene.points.markups import createPromptNode

    return createPromptNode(True, "inside")


@pytest.fixture
def a_negative_list(a_scene):
    from MemorizingSAM3DLib.scene.points.markups import createPromptNode

    return createPromptNode(False, "outside")


def clicksOf(*nodes):
    from MemorizingSAM3DLib.scene.points.markups import clicksFromNodes

    return clicksFromNodes(*nodes)


def positions(clicks):
    return [click.ras for click in clicks]


def test_points_become_clicks_in_world_coordinates(a_positive_list, a_linear_transform_node):
    import slicer

    a_positive_list.AddControlPoint(1.0, 2.0, 3.0)
    a_positive_list.SetAndObserveTransformNodeID(a_linear_transform_node.GetID())
    expected = slicer.util.arrayFromTransformMatrix(a_linear_transform_node) @ (1.0, 2.0, 3.0, 1.0)

    (click,) = clicksOf(a_positive_list)

    np.testing.assert_allclose(click.ras, expected[:3], atol=1e-9)


def test_a_list_says_what_its_points_are(a_positive_list, a_negative_list):
    a_positive_list.AddControlPoint(1, 0, 0)
    a_negative_list.AddControlPoint(2, 0, 0)

    assert clicksOf(a_positive_list) == [Click((1, 0, 0), True)]
    assert clicksOf(a_negative_list) == [Click((2, 0, 0), False)]


def test_a_plain_fiducial_list_is_positive(a_scene):
    node = a_scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode")
    node.AddControlPoint(1, 0, 0)

    assert clicksOf(node) == [Click((1, 0, 0), True)]


@pytest.mark.parametrize(
    ("description", "positive"), [("+", True), ("-", False), ("Positive", True), (" negative ", False), ("liver", True)]
)
def test_the_description_of_a_point_comes_before_its_list(a_positive_list, description, positive):
    a_positive_list.AddControlPoint(1, 0, 0)
    a_positive_list.SetNthControlPointDescription(0, description)

    assert clicksOf(a_positive_list) == [Click((1, 0, 0), positive)]


def test_points_that_are_not_placed_are_no_clicks(a_positive_list):
    from vtkmodules.vtkCommonDataModel import vtkVector3d

    for r in range(4):
        a_positive_list.AddControlPoint(vtkVector3d(r, 0, 0))
    a_positive_list.UnsetNthControlPointPosition(1)
    a_positive_list.SetNthControlPointPositionMissing(2)
    a_positive_list.SetNthControlPointPosition(3, 3, 0, 0, a_positive_list.PositionPreview)

    assert positions(clicksOf(a_positive_list)) == [(0, 0, 0)]


def test_two_lists_merge_in_the_order_of_placement(a_positive_list, a_negative_list):
    from MemorizingSAM3DLib.scene.points.markups import recordOrder

    lists = (a_positive_list, a_negative_list)
    for r, node in enumerate([a_negative_list, a_positive_list, a_positive_list, a_negative_list, a_positive_list]):
        node.AddControlPoint(r, 0, 0)
        recordOrder(*lists)

    clicks = clicksOf(*lists)
    assert [click.ras[0] for click in clicks] == [0, 1, 2, 3, 4]
    assert [click.positive for click in clicks] == [False, True, True, False, True]


def test_the_order_survives_deleting_moving_and_a_reused_point_id(a_positive_list, a_negative_list):
    from MemorizingSAM3DLib.scene.points.markups import recordOrder

    lists = (a_positive_list, a_negative_list)
    for r, node in enumerate([a_positive_list, a_negative_list, a_positive_list]):
        node.AddControlPoint(r, 0, 0)
        recordOrder(*lists)
    a_positive_list.RemoveNthControlPoint(1)
    recordOrder(*lists)
    a_negative_list.AddControlPoint(3, 0, 0)
    recordOrder(*lists)
    a_positive_list.AddControlPoint(4, 0, 0)  # gets the ID of the deleted point
    recordOrder(*lists)
    a_positive_list.SetNthControlPointPosition(0, 10, 0, 0)

    assert [click.ras[0] for click in clicksOf(*lists)] == [10, 1, 3, 4]


def test_lists_that_were_read_one_at_a_time_still_merge_in_order(a_positive_list, a_negative_list):
    a_negative_list.AddControlPoint(0, 0, 0)
    clicksOf(a_negative_list)
    a_positive_list.AddControlPoint(1, 0, 0)
    clicksOf(a_positive_list)
    a_negative_list.AddControlPoint(2, 0, 0)

    assert [click.ras[0] for click in clicksOf(a_positive_list, a_negative_list)] == [0, 1, 2]


@pytest.mark.parametrize("text", ["not json", "[1, 2]", '{"1": "first"}'])
def test_a_spoilt_order_loses_no_point(a_positive_list, text):
    a_positive_list.AddControlPoint(1, 0, 0)
    a_positive_list.SetAttribute("MemorizingSAM3D.Order", text)

    assert positions(clicksOf(a_positive_list)) == [(1, 0, 0)]


def test_a_deleted_list_is_refused(a_scene, a_positive_list):
    a_scene.RemoveNode(a_positive_list)

    with pytest.raises(ClickError, match="no longer in the scene"):
        clicksOf(a_positive_list)
    with pytest.raises(ClickError):
        clicksOf(None)


def test_positive_and_negative_points_differ_in_colour_and_in_shape(a_positive_list, a_negative_list):
    positive, negative = a_positive_list.GetDisplayNode(), a_negative_list.GetDisplayNode()

    assert positive.GetGlyphType() != negative.GetGlyphType()
    assert positive.GetSelectedColor() != negative.GetSelectedColor()
