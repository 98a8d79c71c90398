"""Scans, segmentations and scenes that others change at the wrong moment."""

from __future__ import annotations

import numpy as np
import pytest

from MemorizingSAM3DLib.scene.click_controller import ClickController
from MemorizingSAM3DLib.scene.segments.segmentation import addSegment, createSegmentation
from Testing.scene.controlled import FIRST, SECOND, Controlled, addBlocks
from Testing.scene.others import CORNER, NEAR_FIRST, addWarp, fillBlock
from Testing.scene.quick_model import QuickModel


@pytest.mark.parametrize("what", ["spacing", "origin", "directions"])
def test_another_geometry_of_the_scan_is_noticed(a_controlled, what):
    a_controlled.place(FIRST)
    scan = a_controlled.volumeNode
    if what == "spacing":
        scan.SetSpacing(1.9, 1.4, 1.2)
    elif what == "origin":
        scan.SetOrigin(1, 2, 3)
    else:
        scan.SetIJKToRASDirections(((1, 0, 0), (0, 1, 0), (0, 0, 1)))
    a_controlled.settle()
    a_controlled.controller.setSegmentation(None)  # that of the old geometry does not fit any more
    a_controlled.messages.clear()
    a_controlled.place(SECOND)

    assert a_controlled.messages == []
    assert a_controlled.mask()[SECOND]


def test_scan_and_segmentation_that_are_hardened_together_go_on(a_controlled, a_linear_transform_node):
    controller = a_controlled.controller
    a_controlled.place(FIRST)
    before = a_controlled.mask()
    for node in (a_controlled.volumeNode, controller.segmentationNode):
        node.SetAndObserveTransformNodeID(a_linear_transform_node.GetID())
    for node in (a_controlled.volumeNode, controller.segmentationNode):
        node.HardenTransform()
    a_controlled.settle()
    controller.selectSegment(a_controlled.segmentIDs()[0])
    a_controlled.settle()
    a_controlled.messages.clear()
    a_controlled.place(NEAR_FIRST, positive=False)

    assert a_controlled.messages == []
    assert not a_controlled.mask()[NEAR_FIRST]
    assert (a_controlled.mask() & before).sum() > 0.3 * before.sum()


@pytest.mark.parametrize("how", ["updateVolumeFromArray", "arrayFromVolumeModified"])
def test_other_voxels_in_the_same_scan_are_what_the_next_click_sees(a_controlled, how):
    import slicer

    voxels = slicer.util.arrayFromVolume(a_controlled.volumeNode).copy()
    voxels[20:26, 20:28, 26:] = -900
    if how == "updateVolumeFromArray":
        slicer.util.updateVolumeFromArray(a_controlled.volumeNode, voxels)
    else:
        slicer.util.arrayFromVolume(a_controlled.volumeNode)[:] = voxels
        slicer.util.arrayFromVolumeModified(a_controlled.volumeNode)
    a_controlled.place((SECOND[0], SECOND[1], 24))

    assert a_controlled.mask()[SECOND[0], SECOND[1], 24]
    assert not a_controlled.mask()[SECOND[0], SECOND[1], 29]


def test_a_scan_that_loses_its_voxels_is_told_once(a_controlled):
    a_controlled.place(FIRST)
    a_controlled.volumeNode.SetAndObserveImageData(None)
    a_controlled.settle()

    assert len(a_controlled.messages) == 1
    assert "no voxels" in a_controlled.messages[0]


def test_a_click_on_a_scan_without_voxels_says_what_is_wrong_with_it(a_controlled):
    place = a_controlled.world(FIRST)
    a_controlled.volumeNode.SetAndObserveImageData(None)
    a_controlled.settle()
    a_controlled.messages.clear()
    a_controlled.controller.positiveNode.AddControlPointWorld(*place)
    a_controlled.settle()

    assert len(a_controlled.messages) == 1
    assert "no voxels" in a_controlled.messages[0]
    assert a_controlled.controller.points == []


