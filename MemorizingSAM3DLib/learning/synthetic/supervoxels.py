"""Structures that a scan shows by itself, without a label: what is alike and hangs together, at any scale.

Elsewhere such pseudo-labels nearly double what a network segments of structures that it never saw (VISTA3D, arXiv
2406.05285; nnInteractive, arXiv 2503.08373).
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

LEAST_VOXELS, LARGEST_SHARE = 27, 0.3  # of the crop
_MOST_OF_SCAN = 0.5  # of what the crop shows of the scan
_MOST_FACES = 2  # of the crop that a structure may touch: what touches more is a background
_TRIES = 6
_GROWN_SHARE = 0.5  # of the structures: what grows from a voxel by intensity; the others are merged supervoxels
_SCALES = (0.6, 2.2)  # of the smoothing, voxels
_SEEDS = (12, 260)
_TOLERANCE = (0.04, 0.35)  # by which merged neighbours may differ, normalised intensities
_EDGE_REACH = 2.0  # voxels around an edge in which structures are looked for


def supervoxel_structure(image: np.ndarray, inside: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    """A structure of a crop, made of its intensities alone.

    Args:
        image: (S, S, S) normalised, before it is changed by noise. inside: bool, where the scan is.

    Returns:
        (S, S, S) bool; None when nothing fitting was found.
    """
    smooth = ndimage.gaussian_filter(image, float(rng.uniform(*_SCALES)))
    edges = np.sqrt(sum(part**2 for part in np.gradient(smooth)))
    # Structures are where edges are: a voxel of the background has none around it.
    weights = (ndimage.uniform_filter(edges, 2 * int(_EDGE_REACH) + 1) * inside).ravel()[::7]
    if weights.sum() <= 1e-6:
        return None
    most = min(LARGEST_SHARE * image.size, _MOST_OF_SCAN * np.count_nonzero(inside))
    basins: tuple[np.ndarray, list[list[int]]] | None = None
    for _ in range(_TRIES):
        flat = 7 * int(rng.choice(len(weights), p=weights / weights.sum()))
        place = tuple(int(index) for index in np.unravel_index(flat, image.shape))
        if rng.random() < _GROWN_SHARE:
            found = _grown(smooth if rng.random() < 0.6 else image, place, rng)
        else:
            if basins is None:
                labels = _supervoxels(edges, rng)
                basins = labels, _neighbours(labels, int(labels.max()) + 1)
            found = _merged(smooth, place, *basins, rng)
        found &= inside
        size = np.count_nonzero(found)
        faces = sum(bool(found.take(side, axis).any()) for axis in range(3) for side in (0, -1))
        if LEAST_VOXELS <= size <= most and faces <= _MOST_FACES:
            return found
    return None


def _grown(image: np.ndarray, place: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """The part around a voxel that is as bright, or at least, or at most: vessels, bone, air, fat, cysts."""
    value, tolerance = float(image[place]), float(np.exp(rng.uniform(*np.log((0.06, 0.5)))))
    kind = rng.random()
    mask = np.ones(image.shape, dtype=bool)
    if kind < 0.7:
        mask &= image > value - tolerance
    if kind >= 0.4:
        mask &= image < value + tolerance
    if rng.random() < 0.3:
        mask = ndimage.binary_opening(mask)
    parts, _ = ndimage.label(mask)
    number = int(parts[place])
    part = parts == number if number else np.zeros(image.shape, dtype=bool)
    return np.asarray(ndimage.binary_fill_holes(part)) if rng.random() < 0.4 else part


def _merged(image: np.ndarray, place: tuple[int, ...], labels: np.ndarray, neighbours: list[list[int]],
            rng: np.random.Generator) -> np.ndarray:  # fmt: skip
    """The supervoxel around a voxel, and those of its neighbours that are like it."""
    count = len(neighbours)
    sizes = np.bincount(labels.ravel(), minlength=count)
    means = np.bincount(labels.ravel(), image.ravel(), count) / np.maximum(sizes, 1)
    tolerance = float(rng.uniform(*_TOLERANCE))
    most = float(np.exp(rng.uniform(np.log(4 * LEAST_VOXELS), np.log(LARGEST_SHARE * image.size))))
    start = int(labels[place])
    chosen, total, mean = {start}, float(sizes[start]), float(means[start])
    border = set(neighbours[start])
    while border and total < most:
        nearest = min(border, key=lambda other: abs(means[other] - mean))
        if abs(means[nearest] - mean) > tolerance:
            break
        border.discard(nearest)
        chosen.add(nearest)
        mean = (mean * total + means[nearest] * sizes[nearest]) / (total + sizes[nearest])
        total += sizes[nearest]
        border |= set(neighbours[nearest]) - chosen
    merged = np.zeros(count, dtype=bool)
    merged[list(chosen)] = True
    return merged[labels]


def _supervoxels(edges: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Watershed basins around random seeds: (S, S, S), numbers from 1."""
    steep = (np.minimum(edges / max(float(np.quantile(edges[::3, ::3, ::3], 0.99)), 1e-6), 1) * 255).astype(np.uint8)
    seeds = int(np.exp(rng.uniform(*np.log(_SEEDS))))
    markers = np.zeros(edges.shape, dtype=np.int16)
    markers.ravel()[rng.integers(0, edges.size, seeds)] = np.arange(1, seeds + 1)
    return np.asarray(ndimage.watershed_ift(steep, markers)).astype(np.int64)


def _neighbours(labels: np.ndarray, count: int) -> list[list[int]]:
    pairs = []
    for axis in range(3):
        first, second = (labels.take(range(a, labels.shape[axis] - 1 + a), axis) for a in (0, 1))
        differs = first != second
        pairs.append(np.unique(first[differs] * count + second[differs]))
    found: list[list[int]] = [[] for _ in range(count)]
    for pair in np.unique(np.concatenate(pairs)).tolist():
        a, b = divmod(pair, count)
        found[a].append(b)
        found[b].append(a)
    return found
