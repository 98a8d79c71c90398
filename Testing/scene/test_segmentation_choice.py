from __future__ import annotations

from MemorizingSAM3DLib.engine.prompts import Click
from MemorizingSAM3DLib.scene.segment_record import SegmentRecord
from MemorizingSAM3DLib.scene.segmentation_choice import lastClickedSegment, scanOf, segmentationOf
from MemorizingSAM3DLib.scene.segments import addSegment, createSegmentation


def test_the_last_segmentation_of_a_scan_is_found(a_scene, a_volume_node):
    import slicer

    other = slicer.util.addVolumeFromArray(slicer.util.arrayFromVolume(a_volume_node), None, "another scan")
    assert segmentationOf(a_scene, a_volume_node) is None
    createSegmentation(a_volume_node, "first")
    last = createSegmentation(a_volume_node, "last")
    elsewhere = createSegmentation(other, "of another scan")
    a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "of no scan")

    assert segmentationOf(a_scene, a_volume_node) is last
    assert segmentationOf(a_scene, other) is elsewhere
    assert segmentationOf(a_scene, None) is None
    assert scanOf(elsewhere) is other


def test_the_last_segment_that_was_clicked_is_found(a_segmentation_node):
    clicked, alsoClicked, _ = (addSegment(a_segmentation_node, name) for name in ("one", "two", "drawn"))
    assert lastClickedSegment(a_segmentation_node) == ""
    for segmentID in (clicked, alsoClicked):
        record = SegmentRecord((Click((1.0, 2.0, 3.0)),), True, "a model", "a digest")
        record.writeTo(a_segmentation_node.GetSegmentation().GetSegment(segmentID))

    assert lastClickedSegment(a_segmentation_node) == alsoClicked
