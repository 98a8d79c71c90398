from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from MemorizingSAM3DLib.engine.errors import OutputError, VolumeError
from MemorizingSAM3DLib.engine.geometry import Box


@pytest.fixture
def the_users_editor(a_scene, a_segmentation_node, a_volume_node):
    """The node that the Segment Editor module keeps its settings in, set up as it does."""
    import slicer

    node = slicer.vtkMRMLSegmentEditorNode()
    node.SetSingletonTag("SegmentEditor")
    node = a_scene.AddNode(node)
    node.SetAndObserveSegmentationNode(a_segmentation_node)
    node.SetAndObserveSourceVolumeNode(a_volume_node)
    node.SetOverwriteMode(node.OverwriteNone)
    return node


def emptyMask(volumeNode):
    return np.zeros(volumeNode.GetImageData().GetDimensions()[::-1], dtype=bool)


def maskWith(volumeNode, *slices):
    mask = emptyMask(volumeNode)
    mask[slices] = True
    return mask


def read(segmentationNode, segmentID, volumeNode):
    from MemorizingSAM3DLib.scene.segments.segmentation import maskFromSegment

    return maskFromSegment(segmentationNode, segmentID, volumeNode)


def write(segmentationNode, segmentID, volumeNode, mask):
    from MemorizingSAM3DLib.scene.segments.writer import SegmentWriter

    SegmentWriter(segmentationNode, segmentID, volumeNode).write(mask)


def test_a_segmentation_has_the_geometry_of_its_scan(a_segmentation_node, a_volume_node, a_segment):
    import slicer

    array = slicer.util.arrayFromSegmentBinaryLabelmap(a_segmentation_node, a_segment)

    assert array.shape == slicer.util.arrayFromVolume(a_volume_node).shape
    assert a_segmentation_node.GetNodeReference("referenceImageGeometryRef") is a_volume_node


def test_a_new_segment_has_its_name_and_colour(a_segmentation_node):
    from MemorizingSAM3DLib.scene.segments.segmentation import addSegment

    segment = a_segmentation_node.GetSegmentation().GetSegment(addSegment(a_segmentation_node, "liver", (0.5, 0.25, 1)))

    assert segment.GetName() == "liver"
    assert segment.GetColor() == (0.5, 0.25, 1)


def test_what_is_written_is_what_slicer_reads(a_writer, a_segmentation_node, a_segment, a_volume_node):
    import slicer

    mask = np.random.default_rng(1).random(emptyMask(a_volume_node).shape) < 0.3
    a_writer.write(mask)

    ofSlicer = slicer.util.arrayFromSegmentBinaryLabelmap(a_segmentation_node, a_segment, a_volume_node)
    np.testing.assert_array_equal(ofSlicer.astype(bool), mask)
    np.testing.assert_array_equal(read(a_segmentation_node, a_segment, a_volume_node), mask)


def test_only_the_box_changes(a_writer, a_segmentation_node, a_segment, a_volume_node):
    before = maskWith(a_volume_node, slice(2, 12), slice(3, 11), slice(2, 10))
    a_writer.write(before)
    box = Box(4, 9, 1, 6, 5, 12)

    a_writer.write(~before, box)

    expected = before.copy()
    expected[box.slices] = ~before[box.slices]
    np.testing.assert_array_equal(read(a_segmentation_node, a_segment, a_volume_node), expected)


def test_voxels_are_taken_away_as_well_as_added(a_writer, a_segmentation_node, a_segment, a_volume_node):
    a_writer.write(maskWith(a_volume_node, slice(2, 10)))
    moved = maskWith(a_volume_node, slice(6, 14))

    a_writer.write(moved)
    np.testing.assert_array_equal(read(a_segmentation_node, a_segment, a_volume_node), moved)
    a_writer.write(emptyMask(a_volume_node))
    assert not read(a_segmentation_node, a_segment, a_volume_node).any()


