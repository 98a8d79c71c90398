from __future__ import annotations

import numpy as np
import pytest

from MemorizingSAM3DLib.engine.errors import ClickError
from MemorizingSAM3DLib.engine.predictor import Predictor
from MemorizingSAM3DLib.scene.clicked_segment import ClickedSegment
from MemorizingSAM3DLib.scene.segments import addSegment, createSegmentation, maskFromSegment
from Testing.engine.click_networks import BrightnessNetwork


@pytest.fixture
def a_ct_node(a_scene, an_oblique_matrix):
    """Two bright blocks in air, on an oblique grid."""
    import slicer

    voxels = np.full((30, 32, 34), -900, np.int16)
    voxels[5:14, 6:16, 7:18] = 300
    voxels[20:26, 20:28, 22:30] = 300
    return slicer.util.addVolumeFromArray(voxels, an_oblique_matrix, "a ct")


@pytest.fixture
def a_clicked_segment(a_ct_node):
    return ClickedSegment(a_ct_node, Predictor(BrightnessNetwork(reach=0.25)), name="Block")


def rasOf(node: ClickedSegment, k: float, j: float, i: float):
    return node.session.volume.ijk_to_ras_points((i, j, k))


def written(segment: ClickedSegment) -> np.ndarray:
    return maskFromSegment(segment.segmentationNode, segment.segmentID, segment.volumeNode)


def test_a_placed_point_becomes_a_segment_in_the_scene(a_clicked_segment):
    a_clicked_segment.place(rasOf(a_clicked_segment, 9, 11, 12))

    mask = written(a_clicked_segment)
    assert (mask == a_clicked_segment.session.mask).all()
    assert mask[9, 11, 12]
    assert not mask[23, 24, 26]
    assert a_clicked_segment.milliseconds > 0


def test_a_negative_point_takes_away(a_clicked_segment):
    a_clicked_segment.place(rasOf(a_clicked_segment, 9, 11, 12))
    before = written(a_clicked_segment).sum()

    a_clicked_segment.place(rasOf(a_clicked_segment, 12, 14, 16), positive=False)

    assert written(a_clicked_segment).sum() < before
    assert not written(a_clicked_segment)[12, 14, 16]


def test_a_dragged_point_moves_the_segment_with_it(a_clicked_segment):
    a_clicked_segment.place(rasOf(a_clicked_segment, 9, 11, 12))

    a_clicked_segment.positiveNode.SetNthControlPointPositionWorld(0, *rasOf(a_clicked_segment, 23, 24, 26))
    a_clicked_segment.update()

    assert written(a_clicked_segment)[23, 24, 26]
    assert not written(a_clicked_segment)[9, 11, 12]


def test_the_last_point_deleted_empties_the_segment(a_clicked_segment):
    a_clicked_segment.place(rasOf(a_clicked_segment, 9, 11, 12))

    a_clicked_segment.positiveNode.RemoveNthControlPoint(0)
    a_clicked_segment.update()

    assert not written(a_clicked_segment).any()


def test_a_point_outside_is_taken_away_again_and_nothing_is_lost(a_clicked_segment):
    a_clicked_segment.place(rasOf(a_clicked_segment, 9, 11, 12))
    before = written(a_clicked_segment)

    with pytest.raises(ClickError, match="outside the scan"):
        a_clicked_segment.place((1000.0, 0.0, 0.0))

    assert a_clicked_segment.positiveNode.GetNumberOfControlPoints() == 1
    assert (written(a_clicked_segment) == before).all()


def test_a_neighbouring_segment_survives(a_ct_node):
    import slicer

    segmentation = createSegmentation(a_ct_node, "two")
    neighbour = addSegment(segmentation, "neighbour")
    slicer.util.updateSegmentBinaryLabelmapFromArray(
        np.ones((30, 32, 34), np.uint8), segmentation, neighbour, a_ct_node
    )
    segment = ClickedSegment(a_ct_node, Predictor(BrightnessNetwork(reach=0.25)), segmentation)

    segment.place(rasOf(segment, 9, 11, 12))

    assert written(segment)[9, 11, 12]
    assert maskFromSegment(segmentation, neighbour, a_ct_node).all()


def test_the_scan_under_a_transform_is_segmented_where_it_is_seen(a_ct_node, a_linear_transform_node):
    a_ct_node.SetAndObserveTransformNodeID(a_linear_transform_node.GetID())
    segment = ClickedSegment(a_ct_node, Predictor(BrightnessNetwork(reach=0.25)))

    segment.place(rasOf(segment, 9, 11, 12))  # the engine's volume is in world coordinates

    assert written(segment)[9, 11, 12]