def test_a_scan_below_a_nonlinear_transform_is_segmented_where_it_lies(a_controlled):
    import slicer

    warp = addWarp()
    a_controlled.volumeNode.SetAndObserveTransformNodeID(warp.GetID())
    a_controlled.settle()
    a_controlled.place(FIRST)

    assert a_controlled.messages == []
    assert a_controlled.mask()[FIRST]
    assert not a_controlled.mask()[SECOND]
    slicer.mrmlScene.RemoveNode(warp)
    a_controlled.settle()
    assert np.allclose(a_controlled.controller.points[0].ras, a_controlled.world(FIRST), atol=0.05)


def test_a_nonlinear_transform_on_the_scan_alone_is_refused_in_words_and_nothing_is_lost(a_controlled):
    controller = a_controlled.controller
    a_controlled.place(FIRST)
    segmentID = controller.selectedSegmentID
    a_controlled.paint(CORNER)
    a_controlled.volumeNode.SetAndObserveTransformNodeID(addWarp().GetID())
    a_controlled.place(NEAR_FIRST, positive=False)
    controller.selectSegment("")
    controller.selectSegment(segmentID)
    controller.undo()
    a_controlled.settle()

    assert a_controlled.messages
    assert controller.segmentationNode.GetSegmentation().GetSegment(segmentID) is not None
    a_controlled.volumeNode.SetAndObserveTransformNodeID(None)
    a_controlled.settle()
    assert a_controlled.mask(segmentID)[FIRST]


def test_a_segmentation_on_another_grid_is_told_once_and_left_as_it_is(a_controlled):
    other = addBlocks(np.diag([3.0, 3.0, 3.0, 1.0]), "coarser")
    node = createSegmentation(other, "on another grid")
    segmentID = addSegment(node, "theirs")
    fillBlock(node, segmentID, other)
    controller = a_controlled.controller
    controller.setSegmentation(node)
    controller.selectSegment(segmentID)
    assert len(a_controlled.messages) == 1

    a_controlled.messages.clear()
    a_controlled.place(FIRST)
    assert len(a_controlled.messages) == 1
    assert "another grid" in a_controlled.messages[0]
    assert controller.points == []
    assert a_controlled.segmentIDs() == [segmentID]


def test_a_click_on_a_segmentation_on_another_grid_adds_no_segment_to_it(a_controlled):
    other = addBlocks(np.diag([3.0, 3.0, 3.0, 1.0]), "coarser")
    node = createSegmentation(other, "on another grid")
    fillBlock(node, addSegment(node, "theirs"), other)
    a_controlled.controller.setSegmentation(node)
    a_controlled.place(FIRST)

    assert len(a_controlled.segmentIDs()) == 1
    assert len(a_controlled.messages) == 1
    assert a_controlled.controller.points == []


def test_an_imported_surface_is_refused_in_words_and_left_as_it_is(a_controlled):
    node = createSegmentation(a_controlled.volumeNode, "surfaces")
    segmentID = addSegment(node, "a surface")
    fillBlock(node, segmentID, a_controlled.volumeNode)
    node.CreateClosedSurfaceRepresentation()
    node.GetSegmentation().SetSourceRepresentationName("Closed surface")
    node.GetSegmentation().RemoveRepresentation("Binary labelmap")
    a_controlled.controller.setSegmentation(node)
    a_controlled.controller.selectSegment(segmentID)
    a_controlled.messages.clear()
    a_controlled.place(FIRST)

    assert len(a_controlled.messages) == 1
    assert a_controlled.controller.points == []
    assert node.GetSegmentation().GetSourceRepresentationName() == "Closed surface"


def test_a_segment_that_is_not_there_is_not_selected(a_controlled):
    a_controlled.place(FIRST)
    a_controlled.controller.selectSegment("nobody")

    assert a_controlled.controller.selectedSegmentID in a_controlled.segmentIDs() + [""]
    a_controlled.place(SECOND)
    assert a_controlled.mask()[SECOND]


def test_a_locked_segment_is_locked_without_a_scan_too(a_controlled):
    a_controlled.place(FIRST)
    controller = a_controlled.controller
    node, segmentID = controller.segmentationNode, controller.selectedSegmentID
    controller.setLocked(segmentID, True)
    controller.setScan(None)
    controller.setSegmentation(node)

    assert controller.isLocked(segmentID)
    controller.removeSegment(segmentID)
    assert a_controlled.segmentIDs() == [segmentID]


