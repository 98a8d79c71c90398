from __future__ import annotations

from MemorizingSAM3DLib.scene.locks import isLocked, lockedSegments, setLocked
from MemorizingSAM3DLib.scene.segments import addSegment


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
