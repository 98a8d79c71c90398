"""What a remembered place is known by: the crop of a first look, and a closer one about the same place.

The wide one says where in the body the place is, the close one what is there. Over 414 places of training cases, a
remembered structure was recognised at 69 % of them with both, at 59 % with either (one in ten that was not remembered
taken for another).
"""

from __future__ import annotations

import torch

from ..geometry import CropGrid
from ..networks.image_encoder import ImageFeatures

LOOKS = 2
_CLOSER = 0.5  # of the wide one's edge


def closer_grid(grid: CropGrid, spacing_range: tuple[float, float]) -> CropGrid:
    """The close look about the same place, as far as the network knows voxels as fine as that, mm."""
    finest, coarsest = spacing_range
    return CropGrid(grid.center_ras, min(max(grid.spacing * _CLOSER, finest), coarsest), grid.size)


def both_looks(wide: ImageFeatures, close: ImageFeatures) -> ImageFeatures:
    """Both encoded crops as one: twice the channels of the embedding, twice as many skips. Not to be decoded."""
    return ImageFeatures(torch.cat([wide.embedding, close.embedding], dim=1), (*wide.skips, *close.skips))
