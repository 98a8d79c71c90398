from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from MemorizingSAM3DLib.engine.prompts import Click
from MemorizingSAM3DLib.scene.points.markups import createPromptNode
from MemorizingSAM3DLib.scene.points.point_lists import Dragging, PointLists
from MemorizingSAM3DLib.scene.scan import ScanFrame
from Testing.scene.others import addWarp


@pytest.fixture
def a_list(a_scene):
    node = createPromptNode(True, "points")
    node.AddControlPointWorld(1.0, 2.0, 3.0)
    return node


@pytest.fixture
def a_dragging(a_list):
    dragging = Dragging()
    dragging.heard = []
    dragging.ended.connect(lambda: dragging.heard.append(dragging.isGoingOn))
    tags = dragging.observe(a_list)
    yield dragging
    for tag in tags:
        a_list.RemoveObserver(tag)


def test_a_point_is_held_from_the_beginning_of_an_interaction_to_its_end(a_dragging, a_list):
    assert not a_dragging.isGoingOn
    a_list.InvokeEvent(a_list.PointStartInteractionEvent)
    a_list.SetNthControlPointPositionWorld(0, 4.0, 5.0, 6.0)
    assert a_dragging.isGoingOn
    assert a_dragging.heard == []
    a_list.InvokeEvent(a_list.PointEndInteractionEvent)

    assert not a_dragging.isGoingOn
    assert a_dragging.heard == [False]


def test_an_interaction_without_an_end_is_over_when_the_mouse_leaves_the_point(a_dragging, a_list):
    display = a_list.GetDisplayNode()
    display.SetActiveControlPoint(0)
    a_list.InvokeEvent(a_list.PointStartInteractionEvent)
    display.SetGlyphScale(3.0)
    assert a_dragging.isGoingOn
    display.SetActiveComponent(display.ComponentNone, -1)

    assert not a_dragging.isGoingOn
    assert a_dragging.heard == [False]
    display.SetActiveControlPoint(0)
    display.SetActiveComponent(display.ComponentNone, -1)
    assert a_dragging.heard == [False]


def test_a_forgotten_point_is_let_go_without_a_word(a_dragging, a_list):
    display = a_list.GetDisplayNode()
    display.SetActiveControlPoint(0)
    a_list.InvokeEvent(a_list.PointStartInteractionEvent)
    a_dragging.forget()
    display.SetActiveComponent(display.ComponentNone, -1)

    assert not a_dragging.isGoingOn
    assert a_dragging.heard == []


A, B, C = Click((1.0, 2.0, 3.0)), Click((4.0, 5.0, 6.0)), Click((7.0, 8.0, 9.0))
NOT_A = Click(A.ras, positive=False)
places = st.sampled_from([(1.0, 2.0, 3.0), (4.0, 5.0, 6.0), (7.0, 8.0, 9.0), (-1.0, 0.0, 2.5)])
clickLists = st.lists(st.builds(Click, places, st.booleans()), max_size=6).map(tuple)


@pytest.fixture
def a_frame(a_volume_node):
    return ScanFrame(a_volume_node)


@pytest.fixture
def lists(a_scene, a_frame):
    lists = PointLists(a_scene)
    lists.heard = []
    lists.touched.connect(lambda: lists.heard.append(1))
    lists.ensure()
    yield lists
    lists.close()


def statuses(node):
    return [node.GetNthControlPointPositionStatus(number) for number in range(node.GetNumberOfControlPoints())]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=clickLists, second=clickLists)
def test_whatever_was_shown_before_the_clicks_that_are_shown_are_the_ones_that_are_read(lists, a_frame, first, second):
    for clicks in (first, second):
        lists.show(clicks, a_frame)
        assert lists.clicks(a_frame) == clicks
        assert [point.positive for point in lists.points()] == [click.positive for click in clicks]
    assert lists.heard == []


@pytest.mark.parametrize("kind", ["linear", "warp"])
def test_a_shown_click_is_read_exactly_whatever_is_above_the_scan(lists, a_frame, a_volume_node,
                                                                  a_linear_transform_node, kind):  # fmt: skip
    transform = a_linear_transform_node if kind == "linear" else addWarp()
    a_volume_node.SetAndObserveTransformNodeID(transform.GetID())
    lists.show((A, NOT_A, C), a_frame)

    assert lists.clicks(a_frame) == (A, NOT_A, C)
    assert np.allclose(lists.points()[0].ras, a_frame.toWorld(A.ras), atol=2e-3)


def test_a_scan_that_is_moved_takes_its_shown_clicks_along(lists, a_frame, a_volume_node, a_linear_transform_node):
    lists.show((A, B), a_frame)
    IDs = [lists.positiveNode.GetNthControlPointID(number) for number in range(2)]
    a_volume_node.SetAndObserveTransformNodeID(a_linear_transform_node.GetID())
    lists.show(lists.clicks(a_frame), a_frame)

    assert lists.clicks(a_frame) == (A, B)
    assert np.allclose(lists.points()[1].ras, a_frame.toWorld(B.ras))
    assert [lists.positiveNode.GetNthControlPointID(number) for number in range(2)] == IDs


