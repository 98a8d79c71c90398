"""Prompts as a network is given them: places and kinds in a crop, and maps of boxes and lassos."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..geometry import CropGrid
from ..networks.prompt_maps import BOX_OUT, LASSO_OUT, POINT_OUT, SCRIBBLE_OUT
from ..prompts import BoxPrompt, Click, Lasso, Prompt, Scribble

LINE_STEP = 1.5  # voxels between the points of a scribble that a network is given
MOST_LINE_POINTS = 24  # of a scribble: what it was trained with


class CropPrompts(NamedTuple):
    """Prompts in a crop of S^3 voxels.

    Attributes:
        coords: (N, 3) float32 voxel indices (r, a, s). kinds: (N,) int64, see :mod:`.networks.prompt_maps`.
        regions: (2, S/2, S/2, S/2) float32 in -1..1, boxes and lassos; None: there are none.
    """

    coords: np.ndarray
    kinds: np.ndarray
    regions: np.ndarray | None


def prompts_in(grid: CropGrid, prompts: Sequence[Prompt]) -> CropPrompts:
    """What of the prompts lies in a crop, in the order they were made.

    Points outside of the crop are left out; boxes and lassos are cut off at its faces, and left out where nothing of
    them lies within.
    """
    coords: list[np.ndarray] = []
    kinds: list[int] = []
    regions: np.ndarray | None = None
    half = grid.size // 2
    for prompt in prompts:
        sign = int(prompt.positive)
        if isinstance(prompt, Click):
            places = grid.ras_to_index(np.array([prompt.ras]))
            kind = POINT_OUT + sign
        elif isinstance(prompt, Scribble):
            places = _along(grid.ras_to_index(np.array(prompt.line)))
            kind = SCRIBBLE_OUT + sign
        else:
            cells = region_of(prompt, grid.coarser(half))
            if not cells.any():
                continue
            if regions is None:
                regions = np.zeros((2, half, half, half), dtype=np.float32)
            regions[int(isinstance(prompt, Lasso))][cells] = 1.0 if prompt.positive else -1.0
            ends = grid.ras_to_index(np.array(prompt.corners))
            places = np.clip([ends.min(axis=0), ends.max(axis=0)], -0.5, grid.size - 0.5)
            kind = (LASSO_OUT if isinstance(prompt, Lasso) else BOX_OUT) + sign
        inside = ((places >= -0.5) & (places <= grid.size - 0.5)).all(axis=1)
        coords.append(places[inside])
        kinds += [kind] * int(inside.sum())
    places = np.concatenate(coords) if coords else np.zeros((0, 3))
    return CropPrompts(places.astype(np.float32), np.array(kinds, dtype=np.int64), regions)


def region_of(prompt: BoxPrompt | Lasso, cells: CropGrid) -> np.ndarray:
    """The cells of a grid that a box or a lasso covers, one cell thick where it is thinner: (n, n, n) bool."""
    steps = np.repeat(np.arange(cells.size, dtype=np.float64)[:, None], 3, axis=1)
    r, a, s = cells.index_to_ras(steps).T
    if isinstance(prompt, BoxPrompt):
        inside = np.ones((cells.size,) * 3, dtype=bool)
        for axis, low, high in zip(np.array(prompt.axes), prompt.low, prompt.high, strict=True):
            along = axis[0] * r[:, None, None] + axis[1] * a[:, None] + axis[2] * s
            slack = max(0.0, (_thickness(axis, cells.spacing) - (high - low)) / 2)
            inside &= (along >= low - slack) & (along < high + max(slack, 1e-9))
        return inside
    outline = np.array(prompt.outline)
    middle = outline.mean(axis=0)
    u, v, normal = np.linalg.svd(outline - middle, full_matrices=True)[2]
    off, x, y = (
        axis[0] * (r - middle[0])[:, None, None] + axis[1] * (a - middle[1])[:, None] + axis[2] * (s - middle[2])
        for axis in (normal, u, v)
    )
    bent = float(np.abs((outline - middle) @ normal).max())
    beside = max(bent, _thickness(normal, cells.spacing) / 2)
    near = (off >= -beside) & (off < beside)
    inside = np.zeros(near.shape, dtype=bool)
    inside[near] = _winding(x[near], y[near], (outline - middle) @ np.array([u, v]).T) != 0
    return inside


def _thickness(normal: np.ndarray, spacing: float) -> float:
    """How thick a plane must be for each line of cells across it to have a cell in it, mm."""
    return float(np.abs(normal).max()) * spacing


def _winding(x: np.ndarray, y: np.ndarray, outline: np.ndarray) -> np.ndarray:
    """How often a closed line goes around points: not 0 also where it crosses itself, as a hurried hand's does."""
    turns = np.zeros(x.shape, dtype=np.int64)
    for (x0, y0), (x1, y1) in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        side = (x1 - x0) * (y - y0) - (x - x0) * (y1 - y0)
        turns += (y0 <= y) & (y1 > y) & (side > 0)
        turns -= (y0 > y) & (y1 <= y) & (side < 0)
    return turns


def _along(line: np.ndarray) -> np.ndarray:
    """Points along a line, a step apart, at most so many as a network was trained with."""
    lengths = np.linalg.norm(np.diff(line, axis=0), axis=1)
    total = float(lengths.sum())
    count = int(np.clip(np.ceil(total / LINE_STEP) + 1, 1, MOST_LINE_POINTS))
    if count == 1 or total == 0:
        return line[len(line) // 2][None]
    done = np.concatenate([[0], np.cumsum(lengths)])
    places = np.linspace(0, total, count)
    return np.stack([np.interp(places, done, line[:, axis]) for axis in range(3)], axis=1)
