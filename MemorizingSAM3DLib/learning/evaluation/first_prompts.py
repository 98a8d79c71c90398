"""The first prompt of a structure as a careful user makes it: a point, a box, a line or an outline, from the truth."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import dijkstra

from MemorizingSAM3DLib.engine.geometry import Box, Volume
from MemorizingSAM3DLib.engine.prompts import BoxPrompt, Click, Lasso, Point, Prompt, Scribble

from ..simulated_user import central_click

POINT, BOX, FLAT_BOX, SCRIBBLE, LASSO = "point", "box", "flat-box", "scribble", "lasso"
STARTS = (POINT, BOX, FLAT_BOX, SCRIBBLE, LASSO)
REGIONS = (BOX, FLAT_BOX, LASSO)  # what a network has to know; a scribble is points to one that does not
MOST_POINTS = 100  # of a scribble
MOST_CORNERS = 400  # of a lasso
_KEPT_DEPTH = 0.35  # a scribble ends where the structure is less deep than this share of its greatest depth
_NEIGHBOURS = ((0, 1), (1, -1), (1, 0), (1, 1))


class Slice(NamedTuple):
    """A slice of a (K, J, I) mask. axis: across it. number: along that axis. plane: the mask in it."""

    axis: int
    number: int
    plane: np.ndarray

    def ijk(self, places: np.ndarray) -> np.ndarray:
        """Voxel coordinates (i, j, k), (n, 3), of places in the plane, (n, 2)."""
        return np.insert(places.astype(np.float64), self.axis, float(self.number), axis=1)[:, ::-1]


def first_prompt(kind: str, volume: Volume, truth: np.ndarray) -> Prompt:
    """The first prompt on a structure.

    Args:
        kind: of :data:`STARTS`. A point lies farthest inside; a box has half a voxel of margin around the voxels'
            centres; a flat box is that of the largest axial slice, on it; a scribble runs along the middle of the
            structure in its largest slice of any axis; a lasso is the outline there. Where a slice shows several parts,
            both take the largest.
        truth: (K, J, I) bool, not empty.
    """
    spacing = volume.spacing[::-1]
    if kind == POINT:
        found = central_click(np.zeros_like(truth), truth, spacing)
        assert found is not None
        return Click(_ras(volume, np.array([found.voxel[::-1]]))[0])
    if kind == BOX:
        box = Box.of_mask(truth)
        return box_of_voxels(volume, np.array(box.low), np.array(box.high) - 1)
    if kind == FLAT_BOX:
        part = largest_slice(truth, spacing, (axial_axis(volume),))
        corners = part.ijk(np.argwhere(part.plane))[:, ::-1]
        return box_of_voxels(volume, corners.min(axis=0), corners.max(axis=0), flat=part.axis)
    part = largest_slice(truth, spacing)
    inner = [s for axis, s in enumerate(spacing) if axis != part.axis]
    if kind == SCRIBBLE:
        line = middle_line(part.plane, (inner[0], inner[1]))
        return Scribble(_ras(volume, part.ijk(line)))
    if kind == LASSO:
        return Lasso(_ras(volume, part.ijk(outline(part.plane))))
    raise ValueError(f"There is no first prompt of the kind {kind}.")


def as_points(prompt: Prompt) -> list[Click]:
    """What a tool that uses points alone is given: a scribble's points, the centre of a box or a lasso."""
    points = prompt.points or (prompt.ras,)
    return [Click(point, prompt.positive) for point in points]


def box_of_voxels(volume: Volume, low: np.ndarray, high: np.ndarray, flat: int | None = None) -> BoxPrompt:
    """The box around voxels on the scan's own grid, whatever way that is turned.

    Args:
        low, high: first and last voxel, (k, j, i); the box reaches to their outer faces.
        flat: the array's axis along which it stays in the middle of its slice instead.
    """
    margin = np.full(3, 0.5)
    if flat is not None:
        margin[flat] = 0.0
    ends = volume.ijk_to_ras_points(np.array([(low - margin)[::-1], (high + margin)[::-1]], dtype=np.float64))
    axes = (volume.ijk_to_ras[:3, :3] / volume.spacing).T
    one, other = _points(ends @ axes.T)
    r, a, s = _points(axes)
    return BoxPrompt(one, other, axes=(r, a, s))


def axial_axis(volume: Volume) -> int:
    """The array's axis that runs most nearly along S: its slices are the axial ones."""
    return 2 - int(np.abs(volume.ijk_to_ras[2, :3] / volume.spacing).argmax())


