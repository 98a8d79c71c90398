from __future__ import annotations

import pytest

from MemorizingSAM3DLib.scene.begin_segment import beginSegment
from Testing.scene.controlled import FIRST, SECOND, Controlled, addBlocks


@pytest.fixture
def a_user(a_scene, an_oblique_matrix):
    controlled = Controlled(addBlocks(an_oblique_matrix))
    controlled.settle()
    yield controlled
    controlled.controller.close()


def rasOf(user, kji):
    """In the scan's own RAS."""
    from MemorizingSAM3DLib.scene.scan import ScanFrame

    return ScanFrame(user.controller.scanNode).toScan(user.world(kji))


def nameOf(user, segmentID):
    return user.controller.segmentationNode.GetSegmentation().GetSegment(segmentID).GetName()


def test_a_point_in_the_scans_frame_begins_a_segment_of_that_name(a_user):
    beginSegment(a_user.controller, "Liver", rasOf(a_user, FIRST))
    a_user.settle()
    (point,) = a_user.controller.points
    assert point.positive and point.ras == pytest.approx(a_user.world(FIRST), abs=1e-3)
    assert nameOf(a_user, a_user.controller.selectedSegmentID) == "Liver"
    assert a_user.mask()[FIRST]


def test_it_is_an_edit_like_any_other(a_user):
    beginSegment(a_user.controller, "Liver", rasOf(a_user, FIRST))
    a_user.settle()
    a_user.controller.togglePoint(0)
    a_user.settle()
    assert not a_user.mask().any()
    a_user.controller.undo()
    a_user.settle()
    assert a_user.mask()[FIRST]


def test_the_point_lies_in_the_anatomy_under_a_transform_of_the_scan(a_user):
    import slicer

    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    from vtkmodules.vtkCommonMath import vtkMatrix4x4

    matrix = vtkMatrix4x4()
    matrix.SetElement(0, 3, 30.0)
    transform.SetMatrixTransformToParent(matrix)
    ras = rasOf(a_user, SECOND)
    a_user.controller.scanNode.SetAndObserveTransformNodeID(transform.GetID())
    a_user.settle()
    beginSegment(a_user.controller, "Liver", ras)
    a_user.settle()
    (point,) = a_user.controller.points
    assert point.ras[0] == pytest.approx(ras[0] + 30.0, abs=1e-3)
    assert a_user.mask()[SECOND]


def test_a_list_whose_number_of_points_is_locked_gives_way_and_is_locked_again(a_user):
    node = a_user.controller.positiveNode
    node.SetFixedNumberOfControlPoints(True)
    assert beginSegment(a_user.controller, "Liver", rasOf(a_user, FIRST))
    a_user.settle()
    assert len(a_user.controller.points) == 1 and a_user.mask()[FIRST]
    assert node.GetFixedNumberOfControlPoints()


def test_where_no_segment_can_be_made_none_is_begun(a_user):
    a_user.controller.setScan(None)
    assert not beginSegment(a_user.controller, "Liver", (0.0, 0.0, 0.0))
    assert a_user.messages