def test_the_box_that_was_changed_is_returned(a_writer, a_volume_node):
    a_writer.write(maskWith(a_volume_node, slice(2, 5), slice(3, 7), slice(1, 4)))

    changed = a_writer.write(maskWith(a_volume_node, slice(2, 6), slice(3, 7), slice(1, 4)))

    assert changed == Box(5, 6, 3, 7, 1, 4)
    assert a_writer.write(maskWith(a_volume_node, slice(2, 6), slice(3, 7), slice(1, 4))).is_empty


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**31), corners=st.lists(st.tuples(*[st.integers(-3, 18)] * 6), min_size=1, max_size=4))
def test_any_sequence_of_boxes_gives_what_numpy_gives(
    a_writer, a_segmentation_node, a_segment, a_volume_node, seed, corners
):
    rng = np.random.default_rng(seed)
    expected = read(a_segmentation_node, a_segment, a_volume_node)
    for k0, k1, j0, j1, i0, i1 in corners:
        mask = rng.random(expected.shape) < rng.random()
        box = Box(min(k0, k1), max(k0, k1), min(j0, j1), max(j0, j1), min(i0, i1), max(i0, i1))
        within = box.clipped(expected.shape).slices
        a_writer.write(mask, box)
        expected[within] = mask[within]
    np.testing.assert_array_equal(read(a_segmentation_node, a_segment, a_volume_node), expected)


def test_a_neighbour_survives_where_masks_overlap(a_writer, a_segmentation_node, a_segment, a_neighbour, a_volume_node):
    theirs = maskWith(a_volume_node, slice(6, 14))
    write(a_segmentation_node, a_neighbour, a_volume_node, theirs)
    ours = maskWith(a_volume_node, slice(0, 10))

    a_writer.write(ours)
    np.testing.assert_array_equal(read(a_segmentation_node, a_segment, a_volume_node), ours)
    np.testing.assert_array_equal(read(a_segmentation_node, a_neighbour, a_volume_node), theirs)

    a_writer.write(emptyMask(a_volume_node))
    np.testing.assert_array_equal(read(a_segmentation_node, a_neighbour, a_volume_node), theirs)


def test_segments_that_share_a_labelmap_do_not_disturb_each_other(
    a_writer, a_segmentation_node, a_segment, a_neighbour, a_volume_node
):
    theirs = maskWith(a_volume_node, slice(10, 14))
    write(a_segmentation_node, a_neighbour, a_volume_node, theirs)
    a_writer.write(maskWith(a_volume_node, slice(2, 6)))
    a_segmentation_node.GetSegmentation().CollapseBinaryLabelmaps(False)
    assert a_segmentation_node.GetSegmentation().GetNumberOfLayers() == 1

    a_writer.write(maskWith(a_volume_node, slice(4, 12)))

    np.testing.assert_array_equal(
        read(a_segmentation_node, a_segment, a_volume_node), maskWith(a_volume_node, slice(4, 12))
    )
    np.testing.assert_array_equal(read(a_segmentation_node, a_neighbour, a_volume_node), theirs)


def test_overwriting_trims_the_neighbour_and_giving_up_the_voxels_restores_it(
    a_writer, a_segmentation_node, a_segment, a_neighbour, a_volume_node, the_users_editor
):
    theirs = maskWith(a_volume_node, slice(6, 14))
    write(a_segmentation_node, a_neighbour, a_volume_node, theirs)
    the_users_editor.SetOverwriteMode(the_users_editor.OverwriteAllSegments)

    a_writer.write(maskWith(a_volume_node, slice(0, 10)))
    np.testing.assert_array_equal(
        read(a_segmentation_node, a_neighbour, a_volume_node), maskWith(a_volume_node, slice(10, 14))
    )

    a_writer.write(maskWith(a_volume_node, slice(0, 8)))
    np.testing.assert_array_equal(
        read(a_segmentation_node, a_neighbour, a_volume_node), maskWith(a_volume_node, slice(8, 14))
    )
    a_writer.write(emptyMask(a_volume_node))
    np.testing.assert_array_equal(read(a_segmentation_node, a_neighbour, a_volume_node), theirs)


def test_a_neighbour_that_was_deleted_meanwhile_gets_nothing_back(
    a_writer, a_segmentation_node, a_segment, a_neighbour, a_volume_node, the_users_editor
):
    write(a_segmentation_node, a_neighbour, a_volume_node, maskWith(a_volume_node, slice(6, 14)))
    the_users_editor.SetOverwriteMode(the_users_editor.OverwriteAllSegments)
    a_writer.write(maskWith(a_volume_node, slice(0, 10)))
    a_segmentation_node.GetSegmentation().RemoveSegment(a_neighbour)

    a_writer.write(emptyMask(a_volume_node))

    assert not read(a_segmentation_node, a_segment, a_volume_node).any()
    assert a_segmentation_node.GetSegmentation().GetNumberOfSegments() == 1


