"""Where things are: scans, crops and boxes in RAS millimetres, and resampling between their grids."""

from __future__ import annotations

from .grids import Box, CropGrid
from .pasting import paste_logits, refined_logits, threshold_on_scan
from .resampling import OUTSIDE_LOGIT, box_of_crop, mask_to_crop, resample_to_crop
from .volume import Volume

__all__ = [
    "OUTSIDE_LOGIT",
    "Box",
    "CropGrid",
    "Volume",
    "box_of_crop",
    "mask_to_crop",
    "paste_logits",
    "threshold_on_scan",
    "refined_logits",
    "resample_to_crop",
]
