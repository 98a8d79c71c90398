from __future__ import annotations

import numpy as np
import pytest

from MemorizingSAM3DLib.scene.click_controller import ClickController
from Testing.scene.controlled import FIRST, SECOND, Controlled, addBlocks
from Testing.scene.quick_model import QuickModel


def test_another_scan_brings_its_own_segmentation(a_controlled, an_oblique_matrix):
    a_controlled.place(FIRST)
    first = a_controlled.controller.segmentationNode
    other = addBlocks(an_oblique_matrix, "other")
    a_controlled.controller.setScan(other)
    assert a_controlled.controller.segmentationNode is None
    assert a_controlled.controller.points == []

    a_controlled.controller.setScan(a_controlled.volumeNode)
    assert a_controlled.controller.segmentationNode is first
    a_controlled.controller.selectSegment(first.GetSegmentation().GetNthSegmentID(0))
    a_controlled.settle()
    assert len(a_controlled.controller.points) == 1


def test_points_stay_in_the_anatomy_when_the_scan_is_moved(a_controlled, a_linear_transform_node):
    a_controlled.place(FIRST)
    before = a_controlled.mask()
    a_controlled.volumeNode.SetAndObserveTransformNodeID(a_linear_transform_node.GetID())
    a_controlled.controller.segmentationNode.SetAndObserveTransformNodeID(a_linear_transform_node.GetID())

    assert np.allclose(a_controlled.controller.points[0].ras, a_controlled.world(FIRST), atol=1e-4)
    a_controlled.place((12, 14, 16), positive=False)
    assert not a_controlled.mask()[12, 14, 16]
    a_controlled.controller.undo()
    a_controlled.settle()
    assert (a_controlled.mask() == before).all()


def test_a_saved_segment_goes_on_where_it_stopped(a_controlled, tmp_path):
    a_controlled.place(FIRST)
    a_controlled.place((12, 14, 16), positive=False)
    a_controlled.place((8, 8, 9))
    expected = a_controlled.mask()
    a_controlled.controller.undo()
    a_controlled.settle()
    place = a_controlled.world((8, 8, 9))
    # Another controller stands for another day: it knows nothing but what is in the scene.
    a_controlled.controller.close()
    again = Controlled(a_controlled.volumeNode)
    again.controller.setSegmentation(a_controlled.controller.segmentationNode)
    again.controller.selectSegment(again.segmentIDs()[0])

    assert [point.positive for point in again.controller.points] == [True, False]
    again.controller.positiveNode.AddControlPointWorld(*place)
    again.settle()
    assert (again.mask() == expected).all()
    again.controller.removePoint(1)
    again.settle()
    assert again.mask()[12, 14, 16]
    again.controller.close()


def test_a_saved_segment_that_was_painted_on_since_starts_from_what_it_is(a_faithful_one):
    a_controlled = a_faithful_one
    a_controlled.place(FIRST)
    a_controlled.controller.close()
    a_controlled.paint((slice(23, 29), slice(2, 9), slice(2, 7)))
    again = Controlled(a_controlled.volumeNode, QuickModel(memory=0.95))
    again.controller.setSegmentation(a_controlled.controller.segmentationNode)
    again.controller.selectSegment(again.segmentIDs()[0])

    assert again.controller.points == []
    again.place((12, 14, 16), positive=False)
    assert again.mask()[26, 5, 4]
    again.controller.close()


def test_saved_points_that_another_model_answers_otherwise_do_not_change_the_segment(a_controlled):
    a_controlled.place(FIRST)
    before = a_controlled.mask()
    a_controlled.controller.close()
    again = Controlled(a_controlled.volumeNode, QuickModel(reach=0.05, memory=0.95))
    again.controller.setSegmentation(a_controlled.controller.segmentationNode)
    again.controller.selectSegment(again.segmentIDs()[0])
    again.place(SECOND)

    assert again.mask()[SECOND]
    # A replay of the saved point by this model would leave next to nothing of the segment.
    assert (again.mask() & before).sum() > 0.5 * before.sum()
    assert len(again.controller.points) == 1
    again.controller.close()


