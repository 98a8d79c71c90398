from __future__ import annotations

import numpy as np

from MemorizingSAM3DLib.scene.segments.segmentation import addSegment, createSegmentation
from Testing.scene.controlled import BETWEEN, FIRST, SECOND, Controlled
from Testing.scene.quick_model import QuickModel


def test_the_first_point_makes_a_segmentation_and_a_segment(a_controlled):
    a_controlled.place(FIRST)

    controller = a_controlled.controller
    assert controller.segmentationNode.GetName() == "blocks segmentation"
    assert a_controlled.segmentIDs() == [controller.selectedSegmentID]
    assert a_controlled.mask()[FIRST]
    assert not a_controlled.mask()[SECOND]
    assert controller.status.lastClickMilliseconds > 0


def test_a_negative_point_removes_and_another_positive_one_adds(a_controlled):
    a_controlled.place(FIRST)
    a_controlled.place((12, 14, 16), positive=False)
    assert not a_controlled.mask()[12, 14, 16]

    a_controlled.place(SECOND)
    assert a_controlled.mask()[SECOND]
    assert not a_controlled.mask()[12, 14, 16]


def test_undo_goes_back_to_nothing_and_redo_forward_to_everything(a_controlled):
    masks = [np.zeros((30, 32, 34), bool)]
    for kji, positive in ((FIRST, True), ((12, 14, 16), False), (SECOND, True)):
        a_controlled.place(kji, positive)
        masks.append(a_controlled.mask())
    controller = a_controlled.controller

    for expected in reversed(masks[:-1]):
        controller.undo()
        a_controlled.settle()
        assert (a_controlled.mask() == expected).all()
    assert not controller.canUndo
    assert controller.points == []
    for expected in masks[1:]:
        controller.redo()
        a_controlled.settle()
        assert (a_controlled.mask() == expected).all()
    assert not controller.canRedo
    assert [point.positive for point in controller.points] == [True, False, True]


def test_a_deleted_point_counts_at_once(a_controlled):
    a_controlled.place(FIRST)
    before = a_controlled.mask()
    a_controlled.place((12, 14, 16), positive=False)
    a_controlled.controller.removePoint(1)
    a_controlled.settle()

    assert (a_controlled.mask() == before).all()
    assert len(a_controlled.controller.points) == 1


def test_a_point_deleted_in_the_views_counts_too(a_controlled):
    a_controlled.place(FIRST)
    a_controlled.controller.positiveNode.RemoveNthControlPoint(0)
    a_controlled.settle()

    assert not a_controlled.mask().any()
    assert a_controlled.controller.undoText == "Delete point (Segment_1)"


def test_a_moved_point_counts_as_one_edit(a_controlled):
    a_controlled.place(FIRST)
    a_controlled.controller.positiveNode.SetNthControlPointPositionWorld(0, *a_controlled.world(SECOND))
    a_controlled.settle()

    assert a_controlled.mask()[SECOND]
    assert not a_controlled.mask()[FIRST]
    a_controlled.controller.undo()
    a_controlled.settle()
    assert a_controlled.mask()[FIRST]
    assert np.allclose(a_controlled.controller.points[0].ras, a_controlled.world(FIRST))


def test_while_a_point_is_dragged_the_segment_follows_and_only_its_end_is_an_edit(a_controlled):
    a_controlled.place(FIRST)
    node, controller = a_controlled.controller.positiveNode, a_controlled.controller
    node.InvokeEvent(node.PointStartInteractionEvent)
    node.SetNthControlPointPositionWorld(0, *a_controlled.world(SECOND))
    a_controlled.settle()

    assert a_controlled.mask()[SECOND]
    assert controller.undoText == "Add point (Segment_1)"
    node.InvokeEvent(node.PointEndInteractionEvent)
    a_controlled.settle()
    assert controller.undoText == "Move point (Segment_1)"
    controller.undo()
    a_controlled.settle()
    assert a_controlled.mask()[FIRST]
    assert not a_controlled.mask()[SECOND]


def test_a_point_dragged_back_to_where_it_was_is_no_edit(a_controlled):
    a_controlled.place(FIRST)
    place = a_controlled.controller.points[0].ras
    before = a_controlled.mask()
    node = a_controlled.controller.positiveNode
    node.InvokeEvent(node.PointStartInteractionEvent)
    node.SetNthControlPointPositionWorld(0, *a_controlled.world(SECOND))
    a_controlled.settle()
    node.SetNthControlPointPositionWorld(0, *place)
    node.InvokeEvent(node.PointEndInteractionEvent)
    a_controlled.settle()

    assert (a_controlled.mask() == before).all()
    assert a_controlled.controller.undoText == "Add point (Segment_1)"


def test_without_preview_the_segment_waits_for_the_end_of_the_drag(a_controlled):
    a_controlled.controller.previewWhileDragging = False
    a_controlled.place(FIRST)
    node = a_controlled.controller.positiveNode
    node.InvokeEvent(node.PointStartInteractionEvent)
    node.SetNthControlPointPositionWorld(0, *a_controlled.world(SECOND))
    a_controlled.settle()
    assert a_controlled.mask()[FIRST]

    node.InvokeEvent(node.PointEndInteractionEvent)
    a_controlled.settle()
    assert a_controlled.mask()[SECOND]


