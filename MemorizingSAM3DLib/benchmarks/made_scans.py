"""Scans that are made up, with one organ in their middle, and clicks on it."""

from __future__ import annotations

import numpy as np

from ..engine.geometry import Box, Volume
from ..engine.prompts import Click

SHAPE = (200, 512, 512)
SPACING_MM = (0.7, 0.7, 1.5)
ORGAN_RADII_MM = (45.0, 35.0, 40.0)
_NOISE_SLICES = 8  # noise repeats: a gigabyte of it takes half a minute to make


def a_scan(shape: tuple[int, int, int] | None = None, spacing: tuple[float, float, float] | None = None,
           radii: tuple[float, float, float] = ORGAN_RADII_MM) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """A CT, of 512 x 512 x 200 voxels unless said otherwise: a body with an organ in its middle, and noise.

    Args:
        shape: (K, J, I). spacing: along (i, j, k), mm. radii: of the organ along R, A and S, mm.

    Returns:
        voxels (K, J, I) int16, HU; IJK-to-RAS matrix (4, 4), the organ's centre at the origin.
    """
    shape, spacing = shape or SHAPE, spacing or SPACING_MM
    matrix = np.diag([*spacing, 1.0])
    matrix[:3, 3] = -(np.array(shape[::-1]) - 1) / 2 * spacing
    k, j, i = (
        ((np.arange(n, dtype=np.float32) - (n - 1) / 2) * mm) for n, mm in zip(shape, spacing[::-1], strict=True)
    )
    rr, ra, rs = radii
    body = i**2 / 160**2 + j[:, None] ** 2 / 120**2 < 1
    plane = np.where(body, 40, -1000).astype(np.int16)
    organ = i**2 / rr**2 + j[:, None] ** 2 / ra**2
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 12, (_NOISE_SLICES, *shape[1:])).astype(np.int16)
    voxels = np.empty(shape, np.int16)
    for number, height in enumerate(k.tolist()):
        voxels[number] = np.where(organ < 1 - height**2 / rs**2, np.int16(130), plane) + noise[number % _NOISE_SLICES]
    return voxels, matrix


def a_volume(shape: tuple[int, int, int] | None = None, spacing: tuple[float, float, float] | None = None,
             radii: tuple[float, float, float] = ORGAN_RADII_MM) -> Volume:  # fmt: skip
    """The same for the engine."""
    return Volume(*a_scan(shape, spacing, radii), "CT")


def organ_box(volume: Volume, radii: tuple[float, float, float] = ORGAN_RADII_MM) -> Box:
    """The scan voxels of the organ, as far as they lie in the scan."""
    ends = volume.ras_to_ijk(np.array([np.negative(radii), radii]))[:, ::-1]
    return Box.between(np.floor(ends.min(0)), np.ceil(ends.max(0)) + 1).clipped(volume.shape)


def some_clicks(count: int, radii: tuple[float, float, float] = ORGAN_RADII_MM, seed: int = 1) -> list[Click]:
    """The organ's centre, then corrections around its surface: outside and inside in turn, as a user makes them."""
    rng = np.random.default_rng(seed)
    clicks = [Click((0.0, 0.0, 0.0))]
    while len(clicks) < count:
        positive = len(clicks) % 2 == 0
        direction = rng.normal(size=3)
        place = direction / np.linalg.norm(direction) * radii * (0.85 if positive else 1.2)
        r, a, s = place.tolist()
        clicks.append(Click((r, a, s), positive))
    return clicks
