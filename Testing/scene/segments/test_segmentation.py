from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from MemorizingSAM3DLib.scene.segments.segmentation import (
    addSegment,
    createSegmentation,
    isLocked,
    lockedSegments,
    nextName,
    setLocked,
)


def test_a_segment_can_be_locked_and_unlocked(a_segmentation_node):
    first, second = (addSegment(a_segmentation_node, name) for name in ("first", "second"))
    segmentation = a_segmentation_node.GetSegmentation()
    segment = segmentation.GetSegment(first)
    assert not isLocked(segment)

    setLocked(segment, True)
    assert isLocked(segment)
    assert lockedSegments(segmentation) == {first}
    assert not isLocked(segmentation.GetSegment(second))
    setLocked(segment, False)
    assert not isLocked(segment)
    assert lockedSegments(segmentation) == set()


def test_no_segment_is_not_locked():
    assert isLocked(None) is False


def test_a_lock_goes_along_with_a_copy_of_the_segment(a_segmentation_node):
    import slicer

    segment = a_segmentation_node.GetSegmentation().GetSegment(addSegment(a_segmentation_node, "locked"))
    setLocked(segment, True)
    copy = slicer.vtkSegment()
    copy.DeepCopy(segment)

    assert isLocked(copy)


@pytest.mark.parametrize(
    ("names", "following"),
    [
        ([], "Segment_1"),
        (["Segment_1"], "Segment_2"),
        (["Lesion 3"], "Lesion 4"),
        (["Lesion 4", "Lesion 5", "Lesion 3"], "Lesion 6"),
        (["Liver"], "Liver 2"),
        (["Liver", "Liver 2"], "Liver 3"),
        (["Lesion 9"], "Lesion 10"),
        (["9" * 5000], "9" * 4982 + "1" + "0" * 18),
    ],
)
def test_the_next_name_counts_on_from_the_last_one(a_segmentation_node, names, following):
    for name in names:
        addSegment(a_segmentation_node, name)

    assert nextName(a_segmentation_node) == following


def test_a_segment_without_a_name_is_no_obstacle(a_segmentation_node):
    import slicer

    a_segmentation_node.GetSegmentation().AddSegment(slicer.vtkSegment(), "nameless")

    assert nextName(a_segmentation_node) == "Segment 2"


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.lists(st.text(max_size=6).filter(lambda name: "\0" not in name and name.isprintable()), max_size=4))
def test_the_next_name_is_never_in_use(a_volume_node, names):
    node = createSegmentation(a_volume_node, "names")
    for name in names:
        addSegment(node, name)

    assert nextName(node) not in names