def test_a_turned_point_changes_its_list_and_its_meaning(a_controlled):
    a_controlled.place(FIRST)
    a_controlled.place((12, 14, 16), positive=False)
    a_controlled.controller.togglePoint(1)
    a_controlled.settle()

    assert a_controlled.mask()[12, 14, 16]
    assert a_controlled.controller.positiveNode.GetNumberOfControlPoints() == 2
    assert a_controlled.controller.negativeNode.GetNumberOfControlPoints() == 0
    assert a_controlled.controller.undoText == "Turn point (Segment_1)"


def test_thirty_lesions_are_thirty_segments_each_with_its_own_points(a_scene, an_oblique_matrix):
    import slicer

    voxels = np.full((40, 60, 60), -900, np.int16)
    middles = [(k, j, i) for k in (8, 20, 32) for j in (8, 24, 40, 52) for i in (8, 24, 40)][:30]
    for k, j, i in middles:
        voxels[k - 2 : k + 3, j - 2 : j + 3, i - 2 : i + 3] = 300
    controlled = Controlled(
        slicer.util.addVolumeFromArray(voxels, an_oblique_matrix, "lesions"), QuickModel(reach=0.08)
    )
    for number, middle in enumerate(middles):
        controlled.controller.newSegment("Lesion 1" if number == 0 else None)
        controlled.place(middle)

    names = [controlled.controller.segmentationNode.GetSegmentation().GetNthSegment(n).GetName() for n in range(30)]
    assert names == [f"Lesion {n + 1}" for n in range(30)]
    for middle, segmentID in zip(middles, controlled.segmentIDs(), strict=True):
        controlled.controller.selectSegment(segmentID)
        mask = controlled.mask()
        assert mask[middle]
        assert sum(mask[other] for other in middles) == 1
        assert len(controlled.controller.points) == 1
    for _ in range(30):
        controlled.controller.undo()
        controlled.settle()
    assert not any(controlled.mask(segmentID).any() for segmentID in controlled.segmentIDs())
    controlled.controller.close()


def test_undo_goes_to_the_segment_that_was_edited_last(a_controlled):
    a_controlled.place(FIRST)
    first = a_controlled.controller.selectedSegmentID
    second = a_controlled.controller.newSegment()
    a_controlled.place(SECOND)
    a_controlled.controller.selectSegment(first)
    a_controlled.controller.undo()
    a_controlled.settle()

    assert a_controlled.controller.selectedSegmentID == second
    assert not a_controlled.mask(second).any()
    assert a_controlled.mask(first)[FIRST]


def test_a_point_outside_the_scan_is_refused_and_the_others_stay(a_controlled):
    a_controlled.place(FIRST)
    a_controlled.place((500, 500, 500))

    assert len(a_controlled.controller.points) == 1
    assert a_controlled.mask()[FIRST]
    assert "outside the scan" in a_controlled.messages[-1]


def test_an_existing_segment_is_what_the_first_point_starts_from(a_controlled):
    node = createSegmentation(a_controlled.volumeNode, "imported")
    segmentID = addSegment(node, "from elsewhere")
    a_controlled.controller.setSegmentation(node)
    a_controlled.controller.selectSegment(segmentID)
    a_controlled.paint((slice(5, 14), slice(6, 16), slice(7, 12)))
    painted = a_controlled.mask()
    a_controlled.place((12, 14, 16))

    assert a_controlled.mask()[12, 14, 16]
    assert a_controlled.mask()[9, 11, 9]
    for _ in range(2):
        a_controlled.controller.undo()
        a_controlled.settle()
    assert (a_controlled.mask() == painted).all() or not a_controlled.mask().any()


def test_what_the_segment_editor_paints_stays_and_the_next_point_builds_on_it(a_faithful_one):
    a_controlled = a_faithful_one
    a_controlled.place(FIRST)
    a_controlled.paint((slice(23, 29), slice(2, 9), slice(2, 7)))
    a_controlled.place((12, 14, 16), positive=False)

    assert a_controlled.mask()[26, 5, 4]
    assert not a_controlled.mask()[12, 14, 16]
    assert [point.positive for point in a_controlled.controller.points] == [False]
    a_controlled.controller.undo()
    a_controlled.settle()
    assert a_controlled.controller.undoText == "Change by hand (Segment_1)"
    a_controlled.controller.undo()
    a_controlled.settle()
    assert not a_controlled.mask()[26, 5, 4]
    assert a_controlled.mask()[FIRST]
    a_controlled.controller.redo()
    a_controlled.settle()
    assert a_controlled.mask()[26, 5, 4]


