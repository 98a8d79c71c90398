"""Segments as the clicks see them: packed, written box by box, beside locked ones, on a scan that moves."""

from __future__ import annotations

import numpy as np
import pytest

from MemorizingSAM3DLib.engine.errors import VolumeError
from MemorizingSAM3DLib.engine.geometry import Box
from MemorizingSAM3DLib.scene.segments.segmentation import maskFromSegment, packedMaskFromSegment, setLocked
from MemorizingSAM3DLib.scene.segments.writer import SegmentWriter
from Testing.scene.others import addWarp, fillBlock

SHAPE = (16, 14, 12)
BOX = Box(3, 9, 2, 11, 4, 10)


@pytest.fixture
def the_users_editor(a_scene, a_segmentation_node):
    import slicer

    node = slicer.vtkMRMLSegmentEditorNode()
    node.SetSingletonTag("SegmentEditor")
    node = a_scene.AddNode(node)
    node.SetAndObserveSegmentationNode(a_segmentation_node)
    return node


def slab(low, high):
    mask = np.zeros(SHAPE, bool)
    mask[low:high] = True
    return mask


def lock(segmentationNode, segmentID, locked=True):
    setLocked(segmentationNode.GetSegmentation().GetSegment(segmentID), locked)


@pytest.mark.parametrize("mode", ["OverwriteAllSegments", "OverwriteVisibleSegments", "OverwriteNone"])
def test_a_locked_neighbour_keeps_its_voxels_in_any_overwrite_mode(
    a_writer, a_segmentation_node, a_segment, a_neighbour, a_volume_node, the_users_editor, mode
):
    SegmentWriter(a_segmentation_node, a_neighbour, a_volume_node).write(slab(6, 12))
    lock(a_segmentation_node, a_neighbour)
    the_users_editor.SetOverwriteMode(getattr(the_users_editor, mode))
    a_writer.write(slab(2, 9))

    assert (maskFromSegment(a_segmentation_node, a_neighbour, a_volume_node) == slab(6, 12)).all()
    assert (maskFromSegment(a_segmentation_node, a_segment, a_volume_node) == slab(2, 6)).all()
    assert a_writer.holds(slab(2, 6)[BOX.slices], BOX)
    assert not a_writer.holds(slab(2, 9)[BOX.slices], BOX)


def test_an_unlocked_neighbour_is_overwritten_again(
    a_writer, a_segmentation_node, a_segment, a_neighbour, a_volume_node, the_users_editor
):
    SegmentWriter(a_segmentation_node, a_neighbour, a_volume_node).write(slab(6, 12))
    lock(a_segmentation_node, a_neighbour)
    lock(a_segmentation_node, a_neighbour, False)
    the_users_editor.SetOverwriteMode(the_users_editor.OverwriteAllSegments)
    a_writer.write(slab(2, 9))

    assert (maskFromSegment(a_segmentation_node, a_neighbour, a_volume_node) == slab(9, 12)).all()


def test_where_a_locked_neighbour_is_our_own_voxels_may_still_be_taken_away(
    a_writer, a_segmentation_node, a_segment, a_neighbour, a_volume_node
):
    a_writer.write(slab(2, 9))
    SegmentWriter(a_segmentation_node, a_neighbour, a_volume_node).write(slab(6, 12))
    lock(a_segmentation_node, a_neighbour)
    a_writer.write(slab(0, 0))

    assert not maskFromSegment(a_segmentation_node, a_segment, a_volume_node).any()
    assert (maskFromSegment(a_segmentation_node, a_neighbour, a_volume_node) == slab(6, 12)).all()


def test_ones_own_lock_does_not_stop_the_writer(a_writer, a_segmentation_node, a_segment, a_volume_node):
    lock(a_segmentation_node, a_segment)
    a_writer.write(slab(2, 5))

    assert (maskFromSegment(a_segmentation_node, a_segment, a_volume_node) == slab(2, 5)).all()


