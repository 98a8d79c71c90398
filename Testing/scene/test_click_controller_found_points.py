"""Points in the views: what users, the Markups module and other modules do to them at the wrong moment."""

from __future__ import annotations

import numpy as np

from MemorizingSAM3DLib.scene.points.markups import createPromptNode
from Testing.scene.controlled import FIRST, SECOND
from Testing.scene.others import CORNER, NEAR_FIRST


def test_points_in_both_lists_count_in_the_order_in_which_they_were_placed(a_controlled):
    a_controlled.place(NEAR_FIRST, positive=False, wait=False)
    a_controlled.place(FIRST, positive=True, wait=False)
    a_controlled.settle()

    assert [point.positive for point in a_controlled.controller.points] == [False, True]


def test_no_points_are_shown_without_a_scan(a_controlled):
    a_controlled.place(FIRST)
    a_controlled.controller.setScan(None)

    assert a_controlled.controller.points == []
    assert a_controlled.controller.positiveNode.GetNumberOfControlPoints() == 0


def test_the_point_under_the_mouse_stays_last_while_others_are_shown_again(a_controlled):
    """Slicer's Delete key, while placing, deletes the last but one point of the list: the newest that is placed."""
    controller = a_controlled.controller
    node = controller.positiveNode
    a_controlled.place(FIRST)
    preview = node.AddControlPointWorld(*a_controlled.world(SECOND))
    node.SetNthControlPointPositionWorld(preview, *a_controlled.world(SECOND), node.PositionPreview)
    a_controlled.settle()
    a_controlled.place(NEAR_FIRST, positive=False)
    controller.togglePoint(1)
    a_controlled.settle()

    statuses = [node.GetNthControlPointPositionStatus(n) for n in range(node.GetNumberOfControlPoints())]
    assert statuses == [node.PositionDefined, node.PositionDefined, node.PositionPreview]
    node.SetNthControlPointPositionWorld(2, *a_controlled.world(SECOND))
    a_controlled.settle()
    assert [point.positive for point in controller.points] == [True, True, True]
    assert a_controlled.mask()[SECOND]


def test_a_click_leaves_the_points_that_did_not_change_as_they_are(a_controlled):
    a_controlled.place(FIRST)
    node = a_controlled.controller.positiveNode
    before = node.GetNthControlPointID(0)
    node.SetNthControlPointLocked(0, True)
    a_controlled.place(SECOND)
    a_controlled.place(NEAR_FIRST, positive=False)

    assert node.GetNthControlPointID(0) == before
    assert node.GetNthControlPointLocked(0)


def test_a_transform_on_the_lists_does_not_move_the_points(a_controlled, a_linear_transform_node):
    a_controlled.place(FIRST)
    before = a_controlled.mask()
    for node in (a_controlled.controller.positiveNode, a_controlled.controller.negativeNode):
        node.SetAndObserveTransformNodeID(a_linear_transform_node.GetID())
    a_controlled.settle()
    assert np.allclose(a_controlled.controller.points[0].ras, a_controlled.world(FIRST), atol=1e-3)

    a_controlled.place(NEAR_FIRST, positive=False)
    assert len(a_controlled.controller.points) == 2
    a_controlled.controller.undo()
    a_controlled.settle()
    assert (a_controlled.mask() == before).all()
    assert a_controlled.controller.undoText == "Add point (Segment_1)"


def test_a_list_whose_number_of_points_was_locked_still_follows(a_controlled):
    a_controlled.place(FIRST)
    a_controlled.place(SECOND)
    node = a_controlled.controller.positiveNode
    node.SetFixedNumberOfControlPoints(True)
    a_controlled.controller.undo()
    a_controlled.settle()

    assert len(a_controlled.controller.points) == 1
    a_controlled.controller.redo()
    a_controlled.settle()
    assert len(a_controlled.controller.points) == 2


def test_a_locked_list_still_follows(a_controlled):
    a_controlled.place(FIRST)
    a_controlled.controller.positiveNode.SetLocked(True)
    a_controlled.controller.undo()
    a_controlled.settle()

    assert a_controlled.controller.points == []


def test_a_point_that_is_called_a_minus_in_the_markups_module_becomes_negative(a_controlled):
    a_controlled.place(FIRST)
    a_controlled.place(NEAR_FIRST)
    a_controlled.controller.positiveNode.SetNthControlPointDescription(1, "-")
    a_controlled.settle()

    assert [point.positive for point in a_controlled.controller.points] == [True, False]
    assert not a_controlled.mask()[NEAR_FIRST]
    assert a_controlled.controller.undoText == "Turn point (Segment_1)"


def test_snapping_a_point_to_the_slice_counts_as_an_edit(a_controlled):
    """The key S over a point starts an interaction in Slicer that never ends."""
    a_controlled.place(FIRST)
    controller = a_controlled.controller
    node = controller.positiveNode
    display = node.GetDisplayNode()
    display.SetActiveControlPoint(0)
    node.InvokeEvent(node.PointStartInteractionEvent)
    node.SetNthControlPointPositionWorld(0, *a_controlled.world(SECOND))
    a_controlled.settle()
    display.SetActiveComponent(display.ComponentNone, -1)
    a_controlled.settle()

    assert controller.undoText == "Move point (Segment_1)"
    a_controlled.place(FIRST)
    assert len(controller.points) == 2
    assert controller.undoText == "Add point (Segment_1)"