def test_a_new_or_moved_point_is_told_and_read_where_it_is(lists, a_frame):
    lists.show((A,), a_frame)
    lists.negativeNode.AddControlPointWorld(*B.ras)
    lists.positiveNode.SetNthControlPointPositionWorld(0, *C.ras)

    assert lists.heard
    assert lists.clicks(a_frame) == (C, Click(B.ras, False))


def test_points_of_the_two_lists_keep_the_order_in_which_they_were_placed(lists, a_frame):
    lists.negativeNode.AddControlPointWorld(*A.ras)
    lists.positiveNode.AddControlPointWorld(*B.ras)
    lists.negativeNode.AddControlPointWorld(*C.ras)

    assert lists.clicks(a_frame) == (NOT_A, B, Click(C.ras, False))


def test_points_that_stay_are_left_as_they_are(lists, a_frame):
    lists.show((A, B, C), a_frame)
    node = lists.positiveNode
    node.SetNthControlPointSelected(2, False)
    IDs = [node.GetNthControlPointID(number) for number in range(3)]
    lists.show((A, C), a_frame)

    assert [node.GetNthControlPointID(number) for number in range(2)] == [IDs[0], IDs[2]]
    assert not node.GetNthControlPointSelected(1)


def test_the_point_that_follows_the_mouse_stays_and_stays_last(lists, a_frame):
    node = lists.positiveNode
    lists.show((A,), a_frame)
    node.AddControlPointWorld(0.0, 0.0, 0.0)
    node.SetNthControlPointPositionWorld(1, 0.0, 0.0, 0.0, node.PositionPreview)
    for clicks in ((A, B, C), (B,), ()):
        lists.show(clicks, a_frame)
        assert statuses(node) == [node.PositionDefined] * len(clicks) + [node.PositionPreview]
        assert lists.clicks(a_frame) == clicks


def test_points_without_a_place_are_no_clicks_and_stay(lists, a_frame):
    node = lists.positiveNode
    lists.show((A, B), a_frame)
    node.UnsetNthControlPointPosition(0)
    assert lists.clicks(a_frame) == (B,)
    lists.show((B, C), a_frame)

    assert lists.clicks(a_frame) == (B, C)
    assert statuses(node).count(node.PositionUndefined) == 1


def test_a_description_turns_a_point_which_then_changes_its_list(lists, a_frame):
    lists.show((A, B), a_frame)
    lists.positiveNode.SetNthControlPointDescription(0, "-")
    assert lists.heard
    assert lists.clicks(a_frame) == (NOT_A, B)
    lists.show(lists.clicks(a_frame), a_frame)

    assert lists.clicks(a_frame) == (NOT_A, B)
    assert lists.positiveNode.GetNumberOfControlPoints() == lists.negativeNode.GetNumberOfControlPoints() == 1


def test_a_transform_above_a_list_moves_no_point(lists, a_frame, a_linear_transform_node):
    import slicer

    lists.show((A, NOT_A), a_frame)
    for node in (lists.positiveNode, lists.negativeNode):
        node.SetAndObserveTransformNodeID(a_linear_transform_node.GetID())
    slicer.util.updateTransformMatrixFromArray(a_linear_transform_node, np.diag([2.0, 3.0, 0.5, 1.0]))

    assert np.allclose([point.ras for point in lists.points()], [A.ras, A.ras])
    assert lists.clicks(a_frame) == (A, NOT_A)
    assert lists.heard == []


def test_locked_lists_follow_and_stay_locked(lists, a_frame):
    node = lists.positiveNode
    node.SetLocked(True)
    node.SetFixedNumberOfControlPoints(True)
    lists.show((A, B), a_frame)
    lists.show((B,), a_frame)

    assert lists.clicks(a_frame) == (B,)
    assert node.GetLocked()
    assert node.GetFixedNumberOfControlPoints()


def test_cleared_lists_are_empty_and_say_nothing(lists, a_frame):
    lists.show((A, NOT_A), a_frame)
    lists.clear()

    assert lists.points() == []
    assert lists.heard == []


def test_lists_are_found_again_by_whoever_comes_next(lists, a_scene):
    nodes = lists.ensure()
    lists.close()
    again = PointLists(a_scene)

    assert again.ensure() == nodes
    again.close()


def test_two_of_them_have_a_pair_each(lists, a_scene, a_frame):
    other = PointLists(a_scene)
    other.ensure()
    lists.show((A,), a_frame)

    assert len({*lists.ensure(), *other.ensure()}) == 4
    assert other.points() == []
    other.close()


def test_lists_that_an_imported_scene_brought_along_go_and_those_of_others_stay(lists, a_scene):
    theirs = createPromptNode(True, "theirs")
    stray = createPromptNode(True, "stray")
    stray.SetAttribute("MemorizingSAM3D.Role", "clicks of the selected segment")
    lists.ensure()

    assert stray.GetScene() is None
    assert theirs.GetScene() is a_scene


def test_a_removed_list_is_one_of_the_two_or_not(lists, a_scene):
    theirs = createPromptNode(True, "theirs")
    node = lists.positiveNode

    assert not lists.forget(theirs)
    assert lists.forget(node)
    assert not lists.forget(node)


def test_nothing_is_told_after_closing(lists):
    node = lists.positiveNode
    lists.close()
    node.AddControlPointWorld(*A.ras)

    assert lists.heard == []