def test_a_hidden_neighbour_is_locked_when_only_visible_ones_are_overwritten(
    a_writer, a_segmentation_node, a_neighbour, a_volume_node, the_users_editor
):
    theirs = maskWith(a_volume_node, slice(6, 14))
    write(a_segmentation_node, a_neighbour, a_volume_node, theirs)
    a_segmentation_node.GetDisplayNode().SetSegmentVisibility(a_neighbour, False)
    the_users_editor.SetOverwriteMode(the_users_editor.OverwriteVisibleSegments)

    a_writer.write(maskWith(a_volume_node, slice(0, 10)))

    np.testing.assert_array_equal(read(a_segmentation_node, a_neighbour, a_volume_node), theirs)


def test_the_editable_area_is_respected_when_adding_and_when_removing(
    a_writer, a_segmentation_node, a_segment, a_neighbour, a_volume_node, the_users_editor
):
    area = maskWith(a_volume_node, slice(4, 10))
    write(a_segmentation_node, a_neighbour, a_volume_node, area)
    a_writer.write(maskWith(a_volume_node, slice(0, 2)))
    the_users_editor.SetMaskMode(a_segmentation_node.EditAllowedInsideSingleSegment)
    the_users_editor.SetMaskSegmentID(a_neighbour)

    a_writer.write(maskWith(a_volume_node, slice(2, 16)))
    np.testing.assert_array_equal(
        read(a_segmentation_node, a_segment, a_volume_node) & area, area, "all of the area was to be filled"
    )
    assert not read(a_segmentation_node, a_segment, a_volume_node)[10:].any()


def test_only_outside_other_segments_means_that(
    a_writer, a_segmentation_node, a_segment, a_neighbour, a_volume_node, the_users_editor
):
    write(a_segmentation_node, a_neighbour, a_volume_node, maskWith(a_volume_node, slice(6, 9)))
    the_users_editor.SetMaskMode(a_segmentation_node.EditAllowedOutsideAllSegments)

    a_writer.write(maskWith(a_volume_node, slice(4, 12)))
    expected = maskWith(a_volume_node, slice(4, 12)) & ~maskWith(a_volume_node, slice(6, 9))
    np.testing.assert_array_equal(read(a_segmentation_node, a_segment, a_volume_node), expected)

    a_writer.write(emptyMask(a_volume_node))
    assert not read(a_segmentation_node, a_segment, a_volume_node).any()


def test_the_editable_intensity_range_is_respected(
    a_writer, a_segmentation_node, a_segment, a_volume_node, the_users_editor
):
    import slicer

    intensities = slicer.util.arrayFromVolume(a_volume_node)
    the_users_editor.SetSourceVolumeIntensityMask(True)
    the_users_editor.SetSourceVolumeIntensityMaskRange(500, 900)
    box = Box(1, 9, 2, 11, 3, 12)

    a_writer.write(np.ones(intensities.shape, dtype=bool), box)

    inBox = emptyMask(a_volume_node)
    inBox[box.slices] = True
    expected = inBox & (intensities >= 500) & (intensities <= 900)
    np.testing.assert_array_equal(read(a_segmentation_node, a_segment, a_volume_node), expected)


def test_settings_for_another_segmentation_do_not_hold_here(
    a_writer, a_segmentation_node, a_segment, a_volume_node, the_users_editor
):
    from MemorizingSAM3DLib.scene.segments.segmentation import createSegmentation

    the_users_editor.SetAndObserveSegmentationNode(createSegmentation(a_volume_node, "another"))
    the_users_editor.SetMaskMode(a_segmentation_node.EditAllowedInsideAllSegments)
    mask = maskWith(a_volume_node, slice(2, 4))

    a_writer.write(mask)

    np.testing.assert_array_equal(read(a_segmentation_node, a_segment, a_volume_node), mask)


def test_the_selection_in_the_segment_editor_is_left_alone(
    a_writer, a_segment, a_neighbour, a_volume_node, the_users_editor
):
    the_users_editor.SetSelectedSegmentID(a_neighbour)
    before = the_users_editor.GetMTime()

    a_writer.write(maskWith(a_volume_node, slice(2, 4)))

    assert the_users_editor.GetSelectedSegmentID() == a_neighbour
    assert the_users_editor.GetMTime() == before


def test_scan_and_segmentation_move_together_below_one_transform(a_volume_node, a_linear_transform_node):
    from MemorizingSAM3DLib.scene.segments.segmentation import addSegment, createSegmentation

    a_volume_node.SetAndObserveTransformNodeID(a_linear_transform_node.GetID())
    segmentationNode = createSegmentation(a_volume_node, "below the same transform")
    segmentID = addSegment(segmentationNode, "segment")
    mask = maskWith(a_volume_node, slice(2, 5), slice(3, 8), slice(1, 4))

    write(segmentationNode, segmentID, a_volume_node, mask)

    assert segmentationNode.GetParentTransformNode() is a_linear_transform_node
    np.testing.assert_array_equal(read(segmentationNode, segmentID, a_volume_node), mask)
    assertCentreOfSegment(segmentationNode, segmentID, a_volume_node, mask)


