"""A structure's shape around its own centre, and where it lies when some place of it is clicked."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..geometry import Box, CropGrid, Volume, mask_to_crop

SHAPE_SIZE = 32
ANCHORS = 4
_MARGIN = 1.25  # edge of the shape's grid over the structure's longest side
_MOST_CANDIDATES = 4000


@dataclass(frozen=True, eq=False)
class StructureShape:
    """A structure without its scan.

    Attributes:
        occupancy: (SHAPE_SIZE, SHAPE_SIZE, SHAPE_SIZE) uint8, axes (R, A, S), 255: inside. Centred on the structure's
            box.
        cell: edge of a cell, mm.
        anchors: (ANCHORS, 3) float32, mm from the grid's centre along R, A, S: places inside, the deepest first.
    """

    occupancy: np.ndarray
    cell: float
    anchors: np.ndarray

    @classmethod
    def of(cls, volume: Volume, mask: np.ndarray) -> tuple[StructureShape, np.ndarray]:
        """The shape of a mask, (K, J, I) bool on the scan's grid, not empty; and its grid's centre, (3,) RAS mm."""
        box = Box.of_mask(mask)
        low, high = np.array(box.low)[::-1] - 0.5, np.array(box.high)[::-1] - 0.5
        corners = volume.ijk_to_ras_points(np.array(np.meshgrid(*zip(low, high, strict=True))).reshape(3, -1).T)
        centre = (corners.min(axis=0) + corners.max(axis=0)) / 2
        longest = float((corners.max(axis=0) - corners.min(axis=0)).max())
        r, a, s = centre.tolist()
        grid = CropGrid((r, a, s), longest * _MARGIN / SHAPE_SIZE, SHAPE_SIZE)
        filled = mask_to_crop(mask, volume, grid, SHAPE_SIZE)
        anchors = _anchors(volume, mask, box) - centre
        return cls(np.round(filled * 255).astype(np.uint8), grid.spacing, anchors.astype(np.float32)), centre

    @property
    def extent_mm(self) -> float:
        """Edge of the grid, mm."""
        return self.cell * SHAPE_SIZE

    def drawn(self, grid: CropGrid, centre: np.ndarray) -> np.ndarray:
        """Occupancy 0..1, float32, on a crop's grid (n, n, n), the shape's centre at this place, RAS mm."""
        steps = grid.spacing / self.cell
        cells = [(np.arange(grid.size) - o) * steps + (SHAPE_SIZE - 1) / 2 for o in grid.ras_to_index(centre)]
        r, a, s = (_interpolation(along, steps) for along in cells)
        drawn = np.tensordot(r, self.occupancy.astype(np.float32) / 255, (1, 0))
        for along in (a, s):  # each takes the axis that comes second, and puts its own behind
            drawn = np.tensordot(drawn, along, (1, 1))
        return drawn


def _interpolation(places: np.ndarray, steps: float) -> np.ndarray:
    """(n, SHAPE_SIZE) float32: what each cell of a shape counts for crop cells at these places, so many cells apart.

    Linear between the shape's cells, nothing beyond them; a coarser crop's cells take the mean over what they cover.
    """
    parts = math.ceil(steps)
    offsets = ((np.arange(parts) + 0.5) / parts - 0.5) * steps
    apart = np.abs((places[:, None] + offsets)[..., None] - np.arange(SHAPE_SIZE))
    return np.clip(1 - apart, 0, None).mean(axis=1).astype(np.float32)


def _anchors(volume: Volume, mask: np.ndarray, box: Box) -> np.ndarray:
    """(ANCHORS, 3) RAS mm: the deepest voxel, then voxels far from those before, deep ones rather than shallow."""
    depth = ndimage.distance_transform_edt(np.pad(mask[box.slices], 1), sampling=volume.spacing[::-1])
    depth = depth[1:-1, 1:-1, 1:-1]
    voxels = np.argwhere(depth > 0)
    depths = depth[depth > 0]
    deepest = int(depths.argmax())
    if len(voxels) > _MOST_CANDIDATES:
        chosen = np.unique(np.append(np.linspace(0, len(voxels) - 1, _MOST_CANDIDATES).astype(int), deepest))
        voxels, depths = voxels[chosen], depths[chosen]
        deepest = int(depths.argmax())
    places = volume.ijk_to_ras_points((voxels + box.low)[:, ::-1].astype(float))
    found = [places[deepest]]
    for _ in range(ANCHORS - 1):
        apart = np.min([np.linalg.norm(places - other, axis=1) for other in found], axis=0)
        found.append(places[int((apart * np.sqrt(depths)).argmax())])
    return np.array(found)
