"""A segmentation of another scan or grid has a way on to the scan at hand, and none changes silently."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from MemorizingSAM3DLib.engine.errors import VolumeError
from Testing.scene.controlled import FIRST, SECOND, addBlocks
from Testing.scene.others import fillBlock


def aCoarserOne(matrix: np.ndarray) -> tuple[Any, str, Any]:
    from MemorizingSAM3DLib.scene.segments.segmentation import addSegment, createSegmentation

    other = addBlocks(matrix @ np.diag([2.0, 2.0, 2.0, 1.0]), "coarser")
    node = createSegmentation(other, "theirs")
    segmentID = addSegment(node, "liver", (0.2, 0.4, 0.6))
    fillBlock(node, segmentID, other)
    return node, segmentID, other


def test_a_resampled_copy_has_the_same_segments_on_the_scans_grid_and_the_old_one_stays(
    a_controlled, an_oblique_matrix
):
    from MemorizingSAM3DLib.scene.segments.resampled_copy import resampledCopy
    from MemorizingSAM3DLib.scene.segments.segmentation import maskFromSegment

    node, segmentID, other = aCoarserOne(an_oblique_matrix)
    before = maskFromSegment(node, segmentID, other)
    copy = resampledCopy(node, a_controlled.volumeNode)

    segment = copy.GetSegmentation().GetSegment(segmentID)
    assert segment.GetName() == "liver"
    assert segment.GetColor() == pytest.approx((0.2, 0.4, 0.6))
    wanted = maskFromSegment(node, segmentID, a_controlled.volumeNode)
    assert wanted.any()
    assert (maskFromSegment(copy, segmentID, a_controlled.volumeNode) == wanted).all()
    assert (maskFromSegment(node, segmentID, other) == before).all()


def test_work_goes_on_in_the_resampled_copy(a_controlled, an_oblique_matrix):
    from MemorizingSAM3DLib.scene.segments.oriented_images import isOnOtherGrid
    from MemorizingSAM3DLib.scene.segments.resampled_copy import resampleToScan

    node, segmentID, _ = aCoarserOne(an_oblique_matrix)
    controller = a_controlled.controller
    controller.setSegmentation(node)
    controller.selectSegment(segmentID)
    assert "Resample to this scan" in a_controlled.messages[-1]
    assert isOnOtherGrid(node, a_controlled.volumeNode)

    a_controlled.messages.clear()
    resampleToScan(controller)
    assert controller.segmentationNode is not node
    assert controller.selectedSegmentID == segmentID
    assert not isOnOtherGrid(controller.segmentationNode, a_controlled.volumeNode)
    a_controlled.place(FIRST)
    assert a_controlled.messages == [] and len(controller.points) == 1


@pytest.mark.parametrize(("shift", "isRefused"), [(0.03, False), (0.08, False), (0.3, True)])
def test_a_labelmap_off_by_rounding_is_on_the_grid(a_controlled, an_oblique_matrix, shift, isRefused):
    from MemorizingSAM3DLib.scene.segments.oriented_images import alignSegmentation
    from MemorizingSAM3DLib.scene.segments.segmentation import addSegment, createSegmentation, maskFromSegment

    moved = an_oblique_matrix.copy()
    moved[:3, 3] += an_oblique_matrix[:3, :3] @ [shift, 0, 0]
    other = addBlocks(moved, "off")
    node = createSegmentation(other, "off")
    segmentID = addSegment(node, "theirs")
    fillBlock(node, segmentID, other)
    drawn = maskFromSegment(node, segmentID, other)
    if isRefused:
        with pytest.raises(VolumeError, match="another grid"):
            alignSegmentation(node, a_controlled.volumeNode)
    else:
        alignSegmentation(node, a_controlled.volumeNode)
        assert (maskFromSegment(node, segmentID, a_controlled.volumeNode) == drawn).all()


def test_a_finer_geometry_that_somebody_chose_is_not_reset_silently(a_controlled, an_oblique_matrix):
    import slicer

    from MemorizingSAM3DLib.scene.segments.segmentation import createSegmentation

    node = createSegmentation(a_controlled.volumeNode, "oversampled")
    finer = addBlocks(an_oblique_matrix @ np.diag([0.5, 0.5, 0.5, 1.0]), "finer")
    converter = slicer.vtkSegmentationConverter
    from MemorizingSAM3DLib.scene.segments.oriented_images import imageOnGrid

    image = imageOnGrid(finer, node)
    node.GetSegmentation().SetConversionParameter(
        converter.GetReferenceImageGeometryParameterName(), converter.SerializeImageGeometry(image)
    )
    a_controlled.controller.setSegmentation(node)
    a_controlled.place(FIRST)
    assert any("finer than that of the scan" in message for message in a_controlled.messages)


@pytest.mark.parametrize("undo", [True, False])
def test_points_come_back_when_the_segment_is_again_what_they_led_to(a_scene, undo):
    """A click on a cropped copy of the scan took the points of the whole scan away, even when it was undone."""
    import slicer

    from Testing.scene.controlled import Controlled

    matrix = np.diag([-2.0, -1.5, 1.0, 1.0])
    whole = addBlocks(matrix)
    controlled = Controlled(whole)
    controller = controlled.controller
    controlled.place(FIRST)
    controlled.place(SECOND)
    node, segmentID, before = controller.segmentationNode, controller.selectedSegmentID, controlled.mask()
    crop = slicer.util.addVolumeFromArray(slicer.util.arrayFromVolume(whole)[:18, :20, :20].copy(), matrix, "cropped")

    def use(scan: Any) -> None:
        controlled.volumeNode = scan
        controller.setScan(scan)
        controller.setSegmentation(node)
        controller.selectSegment(segmentID)
        controlled.settle()

    use(crop)
    controlled.place((4, 8, 10))
    if undo:
        controller.undo()
        controlled.settle()
    use(whole)
    if not undo:
        slicer.util.updateSegmentBinaryLabelmapFromArray(before.astype(np.uint8), node, segmentID, whole)
        use(crop)
        use(whole)
    assert len(controller.points) == 2
    assert (controlled.mask() == before).all()
    controller.close()