def largest_slice(mask: np.ndarray, spacing: tuple[float, ...], axes: tuple[int, ...] = (0, 1, 2)) -> Slice:
    """The slice across one of some axes with the largest area in mm^2; of several equal ones the middle one.

    Args:
        mask: (K, J, I) bool, not empty. spacing: mm along K, J, I.
    """
    best: tuple[float, int, int] = (0.0, axes[0], 0)
    for axis in axes:
        counts = np.count_nonzero(mask, axis=tuple(other for other in range(3) if other != axis))
        area = float(counts.max()) * float(np.prod(spacing)) / spacing[axis]
        if area > best[0] * (1 + 1e-9):
            largest = np.flatnonzero(counts == counts.max())
            best = (area, axis, int(largest[(len(largest) - 1) // 2]))
    _, axis, index = best
    return Slice(axis, index, mask.take(index, axis))


def middle_line(plane: np.ndarray, spacing: tuple[float, float]) -> np.ndarray:
    """A line along the middle of the largest part of a plane's mask: voxels from one end to the other, (n, 2).

    The way between the two points that are farthest from each other within the part which stays as deep in it as it
    can, without its shallow ends.

    Args:
        plane: bool, not empty. spacing: mm.
    """
    part, offset = _largest_part(plane, np.ones((3, 3)))
    depth = ndimage.distance_transform_edt(np.pad(part, 1), sampling=spacing)[1:-1, 1:-1]
    places, costs, lengths = _graph(part, depth, spacing)
    inner = int(depth[tuple(places.T)].argmax())
    one = _farthest(lengths, inner)
    other = _farthest(lengths, one)
    _, before = dijkstra(costs, directed=False, indices=one, return_predecessors=True)
    way = [other]
    while way[-1] != one:
        way.append(int(before[way[-1]]))
    line = places[way]
    kept = np.flatnonzero(depth[tuple(line.T)] >= _KEPT_DEPTH * depth.max())
    line = line[kept[0] : kept[-1] + 1] if len(kept) else places[[inner]]
    steps = np.linspace(0, len(line) - 1, min(len(line), MOST_POINTS)).round().astype(int)
    return np.asarray(line[steps] + offset)


def outline(plane: np.ndarray) -> np.ndarray:
    """A closed line around the largest part of a plane's mask, its holes filled: (n, 2), through its border's edges.

    Every voxel's centre in that part lies within, every other one outside, unless it has more than 400 bends.

    Args:
        plane: bool, not empty.
    """
    part, offset = _largest_part(plane)
    filled = np.pad(np.asarray(ndimage.binary_fill_holes(part)), 1)
    corners = _border(filled)
    middles = (corners + np.roll(corners, -1, axis=0)) / 2
    before, after = middles - np.roll(middles, 1, axis=0), np.roll(middles, -1, axis=0) - middles
    bends = np.abs(before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]) > 1e-9
    line = middles[bends]
    if len(line) > MOST_CORNERS:
        line = line[np.linspace(0, len(line), MOST_CORNERS, endpoint=False).astype(int)]
    return np.asarray(line - 1.5 + offset)


def _border(filled: np.ndarray) -> np.ndarray:
    """The corners of voxels around one 4-connected region without holes, in order; voxel x reaches from x to x + 1."""
    onward: dict[tuple[int, int], list[tuple[int, int]]] = {}
    # Each edge keeps the region on the same side: (from, to) relative to the voxel, and where the neighbour is.
    for shift, start, end in (
        ((-1, 0), (0, 0), (0, 1)), ((0, 1), (0, 1), (1, 1)), ((1, 0), (1, 1), (1, 0)), ((0, -1), (1, 0), (0, 0)),
    ):  # fmt: skip
        beside = np.roll(filled, (-shift[0], -shift[1]), axis=(0, 1))
        for y, x in np.argwhere(filled & ~beside).tolist():
            onward.setdefault((y + start[0], x + start[1]), []).append((y + end[0], x + end[1]))
    first = min(onward)
    way, step = [first], (0, 0)
    while True:
        here = way[-1]
        ends = onward[here]
        # Where two voxels meet at a corner alone, the line stays with the voxel that it follows.
        ends.sort(key=lambda end: -(step[0] * (end[1] - here[1]) - step[1] * (end[0] - here[0])))
        end = ends.pop() if len(ends) > 1 else ends[0]
        step = end[0] - here[0], end[1] - here[1]
        if end == first:
            return np.array(way)
        way.append(end)


def _largest_part(plane: np.ndarray, neighbours: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The largest connected part of a mask in its own bounding box, and where that begins, (2,)."""
    parts, count = ndimage.label(plane, structure=neighbours)
    number = int(np.bincount(parts.ravel(), minlength=count + 1)[1:].argmax()) + 1
    box = ndimage.find_objects(parts)[number - 1]
    return np.asarray(parts[box] == number), np.array([side.start for side in box])


def _graph(part: np.ndarray, depth: np.ndarray,
           spacing: tuple[float, float]) -> tuple[np.ndarray, csr_matrix, csr_matrix]:  # fmt: skip
    """The voxels of a part, (n, 2), and steps between neighbours: what they cost, less where it is deep, and in mm."""
    numbers = np.full(part.shape, -1)
    numbers[part] = np.arange(np.count_nonzero(part))
    padded = np.pad(numbers, 1, constant_values=-1)
    deep = depth[part] / depth.max()
    starts, ends, lengths = [], [], []
    for dy, dx in _NEIGHBOURS:
        beside = padded[1 + dy : 1 + dy + part.shape[0], 1 + dx : 1 + dx + part.shape[1]]
        both = part & (beside >= 0)
        starts.append(numbers[both])
        ends.append(beside[both])
        lengths.append(np.full(len(starts[-1]), np.hypot(dy * spacing[0], dx * spacing[1])))
    one, other, mm = np.concatenate(starts), np.concatenate(ends), np.concatenate(lengths)
    costs = mm / np.minimum(deep[one], deep[other]) ** 2
    shape = (len(deep), len(deep))
    return np.argwhere(part), *(coo_matrix((values, (one, other)), shape).tocsr() for values in (costs, mm))


def _farthest(lengths: csr_matrix, start: int) -> int:
    return int(dijkstra(lengths, directed=False, indices=start).argmax())


def _ras(volume: Volume, ijk: np.ndarray) -> tuple[Point, ...]:
    return _points(volume.ijk_to_ras_points(ijk))


def _points(places: np.ndarray) -> tuple[Point, ...]:
    return tuple((r, a, s) for r, a, s in places.tolist())
