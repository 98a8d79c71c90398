"""Random structures that networks fail on: trees of tubes, rings, vertebra-like bodies, clusters, specks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage

Paint = Callable[[np.random.Generator, int], np.ndarray]


def thin_shape(rng: np.random.Generator, size: int) -> np.ndarray:
    """One of them, at a random place, (size, size, size) bool."""
    kinds: tuple[Paint, ...] = (tree, ring, vertebra, cluster, speck)
    return kinds[int(rng.choice(len(kinds), p=(0.34, 0.14, 0.2, 0.16, 0.16)))](rng, size)


def tree(rng: np.random.Generator, size: int) -> np.ndarray:
    """A tube that winds and branches, each branch thinner, as vessels, airways and nerves do."""
    radius = float(np.exp(rng.uniform(np.log(0.8), np.log(4.0))))
    direction = _unit(rng.normal(size=3))
    waiting = [(rng.uniform(0.2, 0.8, 3) * size, direction, radius, int(rng.integers(size // 2, 2 * size)))]
    points: list[tuple[np.ndarray, float]] = []
    bend, branching = rng.uniform(0.05, 0.3), rng.uniform(0, 0.07)
    while waiting and len(points) < 12 * size:
        place, direction, radius, length = waiting.pop()
        for _ in range(length):
            points.append((place, radius))
            direction = _unit(direction + bend * rng.normal(size=3))
            place = place + 0.7 * direction
            if (place < -2).any() or (place > size + 2).any():
                break
            if rng.random() < branching and len(waiting) < 12 and radius > 0.6:
                side = _unit(direction + 1.2 * rng.normal(size=3))
                waiting.append((place, side, radius * rng.uniform(0.5, 0.9), int(length * rng.uniform(0.3, 0.8))))
    mask = np.zeros((size,) * 3, dtype=bool)
    places, radii = np.array([p for p, _ in points]), np.array([r for _, r in points])
    # Radii in three classes, a distance transform each.
    for low, high in zip(*(np.quantile(radii, q) for q in ((0, 1 / 3, 2 / 3), (1 / 3, 2 / 3, 1))), strict=True):
        chosen = (radii >= low) & (radii <= high)
        mask |= _around(places[chosen], float(radii[chosen].mean()) if chosen.any() else 0.0, size)
    return mask


def ring(rng: np.random.Generator, size: int) -> np.ndarray:
    """A torus, whole or open."""
    x, y, z = _turned_axes(rng, size)
    large = float(np.exp(rng.uniform(np.log(4), np.log(0.35 * size))))
    small = large * rng.uniform(0.12, 0.45)
    mask = (np.hypot(x, y) - large) ** 2 + (z * rng.uniform(0.4, 1.0)) ** 2 < small**2
    if rng.random() < 0.4:
        mask &= np.arctan2(y, x) > rng.uniform(-3.0, 1.0)
    return np.asarray(mask)


def vertebra(rng: np.random.Generator, size: int) -> np.ndarray:
    """A body, an arch behind it, and processes to the sides and behind."""
    x, y, z = _turned_axes(rng, size)
    unit = float(np.exp(rng.uniform(np.log(3.0), np.log(0.16 * size))))
    height = rng.uniform(0.5, 1.0)
    mask = (x / (1.2 * unit)) ** 2 + (y / unit) ** 2 < 1
    mask &= np.abs(z) < height * unit
    arch = np.hypot(x / 1.1, y + 1.7 * unit)
    mask |= (np.abs(arch - 0.85 * unit) < rng.uniform(0.2, 0.4) * unit) & (np.abs(z) < 0.6 * height * unit)
    thick, reach = rng.uniform(0.2, 0.4) * unit, rng.uniform(1.6, 2.8) * unit
    for end in ((-reach, -1.8 * unit), (reach, -1.8 * unit), (0.0, -2.4 * unit - reach / 2)):
        mask |= _capsule(x, y, z, np.array([0.0, -1.9 * unit, 0.0]), np.array([*end, rng.normal(0, 0.5) * unit]), thick)
    return np.asarray(mask)


def cluster(rng: np.random.Generator, size: int) -> np.ndarray:
    """Small balls, apart or touching, that are one structure."""
    centre, spread = rng.uniform(0.2, 0.8, 3) * size, rng.uniform(0.05, 0.25) * size
    places = centre + rng.normal(0, spread, (int(rng.integers(3, 26)), 3))
    return _around(places, float(np.exp(rng.uniform(np.log(1.0), np.log(4.5)))), size)


def speck(rng: np.random.Generator, size: int) -> np.ndarray:
    """An ellipsoid of 3 to 8 voxels."""
    x, y, z = _turned_axes(rng, size)
    a, b, c = rng.uniform(1.5, 4.0) * np.exp(rng.normal(0, 0.2, 3))
    return np.asarray((x / a) ** 2 + (y / b) ** 2 + (z / c) ** 2 < 1)


def _unit(vector: np.ndarray) -> np.ndarray:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-9))


def _around(places: np.ndarray, radius: float, size: int) -> np.ndarray:
    """Voxels within a radius of places."""
    free = np.ones((size,) * 3, dtype=bool)
    cells = np.round(places).astype(int)
    cells = cells[((cells >= 0) & (cells < size)).all(axis=1)]
    if len(cells) == 0:
        return ~free
    free[tuple(cells.T)] = False
    return np.asarray(ndimage.distance_transform_edt(free) <= max(radius, 0.5))


def _turned_axes(rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coordinates of all voxels about a random place, in a random frame."""
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    centre = rng.uniform(0.2, 0.8, 3) * size
    r, a, s = (np.arange(size, dtype=np.float32).reshape(shape) - c
               for shape, c in zip(((-1, 1, 1), (1, -1, 1), (1, 1, -1)), centre, strict=True))  # fmt: skip
    x, y, z = (row[0] * r + row[1] * a + row[2] * s for row in turn.astype(np.float32))
    return x, y, z


def _capsule(x: np.ndarray, y: np.ndarray, z: np.ndarray, start: np.ndarray, end: np.ndarray,
             radius: float) -> np.ndarray:  # fmt: skip
    along = end - start
    share = ((x - start[0]) * along[0] + (y - start[1]) * along[1] + (z - start[2]) * along[2]) / float(along @ along)
    share = np.clip(share, 0, 1)
    offsets = (part - (s + share * d) for part, s, d in zip((x, y, z), start, along, strict=True))
    return np.asarray(sum(o**2 for o in offsets) < radius**2)
