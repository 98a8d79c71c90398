"""Names of new segments."""

from __future__ import annotations

import re
from typing import Any


def nextName(segmentationNode: Any) -> str:
    """The name of the next segment: "Lesion 4" after "Lesion 3", "Segment_2" after "Segment_1"; never one in use."""
    segmentation = segmentationNode.GetSegmentation()
    names = [segmentation.GetNthSegment(n).GetName() or "Segment" for n in range(segmentation.GetNumberOfSegments())]
    last = re.fullmatch(r"(.*?)(\d{1,18})", names[-1], re.DOTALL) if names else None
    stem, number = (last.group(1), int(last.group(2))) if last else (f"{names[-1]} " if names else "Segment_", 0)
    number = max(number, 1 if names and not last else 0) + 1
    while f"{stem}{number}" in names:
        number += 1
    return f"{stem}{number}"
