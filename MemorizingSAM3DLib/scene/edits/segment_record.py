"""What a segment remembers of its clicks, in a tag that is saved with it: in a scene, and in a `.seg.nrrd` alone.

Which segmentation and which segment to go on with.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from MemorizingSAM3DLib.engine.geometry.packed_mask import PackedMask
from MemorizingSAM3DLib.engine.prompts import Click

RECORD_TAG = "MemorizingSAM3D.Clicks"
_VERSION = 1
_MOST_RECORDS = 4
_SAME_GRID = 1e-3  # mm, and mm a voxel: files keep fewer digits than we do


@dataclass(frozen=True)
class SegmentRecord:
    """The clicks that made a segment.

    Attributes:
        clicks: in order, in the scan's own RAS, mm.
        fromNothing: whether they started from an empty segment; only then can they be replayed, since the mask that
            others started from is not saved twice.
        model: the name of the model that answered them.
        digest: of the segment's voxels after the last of them, to notice that someone changed them since.
        grid: the scan's IJK-to-RAS matrix, row by row without the last, to notice that the scan lies elsewhere since
            (a transform was hardened, say), and the clicks with it.
        listened: for each click how many past ones it heard (None: the interaction memory was off), and whether the
            case memory was asked and had a part in the segment; empty: neither for any click.
    """

    clicks: tuple[Click, ...]
    fromNothing: bool
    model: str
    digest: str
    grid: tuple[float, ...] = ()
    listened: tuple[tuple[int | None, bool], ...] = ()

    def isOnGrid(self, grid: tuple[float, ...]) -> bool:
        """Whether the clicks were made on a scan that lies on this grid."""
        return len(self.grid) == len(grid) and all(
            abs(a - b) <= _SAME_GRID for a, b in zip(self.grid, grid, strict=True)
        )

    def writeTo(self, segment: Any) -> None:
        """Keeps it alone in a vtkSegment's tag; without clicks there is nothing to keep."""
        writeRecords((self,), segment)

    @classmethod
    def readFrom(cls, segment: Any) -> SegmentRecord | None:
        """The newest record in a vtkSegment's tag; None when there is none that this version understands."""
        records = readRecords(segment)
        return records[0] if records else None

    def _asJson(self) -> dict[str, Any]:
        return {
            "version": _VERSION,
            "clicks": [[*click.ras, 1 if click.positive else 0] for click in self.clicks],
            "fromNothing": self.fromNothing,
            "model": self.model,
            "digest": self.digest,
            "grid": self.grid,
            "listened": self.listened,
        }

    @classmethod
    def _fromJson(cls, content: Any) -> SegmentRecord | None:
        try:
            if content["version"] != _VERSION:
                return None
            clicks = tuple(
                Click((float(r), float(a), float(s)), bool(positive)) for r, a, s, positive in content["clicks"]
            )
            grid = tuple(float(value) for value in content["grid"])
            if not clicks or not all(math.isfinite(value) for click in clicks for value in click.ras):
                return None
            listened = tuple(
                (None if attended is None else int(attended), asked is True)
                for attended, asked in content.get("listened", ())
            )
            if listened and len(listened) != len(clicks):
                return None
            return cls(
                clicks, content["fromNothing"] is True, str(content["model"]), str(content["digest"]), grid, listened
            )
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            return None  # written by hand or by another program: the segment itself still counts


def writeRecords(records: Sequence[SegmentRecord], segment: Any) -> None:
    """Keeps records in a vtkSegment's tag, the newest first.

    The others are of clicks that were made on another scan, a cropped copy say, or with another model: they hold again
    as soon as the segment is what they led to.
    """
    kept = [record for record in records if record.clicks][:_MOST_RECORDS]
    if not kept:
        segment.RemoveTag(RECORD_TAG)
        return
    content = kept[0]._asJson()
    if len(kept) > 1:
        content["others"] = [record._asJson() for record in kept[1:]]
    # Slicer separates tags by bars when it writes them to a file.
    segment.SetTag(RECORD_TAG, json.dumps(content, separators=(",", ":")).replace("|", "\\u007c"))


def readRecords(segment: Any) -> tuple[SegmentRecord, ...]:
    """The records in a vtkSegment's tag, the newest first; those that this version does not understand are left out."""
    from vtkmodules.vtkCommonCore import reference

    text = reference("")
    if not segment.GetTag(RECORD_TAG, text):
        return ()
    try:
        content = json.loads(str(text))
        others = content.get("others", [])
        found = [SegmentRecord._fromJson(one) for one in (content, *others)]
    except (ValueError, TypeError, AttributeError, RecursionError):
        return ()
    return tuple(record for record in found if record is not None)


def digestOf(mask: PackedMask) -> str:
    """A short hash of a mask's voxels and of where they are."""
    box = mask.box
    place = json.dumps([box.k0, box.k1, box.j0, box.j1, box.i0, box.i1])
    return hashlib.sha256(place.encode() + mask.bits).hexdigest()[:16]


def scanOf(segmentationNode: Any) -> Any:
    """The volume node on whose grid a segmentation was made, or None."""
    return segmentationNode.GetNodeReference(segmentationNode.GetReferenceImageGeometryReferenceRole())


def segmentationOf(scene: Any, volumeNode: Any) -> Any:
    """The segmentation that was made on a scan last, or None."""
    className = "vtkMRMLSegmentationNode"
    nodes = [scene.GetNthNodeByClass(number, className) for number in range(scene.GetNumberOfNodesByClass(className))]
    mine = [node for node in nodes if volumeNode is not None and scanOf(node) is volumeNode]
    return mine[-1] if mine else None


def lastClickedSegment(segmentationNode: Any) -> str:
    """The ID of the last segment of a segmentation that was made by clicks; "" when none was."""
    segmentation = segmentationNode.GetSegmentation()
    clicked = [
        segmentID
        for segmentID in segmentation.GetSegmentIDs()
        if SegmentRecord.readFrom(segmentation.GetSegment(segmentID)) is not None
    ]
    return clicked[-1] if clicked else ""