def test_the_voxels_of_a_box_are_written_and_nothing_else(a_writer, a_segmentation_node, a_segment, a_volume_node):
    before = np.random.default_rng(1).random(SHAPE) < 0.5
    a_writer.write(before)
    wanted = np.random.default_rng(2).random(BOX.shape) < 0.5
    changed = a_writer.writeVoxels(wanted, BOX)

    expected = before.copy()
    expected[BOX.slices] = wanted
    assert (maskFromSegment(a_segmentation_node, a_segment, a_volume_node) == expected).all()
    assert a_writer.holds(wanted, BOX)
    assert not a_writer.holds(~wanted, BOX)
    assert changed.intersection(BOX) == changed
    assert a_writer.writeVoxels(wanted, BOX).is_empty


def test_an_empty_box_is_no_work(a_writer, a_segmentation_node, a_segment, a_volume_node):
    nothing, nowhere = np.zeros((0, 0, 0), bool), Box(0, 0, 0, 0, 0, 0)

    assert a_writer.writeVoxels(nothing, nowhere).is_empty
    assert a_writer.holds(nothing, nowhere)


@pytest.mark.parametrize("what", ["empty", "drawn", "full"])
def test_a_packed_mask_is_the_mask(a_writer, a_segmentation_node, a_segment, a_volume_node, what):
    a_writer.write({"empty": slab(0, 0), "drawn": slab(3, 7), "full": slab(0, 16)}[what])
    packed = packedMaskFromSegment(a_segmentation_node, a_segment, a_volume_node)

    expected = maskFromSegment(a_segmentation_node, a_segment, a_volume_node)
    assert (packed.within(Box.whole(SHAPE)) == expected).all()
    assert packed.is_empty == (what == "empty")


def test_a_segment_from_another_grid_is_packed_resampled(a_segmentation_node, a_segment, an_oblique_matrix,
                                                         a_volume_node):  # fmt: skip
    import slicer

    SegmentWriter(a_segmentation_node, a_segment, a_volume_node).write(slab(4, 8))
    fine = slicer.util.addVolumeFromArray(
        np.zeros((32, 28, 24), np.int16), an_oblique_matrix @ np.diag([0.5, 0.5, 0.5, 1.0]), "fine"
    )
    packed = packedMaskFromSegment(a_segmentation_node, a_segment, fine)

    assert (packed.within(Box.whole((32, 28, 24))) == maskFromSegment(a_segmentation_node, a_segment, fine)).all()
    assert not packed.is_empty


def test_an_empty_segment_can_be_read_below_any_transform(a_segmentation_node, a_segment, a_volume_node):
    warp = addWarp()
    for node in (a_volume_node, a_segmentation_node):
        node.SetAndObserveTransformNodeID(warp.GetID())

    assert packedMaskFromSegment(a_segmentation_node, a_segment, a_volume_node).is_empty


def test_a_new_segment_lies_on_the_scans_lattice_so_that_merging_labelmaps_resamples_nobody(
    a_segmentation_node, a_segment, a_neighbour, a_volume_node
):
    fillBlock(a_segmentation_node, a_neighbour, a_volume_node)
    before = maskFromSegment(a_segmentation_node, a_neighbour, a_volume_node)
    a_segmentation_node.GetSegmentation().CollapseBinaryLabelmaps(False)  # as Slicer does when it saves

    assert (maskFromSegment(a_segmentation_node, a_neighbour, a_volume_node) == before).all()
    assert not maskFromSegment(a_segmentation_node, a_segment, a_volume_node).any()
    SegmentWriter(a_segmentation_node, a_segment, a_volume_node).write(slab(0, 2))


def test_scan_and_segmentation_that_were_moved_alike_in_different_ways_go_on(
    a_writer, a_segmentation_node, a_segment, a_volume_node, a_linear_transform_node
):
    a_writer.write(slab(3, 7))
    for node in (a_volume_node, a_segmentation_node):
        node.SetAndObserveTransformNodeID(a_linear_transform_node.GetID())
    a_segmentation_node.HardenTransform()
    a_writer.write(slab(3, 9))

    assert (maskFromSegment(a_segmentation_node, a_segment, a_volume_node) == slab(3, 9)).all()
    a_segmentation_node.SetAndObserveTransformNodeID(a_linear_transform_node.GetID())
    with pytest.raises(VolumeError, match="moved relative to each other"):
        a_writer.write(slab(3, 4))