def test_selecting_a_segment_without_a_scan_is_no_error(a_scene, a_volume_node):
    node = createSegmentation(a_volume_node, "segmentation")
    controller, messages = ClickController(QuickModel()), []
    controller.failed.connect(messages.append)
    controller.setSegmentation(node)
    controller.newSegment()
    controller.selectSegment("")
    controller.selectSegment(node.GetSegmentation().GetNthSegmentID(0))

    assert messages == []
    controller.close()


def test_a_segment_without_a_name_has_a_successor(a_controlled):
    import slicer

    node = createSegmentation(a_controlled.volumeNode, "nameless")
    node.GetSegmentation().AddSegment(slicer.vtkSegment(), "nameless")
    a_controlled.controller.setSegmentation(node)

    assert a_controlled.controller.newSegment()


def test_other_contents_in_the_same_segmentation_node_are_followed(a_controlled):
    import slicer

    a_controlled.place(FIRST)
    controller = a_controlled.controller
    other = createSegmentation(a_controlled.volumeNode, "other")
    addSegment(other, "theirs")
    heard = []
    controller.segmentsChanged.connect(lambda: heard.append(1))
    copy = slicer.vtkSegmentation()
    copy.DeepCopy(other.GetSegmentation())
    controller.segmentationNode.SetAndObserveSegmentation(copy)
    a_controlled.settle()

    assert heard
    assert controller.selectedSegmentID in [*a_controlled.segmentIDs(), ""]
    heard.clear()
    added = addSegment(controller.segmentationNode, "added")
    assert heard
    controller.selectSegment(added)
    a_controlled.place(SECOND)
    assert a_controlled.mask(added)[SECOND]


def test_a_segmentation_deleted_while_its_click_is_computed_harms_nothing(a_slow_one):
    import slicer

    a_slow_one.place(FIRST, wait=False)
    a_slow_one.controller.poll()
    slicer.mrmlScene.RemoveNode(a_slow_one.controller.segmentationNode)
    a_slow_one.gate.set()
    a_slow_one.settle()
    assert a_slow_one.messages == []
    assert a_slow_one.controller.points == []

    a_slow_one.place(FIRST)
    assert a_slow_one.mask()[FIRST]


def test_all_segments_removed_by_another_module_while_one_is_computed(a_slow_one):
    a_slow_one.place(FIRST, wait=False)
    a_slow_one.controller.poll()
    a_slow_one.controller.segmentationNode.GetSegmentation().RemoveAllSegments()
    a_slow_one.gate.set()
    a_slow_one.settle()

    assert a_slow_one.messages == []
    assert a_slow_one.controller.selectedSegmentID == ""
    assert a_slow_one.controller.points == []


def test_importing_a_scene_with_points_of_ours_leaves_one_pair_of_lists(a_controlled, tmp_path):
    import slicer

    scene = slicer.mrmlScene
    a_controlled.place(FIRST)
    path = str(tmp_path / "saved.mrb")
    assert scene.WriteToMRB(path)
    before = a_controlled.mask()
    a_controlled.place(SECOND)
    assert scene.ReadFromMRB(path, False)
    a_controlled.settle()

    names = [node.GetName() for node in slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode")]
    assert sorted(names) == ["Inside points", "Outside points"]
    assert len(a_controlled.controller.points) == 2
    a_controlled.controller.undo()
    a_controlled.settle()
    assert (a_controlled.mask() == before).all()


def test_two_controllers_on_one_scene_do_not_answer_each_others_points(a_controlled):
    other = Controlled(a_controlled.volumeNode)
    a_controlled.place(FIRST)
    for _ in range(5):
        other.controller.poll(0.02)
        a_controlled.controller.poll(0.02)

    assert a_controlled.mask()[FIRST]
    assert other.controller.points == []
    assert len(a_controlled.controller.points) == 1
    other.controller.close()
