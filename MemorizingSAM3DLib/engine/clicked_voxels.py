"""Where clicks lie on a scan's grid, worked out once a click: a session asks about all of them at every click."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .geometry import Volume
from .prompts import Click

_MOST_KEPT = 20_000  # dragging a point makes a click at every stop


class ClickedVoxels:
    """The voxels of clicks on one scan.

    Args:
        volume: the scan.
    """

    def __init__(self, volume: Volume) -> None:
        self.volume = volume
        self._rows: dict[Click, int] = {}
        self._voxels, self._places = np.empty((64, 3), dtype=int), np.empty((64, 2, 3))

    def of(self, clicks: Sequence[Click]) -> tuple[np.ndarray, np.ndarray]:
        """Where clicks lie.

        Returns:
            The voxels (N, 3) as (k, j, i), and (N, 2, 3) RAS mm: each click, and the centre of its voxel.

        Raises:
            ClickError: a click lies outside the scan.
        """
        if len(self._rows) > _MOST_KEPT:
            self._rows.clear()
        rows = []
        for click in clicks:
            row = self._rows.get(click)
            rows.append(self._add(click) if row is None else row)
        return self._voxels[rows], self._places[rows]

    def _add(self, click: Click) -> int:
        i, j, k = self.volume.nearest_voxel(click.ras)
        row = len(self._rows)
        if row == len(self._voxels):
            self._voxels, self._places = (np.concatenate([part, part]) for part in (self._voxels, self._places))
        self._voxels[row] = k, j, i
        self._places[row] = click.ras, self.volume.ijk_to_ras_points((i, j, k))
        self._rows[click] = row
        return row
