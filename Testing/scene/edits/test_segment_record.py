from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from MemorizingSAM3DLib.engine.geometry import Box
from MemorizingSAM3DLib.engine.geometry.packed_mask import PackedMask
from MemorizingSAM3DLib.engine.prompts import Click
from MemorizingSAM3DLib.scene.edits.segment_record import (
    RECORD_TAG,
    SegmentRecord,
    digestOf,
    lastClickedSegment,
    scanOf,
    segmentationOf,
)
from MemorizingSAM3DLib.scene.segments.segmentation import addSegment, createSegmentation

numbers = st.floats(-1e6, 1e6)
clicks = st.builds(Click, st.tuples(numbers, numbers, numbers), st.booleans())
records = st.builds(
    SegmentRecord,
    st.lists(clicks, min_size=1, max_size=6).map(tuple),
    st.booleans(),
    st.text(),
    st.text("0123456789abcdef", min_size=16, max_size=16),
    st.tuples(*[numbers] * 12),
)
A_RECORD = SegmentRecord(
    (Click((1.0, -2.5, 3.0)), Click((0.1, 0.2, 0.3), False)), True, "shipped", "0" * 16, (1.0,) * 12
)


def tagOf(segment):
    from vtkmodules.vtkCommonCore import reference

    text = reference("")
    assert segment.GetTag(RECORD_TAG, text)
    return str(text)


quick = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def a_segment(a_headless_application):
    import slicer

    return slicer.vtkSegment()


@quick
@given(record=records)
def test_what_is_written_is_what_is_read(a_segment, record):
    record.writeTo(a_segment)

    assert SegmentRecord.readFrom(a_segment) == record


def test_what_clicks_listened_to_is_kept_and_may_be_missing_but_not_for_some(a_segment):
    listened = ((60, False), (None, True))
    replace(A_RECORD, listened=listened).writeTo(a_segment)
    assert SegmentRecord.readFrom(a_segment).listened == listened

    content = json.loads(tagOf(a_segment))
    del content["listened"]  # written before there were memories
    a_segment.SetTag(RECORD_TAG, json.dumps(content))
    assert SegmentRecord.readFrom(a_segment) == A_RECORD
    a_segment.SetTag(RECORD_TAG, json.dumps(content | {"listened": [[60, False]]}))
    assert SegmentRecord.readFrom(a_segment) is None


def test_a_record_survives_a_file_even_if_the_models_name_holds_what_slicer_separates_tags_by(a_volume_node, tmp_path):
    import slicer

    from MemorizingSAM3DLib.scene.saving import saveSegmentation
    from MemorizingSAM3DLib.scene.segments.segmentation import addSegment, createSegmentation
    from MemorizingSAM3DLib.scene.segments.writer import SegmentWriter

    node = createSegmentation(a_volume_node, "saved")
    segmentID = addSegment(node, "saved")
    SegmentWriter(node, segmentID, a_volume_node).write(np.ones((16, 14, 12), bool))
    record = SegmentRecord(A_RECORD.clicks, True, "a|b:c=\u00e4.safetensors", "0" * 16, A_RECORD.grid)
    record.writeTo(node.GetSegmentation().GetSegment(segmentID))
    path = saveSegmentation(node, tmp_path / "saved.seg.nrrd")
    again = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    storage = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
    storage.SetFileName(str(path))
    assert storage.ReadData(again)

    assert SegmentRecord.readFrom(again.GetSegmentation().GetNthSegment(0)) == record


def test_without_clicks_there_is_no_record(a_segment):
    A_RECORD.writeTo(a_segment)
    SegmentRecord((), True, "shipped", "0" * 16).writeTo(a_segment)

    assert not a_segment.HasTag(RECORD_TAG)
    assert SegmentRecord.readFrom(a_segment) is None


def changed(**values):
    content = {"version": 1, "clicks": [[1, 2, 3, 1]], "fromNothing": True, "model": "m", "digest": "d", "grid": []}
    return json.dumps({**content, **values})


def test_the_text_that_the_next_test_spoils_is_a_record(a_segment):
    a_segment.SetTag(RECORD_TAG, changed())

    assert SegmentRecord.readFrom(a_segment) == SegmentRecord((Click((1.0, 2.0, 3.0)),), True, "m", "d")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no JSON",
        "[]",
        "null",
        '"text"',
        "[" * 100_000,
        changed(version=2),
        changed(clicks=[]),
        changed(clicks=[[1, 2, 3]]),
        changed(clicks=[[1, 2, 3, 1, 1]]),
        changed(clicks=[[1, 2, "x", 1]]),
        changed(clicks=[[1, 2, None, 1]]),
        changed(clicks=[[1, 2, float("nan"), 1]]),
        changed(clicks=[[1, 2, float("inf"), 1]]),
        changed(clicks=[[1, 2, 10**400, 1]]),
        changed(clicks=7),
        changed(clicks=None),
        changed(grid=None),
        changed(grid=["x"]),
        '{"version": 1}',
    ],
    ids=lambda text: text[:40],
)
def test_what_is_no_record_counts_as_none(a_segment, text):
    a_segment.SetTag(RECORD_TAG, text)

    assert SegmentRecord.readFrom(a_segment) is None


@quick
@given(text=st.text())
def test_no_text_in_the_tag_raises(a_segment, text):
    a_segment.SetTag(RECORD_TAG, text)

    assert SegmentRecord.readFrom(a_segment) is None


def test_a_scan_that_lies_elsewhere_is_told_from_one_whose_file_keeps_fewer_digits():
    grid = A_RECORD.grid

    assert A_RECORD.isOnGrid(tuple(value + 1e-5 for value in grid))
    assert not A_RECORD.isOnGrid((*grid[:-1], grid[-1] + 0.5))
    assert not A_RECORD.isOnGrid((*grid[:-1], float("nan")))
    assert not SegmentRecord(A_RECORD.clicks, True, "m", "d").isOnGrid(grid)


def test_a_digest_tells_other_voxels_and_another_place_apart():
    voxels = np.zeros((6, 6, 6), bool)
    voxels[2:4, 2:4, 2:4] = True
    mask = PackedMask.of(voxels, Box.whole(voxels.shape))
    fewer = voxels.copy()
    fewer[2, 2, 2] = False
    moved, smaller = PackedMask.of(voxels, Box(1, 7, 0, 6, 0, 6)), PackedMask.of(fewer, Box.whole(voxels.shape))

    assert len({digestOf(one) for one in (mask, moved, smaller, PackedMask())}) == 4
    assert digestOf(mask) == digestOf(PackedMask.of(voxels[1:5, 1:5, 1:5], Box(1, 5, 1, 5, 1, 5)))


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