@pytest.mark.parametrize("moved", ["scan", "segmentation"])
def test_a_transform_on_one_of_the_two_is_honoured(
    a_volume_node, a_segmentation_node, a_segment, a_linear_transform_node, moved
):
    node = a_volume_node if moved == "scan" else a_segmentation_node
    node.SetAndObserveTransformNodeID(a_linear_transform_node.GetID())
    mask = maskWith(a_volume_node, slice(2, 5), slice(3, 8), slice(1, 4))

    write(a_segmentation_node, a_segment, a_volume_node, mask)

    np.testing.assert_array_equal(read(a_segmentation_node, a_segment, a_volume_node), mask)
    assertCentreOfSegment(a_segmentation_node, a_segment, a_volume_node, mask)


def assertCentreOfSegment(segmentationNode, segmentID, volumeNode, mask):
    """Slicer's own idea of where the segment is (the middle voxel, so its sizes are odd), against the scan's."""
    from MemorizingSAM3DLib.scene.scan import volumeFromNode

    expected = volumeFromNode(volumeNode).ijk_to_ras_points(np.argwhere(mask)[:, ::-1].mean(axis=0))
    np.testing.assert_allclose(
        segmentationNode.GetSegmentCenter(segmentID), toLocal(segmentationNode, expected), atol=1e-3
    )


def toLocal(node, world):
    from MemorizingSAM3DLib.scene.scan import localToWorld

    return (np.linalg.inv(localToWorld(node)) @ (*world, 1.0))[:3]


def test_moving_the_scan_away_from_its_segmentation_is_noticed(a_writer, a_volume_node, a_linear_transform_node):
    a_writer.write(maskWith(a_volume_node, slice(2, 4)))
    a_volume_node.SetAndObserveTransformNodeID(a_linear_transform_node.GetID())

    with pytest.raises(VolumeError, match="moved relative to each other"):
        a_writer.write(maskWith(a_volume_node, slice(2, 5)))


def test_a_segment_on_another_grid_is_read_resampled_and_not_written(a_segmentation_node, a_segment, an_oblique_matrix):
    import slicer

    from MemorizingSAM3DLib.scene.segments.writer import SegmentWriter

    coarse = slicer.util.getNode("a scan")
    write(a_segmentation_node, a_segment, coarse, maskWith(coarse, slice(2, 10), slice(4, 10), slice(3, 9)))
    halved = an_oblique_matrix @ np.diag([0.5, 0.5, 0.5, 1.0])
    halved[:3, 3] -= an_oblique_matrix[:3, :3] @ [0.25, 0.25, 0.25]
    fine = slicer.util.addVolumeFromArray(np.zeros((32, 28, 24), np.int16), halved, "twice as fine")

    resampled = read(a_segmentation_node, a_segment, fine)

    np.testing.assert_array_equal(resampled, maskWith(fine, slice(4, 20), slice(8, 20), slice(6, 18)))
    with pytest.raises(VolumeError, match="another grid"):
        SegmentWriter(a_segmentation_node, a_segment, fine)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("flips", list(itertools.product((1, -1), repeat=3)))
def test_a_segment_on_the_same_voxels_in_any_axis_order_goes_on(
    a_writer, a_segmentation_node, a_segment, a_volume_node, order, flips
):
    import slicer

    from MemorizingSAM3DLib.scene.scan import ijkToWorld

    drawn = np.random.default_rng(2).random(emptyMask(a_volume_node).shape) < 0.5
    a_writer.write(drawn, Box(2, 11, 3, 12, 1, 9))
    drawn = read(a_segmentation_node, a_segment, a_volume_node)

    def reordered(array):
        return array.transpose(order)[tuple(slice(None, None, flip) for flip in flips)]

    newToOld = np.eye(4)
    newToOld[:3, :3] = 0
    for axis, (source, flip) in enumerate(zip(order, flips, strict=True)):  # array axes; index axes run the other way
        newToOld[2 - source, 2 - axis] = flip
        newToOld[2 - source, 3] = 0 if flip > 0 else drawn.shape[source] - 1
    scan = slicer.util.addVolumeFromArray(
        reordered(slicer.util.arrayFromVolume(a_volume_node)).copy(), ijkToWorld(a_volume_node) @ newToOld, "reordered"
    )
    mask = reordered(drawn).copy()
    np.testing.assert_array_equal(read(a_segmentation_node, a_segment, scan), mask)
    mask[4:7] ^= True

    write(a_segmentation_node, a_segment, scan, mask)

    np.testing.assert_array_equal(read(a_segmentation_node, a_segment, scan), mask)
    np.testing.assert_array_equal(reordered(read(a_segmentation_node, a_segment, a_volume_node)), mask)