def test_a_model_that_cannot_be_loaded_is_reported_and_the_point_taken_back(a_scene, an_oblique_matrix):
    controlled = Controlled(addBlocks(an_oblique_matrix), QuickModel(fails=True))
    controlled.place(FIRST)

    assert "the model is broken" in controlled.messages[-1]
    assert controlled.controller.points == []
    controlled.controller.setModel(QuickModel())
    controlled.settle()
    controlled.place(FIRST)
    assert controlled.mask()[FIRST]
    controlled.controller.close()


class MendedModel(QuickModel):
    """Cannot be loaded until someone mends it, say by a download; equal to itself before."""

    isMended = False

    def load(self):
        if not type(self).isMended:
            raise RuntimeError("the model is not there yet")
        return super().load()


def test_the_same_model_set_again_is_loaded_if_it_failed_before(a_scene, an_oblique_matrix, monkeypatch):
    controlled = Controlled(addBlocks(an_oblique_matrix), MendedModel())
    assert ["not there yet" in message for message in controlled.messages] == [True]
    monkeypatch.setattr(MendedModel, "isMended", True)
    controlled.controller.setModel(MendedModel())
    controlled.settle()
    assert controlled.controller.status.model == "Quick"

    controlled.place(FIRST)
    assert controlled.mask()[FIRST]
    assert len(controlled.messages) == 1
    controlled.controller.close()


def test_the_same_model_set_again_while_it_works_changes_nothing(a_controlled, monkeypatch):
    a_controlled.place(FIRST)
    before = a_controlled.mask()
    loads = []
    monkeypatch.setattr(QuickModel, "load", lambda choice: loads.append(choice))
    a_controlled.controller.setModel(QuickModel())
    a_controlled.settle()

    assert loads == []
    assert (a_controlled.mask() == before).all()
    assert a_controlled.controller.canUndo
    a_controlled.controller.undo()
    a_controlled.settle()
    assert a_controlled.controller.points == []
    assert a_controlled.messages == []


@pytest.mark.parametrize("value", [np.nan, 7.0])
def test_a_scan_that_cannot_be_segmented_is_refused_in_words(a_scene, value):
    import slicer

    voxels = np.full((8, 9, 10), value, np.float32)
    controlled = Controlled(slicer.util.addVolumeFromArray(voxels, np.eye(4), "bad"))
    assert len(controlled.messages) == 1
    controlled.place((4, 4, 4))

    assert controlled.controller.points == []
    controlled.controller.close()


def test_the_scene_can_be_closed_at_any_time(a_slow_one):
    import slicer

    a_slow_one.place(FIRST, wait=False)
    a_slow_one.controller.poll()
    slicer.mrmlScene.Clear(False)
    a_slow_one.gate.set()
    a_slow_one.settle()

    assert a_slow_one.controller.scanNode is None
    assert a_slow_one.controller.segmentationNode is None
    assert a_slow_one.messages == []


def test_a_deleted_list_of_points_comes_back(a_controlled):
    import slicer

    a_controlled.place(FIRST)
    before = a_controlled.mask()
    slicer.mrmlScene.RemoveNode(a_controlled.controller.positiveNode)
    a_controlled.settle()

    assert len(a_controlled.controller.points) == 1
    assert (a_controlled.mask() == before).all()


def test_place_mode_is_slicers_own(a_controlled):
    controller = a_controlled.controller
    interaction = a_controlled.volumeNode.GetScene().GetNodeByID("vtkMRMLInteractionNodeSingleton")
    heard = []
    controller.placingChanged.connect(lambda: heard.append(controller.placing))
    controller.startPlacing(True)
    assert controller.placing is True
    controller.startPlacing(False)
    assert controller.placing is False
    interaction.SwitchToViewTransformMode()

    assert controller.placing is None
    assert heard[-1] is None


def test_without_a_scan_placing_is_refused(a_scene):
    controller = ClickController(QuickModel())
    messages = []
    controller.failed.connect(messages.append)
    controller.startPlacing(True)

    assert controller.placing is None
    assert "no scan" in messages[0]
    controller.close()