def test_painting_while_a_click_is_computed_is_not_lost(a_slow_one):
    a_slow_one.gate.set()
    a_slow_one.place(FIRST)
    a_slow_one.gate.clear()
    a_slow_one.place((12, 14, 16), positive=False, wait=False)
    a_slow_one.controller.poll()
    a_slow_one.paint((slice(23, 29), slice(2, 9), slice(2, 7)))
    a_slow_one.gate.set()
    a_slow_one.settle()

    assert a_slow_one.mask()[26, 5, 4]
    assert not a_slow_one.mask()[12, 14, 16]


def test_a_locked_segment_is_not_edited(a_controlled):
    a_controlled.place(FIRST)
    before = a_controlled.mask()
    a_controlled.controller.setLocked(a_controlled.controller.selectedSegmentID, True)
    a_controlled.place((12, 14, 16), positive=False)

    assert (a_controlled.mask() == before).all()
    assert len(a_controlled.controller.points) == 1
    assert "locked" in a_controlled.messages[-1]
    a_controlled.controller.undo()
    a_controlled.settle()
    assert (a_controlled.mask() == before).all()


def test_a_locked_neighbour_is_never_eaten(a_controlled):
    import slicer

    a_controlled.place(FIRST)
    neighbour = a_controlled.controller.selectedSegmentID
    before = a_controlled.mask()
    a_controlled.controller.setLocked(neighbour, True)
    editor = slicer.vtkMRMLSegmentEditorNode()
    editor.SetSingletonTag("SegmentEditor")
    editor = slicer.mrmlScene.AddNode(editor)
    editor.SetAndObserveSegmentationNode(a_controlled.controller.segmentationNode)
    editor.SetOverwriteMode(editor.OverwriteAllSegments)
    a_controlled.controller.newSegment()
    a_controlled.place((12, 14, 16))

    assert (a_controlled.mask(neighbour) == before).all()
    assert not (a_controlled.mask() & before).any()


def test_cancelling_takes_the_unfinished_point_back(a_slow_one):
    a_slow_one.gate.set()
    a_slow_one.place(FIRST)
    before = a_slow_one.mask()
    a_slow_one.gate.clear()
    a_slow_one.place((12, 14, 16), positive=False, wait=False)
    controller = a_slow_one.controller
    controller.poll()
    assert controller.status.canCancel
    controller.cancel()
    a_slow_one.gate.set()
    a_slow_one.settle()

    assert (a_slow_one.mask() == before).all()
    assert len(controller.points) == 1
    assert controller.undoText == "Add point (Segment_1)"
    assert a_slow_one.messages == []


def test_a_scan_deleted_during_inference_harms_nothing(a_slow_one):
    import slicer

    a_slow_one.place(FIRST, wait=False)
    a_slow_one.controller.poll()
    segmentationNode = a_slow_one.controller.segmentationNode
    slicer.mrmlScene.RemoveNode(a_slow_one.volumeNode)
    a_slow_one.gate.set()
    a_slow_one.settle()

    assert a_slow_one.controller.scanNode is None
    assert segmentationNode.GetScene() is not None
    assert a_slow_one.messages == []


def test_a_segment_deleted_during_inference_stays_deleted(a_slow_one):
    a_slow_one.place(FIRST, wait=False)
    a_slow_one.controller.poll()
    a_slow_one.controller.removeSegment(a_slow_one.controller.selectedSegmentID)
    a_slow_one.gate.set()
    a_slow_one.settle()

    assert a_slow_one.segmentIDs() == []
    assert a_slow_one.controller.selectedSegmentID == ""
    assert not a_slow_one.controller.canUndo


def test_two_quick_points_both_count(a_slow_one):
    a_slow_one.place(FIRST, wait=False)
    a_slow_one.controller.poll()
    a_slow_one.place(SECOND, wait=False)
    a_slow_one.controller.poll()
    a_slow_one.gate.set()
    a_slow_one.settle()

    assert a_slow_one.mask()[FIRST]
    assert a_slow_one.mask()[SECOND]
    assert a_slow_one.controller.undoText == "Add point (Segment_1)"


def test_a_result_goes_to_the_segment_it_was_computed_for(a_slow_one):
    a_slow_one.place(FIRST, wait=False)
    a_slow_one.controller.poll()
    first = a_slow_one.controller.selectedSegmentID
    second = a_slow_one.controller.newSegment()
    a_slow_one.place(SECOND, wait=False)
    a_slow_one.controller.poll()
    a_slow_one.gate.set()
    a_slow_one.settle()

    assert a_slow_one.mask(first)[FIRST]
    assert not a_slow_one.mask(first)[SECOND]
    assert a_slow_one.mask(second)[SECOND]
    assert not a_slow_one.mask(second)[FIRST]


def test_clearing_the_points_empties_a_segment_and_can_be_undone(a_controlled):
    a_controlled.place(FIRST)
    a_controlled.place(BETWEEN, positive=False)
    before = a_controlled.mask()
    a_controlled.controller.clearPoints()
    a_controlled.settle()
    assert not a_controlled.mask().any()

    a_controlled.controller.undo()
    a_controlled.settle()
    assert (a_controlled.mask() == before).all()