def test_an_empty_segmentation_takes_the_scans_geometry(a_volume_node, a_scene):
    from MemorizingSAM3DLib.scene.segments.segmentation import addSegment

    node = a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    segmentID = addSegment(node, "segment")
    mask = maskWith(a_volume_node, slice(2, 5))

    write(node, segmentID, a_volume_node, mask)

    np.testing.assert_array_equal(read(node, segmentID, a_volume_node), mask)


def test_a_segment_that_is_only_a_surface_can_be_read(a_writer, a_segmentation_node, a_segment, a_volume_node):
    mask = maskWith(a_volume_node, slice(3, 13), slice(3, 11), slice(3, 9))
    a_writer.write(mask)
    a_segmentation_node.CreateClosedSurfaceRepresentation()
    segmentation = a_segmentation_node.GetSegmentation()
    segmentation.SetSourceRepresentationName("Closed surface")
    segmentation.RemoveRepresentation("Binary labelmap")

    found = read(a_segmentation_node, a_segment, a_volume_node)

    dice = 2 * (found & mask).sum() / (found.sum() + mask.sum())
    assert dice > 0.9


def test_a_deleted_segment_segmentation_or_scan_is_refused(
    a_scene, a_writer, a_segmentation_node, a_segment, a_neighbour, a_volume_node
):
    from MemorizingSAM3DLib.scene.segments.segmentation import addSegment
    from MemorizingSAM3DLib.scene.segments.writer import SegmentWriter

    mask = emptyMask(a_volume_node)
    a_segmentation_node.GetSegmentation().RemoveSegment(a_segment)
    with pytest.raises(OutputError, match="segment is no longer"):
        a_writer.write(mask)
    with pytest.raises(OutputError, match="segment is no longer"):
        read(a_segmentation_node, a_segment, a_volume_node)
    writer = SegmentWriter(a_segmentation_node, a_neighbour, a_volume_node)
    a_scene.RemoveNode(a_segmentation_node)
    for refused in (
        lambda: writer.write(mask),
        lambda: addSegment(a_segmentation_node, "one more"),
        lambda: SegmentWriter(a_segmentation_node, a_neighbour, a_volume_node),
    ):
        with pytest.raises(OutputError, match="segmentation is no longer"):
            refused()


def test_a_deleted_scan_is_refused(a_scene, a_writer, a_volume_node):
    mask = emptyMask(a_volume_node)
    a_scene.RemoveNode(a_volume_node)

    with pytest.raises(OutputError, match="scan was removed"):
        a_writer.write(mask)


def test_a_mask_of_another_shape_is_refused(a_writer):
    with pytest.raises(ValueError, match="shape"):
        a_writer.write(np.zeros((2, 2, 2), dtype=bool))


def test_what_is_kept_covers_the_box_not_the_scan(a_scene):
    import slicer

    from MemorizingSAM3DLib.scene.segments.oriented_images import boxOfExtent
    from MemorizingSAM3DLib.scene.segments.segmentation import addSegment, createSegmentation
    from MemorizingSAM3DLib.scene.segments.writer import SegmentWriter

    scan = slicer.util.addVolumeFromArray(np.zeros((200, 512, 512), np.int16), np.diag([0.7, 0.7, 1.5, 1.0]), "a CT")
    segmentationNode = createSegmentation(scan, "segmentation")
    writer = SegmentWriter(segmentationNode, addSegment(segmentationNode, "segment"), scan)
    box = Box(50, 150, 100, 300, 100, 300)
    k, j, i = np.ogrid[-1:1:100j, -1:1:200j, -1:1:200j]
    mask = emptyMask(scan)
    for radius in (1.0, 0.9, 0.95, 0.8, 0.85):
        mask[box.slices] = k**2 + j**2 + i**2 < radius**2
        writer.write(mask, box)
    labelmap = segmentationNode.GetBinaryLabelmapInternalRepresentation(
        segmentationNode.GetSegmentation().GetNthSegmentID(0)
    )
    kept = np.prod(boxOfExtent(labelmap.GetExtent()).shape)
    assert kept <= np.prod(box.shape)
