"""What a segment remembers of its clicks, in a tag that is saved with it: in a scene, and in a `.seg.nrrd` alone."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from MemorizingSAM3DLib.engine.packed_mask import PackedMask
from MemorizingSAM3DLib.engine.prompts import Click

RECORD_TAG = "MemorizingSAM3D.Clicks"
_VERSION = 1


@dataclass(frozen=True)
class SegmentRecord:
    """The clicks that made a segment.

    Attributes:
        clicks: in order, in the scan's own RAS, mm.
        fromNothing: whether they started from an empty segment; only then can they be replayed, since the mask that
            others started from is not saved twice.
        model: the name of the model that answered them.
        digest: of the segment's voxels after the last of them, to notice that someone changed them since.
    """

    clicks: tuple[Click, ...]
    fromNothing: bool
    model: str
    digest: str

    def writeTo(self, segment: Any) -> None:
        """Keeps it in a vtkSegment's tag; without clicks there is nothing to keep."""
        if not self.clicks:
            segment.RemoveTag(RECORD_TAG)
            return
        content = {
            "version": _VERSION,
            "clicks": [[*click.ras, 1 if click.positive else 0] for click in self.clicks],
            "fromNothing": self.fromNothing,
            "model": self.model,
            "digest": self.digest,
        }
        segment.SetTag(RECORD_TAG, json.dumps(content, separators=(",", ":")))

    @classmethod
    def readFrom(cls, segment: Any) -> SegmentRecord | None:
        """The record in a vtkSegment's tag; None when there is none, or none that this version understands."""
        from vtkmodules.vtkCommonCore import reference

        text = reference("")
        if not segment.GetTag(RECORD_TAG, text):
            return None
        try:
            content = json.loads(str(text))
            if content["version"] != _VERSION:
                return None
            clicks = tuple(
                Click((float(r), float(a), float(s)), bool(positive)) for r, a, s, positive in content["clicks"]
            )
            return cls(clicks, content["fromNothing"] is True, str(content["model"]), str(content["digest"]))
        except (ValueError, KeyError, TypeError):
            return None  # written by hand or by another program: the segment itself still counts


def digestOf(mask: PackedMask) -> str:
    """A short hash of a mask's voxels and of where they are."""
    box = mask.box
    place = json.dumps([box.k0, box.k1, box.j0, box.j1, box.i0, box.i1])
    return hashlib.sha256(place.encode() + mask.bits).hexdigest()[:16]