def test_the_preview_reaches_the_place_where_the_mouse_stopped(a_slow_one):
    a_slow_one.gate.set()
    a_slow_one.place(FIRST)
    a_slow_one.gate.clear()
    node, controller = a_slow_one.controller.positiveNode, a_slow_one.controller
    node.InvokeEvent(node.PointStartInteractionEvent)
    node.SetNthControlPointPositionWorld(0, *a_slow_one.world(NEAR_FIRST))
    controller.poll()
    node.SetNthControlPointPositionWorld(0, *a_slow_one.world(SECOND))
    controller.poll()
    a_slow_one.gate.set()
    a_slow_one.settle()

    assert a_slow_one.mask()[SECOND]


def test_going_to_another_segment_in_the_middle_of_a_drag_leaves_no_preview_behind(a_controlled):
    controller = a_controlled.controller
    a_controlled.place(FIRST)
    first = controller.selectedSegmentID
    node = controller.positiveNode
    node.InvokeEvent(node.PointStartInteractionEvent)
    node.SetNthControlPointPositionWorld(0, *a_controlled.world(SECOND))
    a_controlled.settle()
    controller.newSegment()
    a_controlled.settle()

    controller.selectSegment(first)
    a_controlled.settle()
    point = controller.points[0]
    place = SECOND if np.allclose(point.ras, a_controlled.world(SECOND), atol=1e-3) else FIRST
    assert a_controlled.mask(first)[place]
    assert not a_controlled.mask(first)[FIRST if place == SECOND else SECOND]


def test_after_the_list_was_deleted_points_are_placed_in_the_new_one_or_nowhere(a_controlled):
    import slicer

    controller = a_controlled.controller
    interaction = slicer.mrmlScene.GetNodeByID("vtkMRMLInteractionNodeSingleton")
    controller.startPlacing(True)
    slicer.mrmlScene.RemoveNode(controller.positiveNode)

    assert controller.placing is True or interaction.GetCurrentInteractionMode() != interaction.Place


def test_placing_that_others_start_in_our_list_is_told(a_controlled):
    import slicer

    controller, heard = a_controlled.controller, []
    controller.placingChanged.connect(lambda: heard.append(controller.placing))
    selection = slicer.mrmlScene.GetNodeByID("vtkMRMLSelectionNodeSingleton")
    interaction = slicer.mrmlScene.GetNodeByID("vtkMRMLInteractionNodeSingleton")
    selection.SetReferenceActivePlaceNodeClassName("vtkMRMLMarkupsFiducialNode")
    selection.SetActivePlaceNodeID(controller.negativeNode.GetID())
    interaction.SetCurrentInteractionMode(interaction.Place)

    assert heard[-1:] == [False]
    interaction.SwitchToViewTransformMode()


def test_placing_ends_when_the_scan_goes(a_controlled):
    import slicer

    controller = a_controlled.controller
    interaction = slicer.mrmlScene.GetNodeByID("vtkMRMLInteractionNodeSingleton")
    controller.startPlacing(True)
    slicer.mrmlScene.RemoveNode(a_controlled.volumeNode)

    assert interaction.GetCurrentInteractionMode() != interaction.Place


def test_a_point_survives_that_another_module_deletes_its_own_list(a_controlled):
    import slicer

    theirs = createPromptNode(True, "theirs")
    a_controlled.place(FIRST, wait=False)
    slicer.mrmlScene.RemoveNode(theirs)
    a_controlled.settle()

    assert a_controlled.mask()[FIRST]


def test_a_point_survives_that_the_scan_is_moved_before_it_is_taken_up(a_controlled):
    a_controlled.place(FIRST)
    a_controlled.place(NEAR_FIRST, positive=False, wait=False)
    a_controlled.volumeNode.InvokeEvent(a_controlled.volumeNode.TransformModifiedEvent)
    a_controlled.settle()

    assert len(a_controlled.controller.points) == 2


def test_cancelling_before_the_first_point_is_taken_up_takes_it_back(a_slow_one):
    controller = a_slow_one.controller
    controller.setScan(None)
    controller.setScan(a_slow_one.volumeNode)
    a_slow_one.place(FIRST, wait=False)
    controller.cancel()
    a_slow_one.gate.set()
    a_slow_one.settle()

    assert controller.positiveNode.GetNumberOfControlPoints() == len(controller.points) == 0


def test_a_click_on_the_spot_of_an_earlier_one_counts_even_after_painting(a_controlled):
    a_controlled.place(FIRST)
    a_controlled.paint(CORNER)
    a_controlled.place(FIRST)

    assert len(a_controlled.controller.points) == 1
    assert a_controlled.mask()[FIRST]
