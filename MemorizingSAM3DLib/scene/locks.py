"""Locked segments: neither edited nor overwritten by us."""

from __future__ import annotations

from typing import Any

LOCK_TAG = "MemorizingSAM3D.Locked"


def isLocked(segment: Any) -> bool:
    """Whether a vtkSegment is locked."""
    return bool(segment is not None and segment.HasTag(LOCK_TAG))


def setLocked(segment: Any, locked: bool) -> None:
    """Locks or unlocks a vtkSegment. The lock is saved with the segmentation."""
    if locked:
        segment.SetTag(LOCK_TAG, "1")
    else:
        segment.RemoveTag(LOCK_TAG)


def lockedSegments(segmentation: Any) -> set[str]:
    """The IDs of the locked segments of a vtkSegmentation."""
    return {segmentID for segmentID in segmentation.GetSegmentIDs() if isLocked(segmentation.GetSegment(segmentID))}
