"""Time from a point to the segment in the scene, on a scan of a hospital's size."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from ..engine.predictor import Predictor

SHAPE = (200, 512, 512)
SPACING_MM = (0.7, 0.7, 1.5)
ORGAN_RADII_MM = np.array([45.0, 35.0, 40.0])
MEDIAN_MS = 250.0
FIRST_MS = 5000.0


def a_scan(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A CT of 512 x 512 x 200 voxels: a body with an organ of 90 x 70 x 80 mm in its middle, and noise.

    Returns:
        voxels (K, J, I) int16, HU; IJK-to-RAS matrix (4, 4), the organ's centre at the origin.
    """
    matrix = np.diag([*SPACING_MM, 1.0])
    matrix[:3, 3] = -(np.array(SHAPE[::-1]) - 1) / 2 * SPACING_MM
    k, j, i = (
        ((np.arange(n, dtype=np.float32) - (n - 1) / 2) * mm) for n, mm in zip(SHAPE, SPACING_MM[::-1], strict=True)
    )
    in_plane = i[None, None, :] ** 2 / 160**2 + j[None, :, None] ** 2 / 120**2
    voxels = np.where(in_plane < 1, 40, -1000).astype(np.int16) + np.zeros(SHAPE, np.int16)
    rr, ra, rs = ORGAN_RADII_MM.tolist()
    organ = i[None, None, :] ** 2 / rr**2 + j[None, :, None] ** 2 / ra**2 + k[:, None, None] ** 2 / rs**2 < 1
    voxels[organ] = 130
    voxels += np.random.default_rng(seed).normal(0, 12, SHAPE).astype(np.int16)
    return voxels, matrix


def measure_clicking(predictor: Predictor, clicks: int, progress: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """Places points in a real scene: the first on a fresh scan, then corrections inside the same crop.

    Args:
        clicks: points after the first, positive inside and negative outside of the organ in turn.
        progress: called after each point.

    Returns:
        A JSON-ready report: milliseconds to take the scan, of the first point, and of each later one; a point's time
        runs from the control point's placement until the segment in the scene is written.
    """
    import slicer

    from ..scene.clicked_segment import ClickedSegment
    from ..scene.headless import bootScene

    bootScene()
    voxels, matrix = a_scan()
    volume_node = slicer.util.addVolumeFromArray(voxels, matrix, "benchmark scan")
    start = time.perf_counter()
    segment = ClickedSegment(volume_node, predictor, name="Organ")
    loading = (time.perf_counter() - start) * 1000
    times, encoded = [], []
    rng = np.random.default_rng(1)
    for number in range(clicks + 1):
        direction = rng.normal(size=3)
        direction /= np.linalg.norm(direction)
        positive = number % 2 == 0
        place = np.zeros(3) if number == 0 else direction * ORGAN_RADII_MM * (0.85 if positive else 1.2)
        before = predictor.encodes
        start = time.perf_counter()
        segment.place(place.tolist(), positive)
        times.append((time.perf_counter() - start) * 1000)
        encoded.append(predictor.encodes - before)
        progress()
    cached = [ms for ms, count in zip(times[1:], encoded[1:], strict=True) if count == 0]
    return {
        "device": predictor.runtime.description,
        "scan": list(SHAPE),
        "take_scan_ms": round(loading, 1),
        "first_ms": round(loading + times[0], 1),
        "first_encodes": encoded[0],
        "cached_clicks": len(cached),
        "cached_median_ms": round(statistics.median(cached), 1) if cached else None,
        "cached_worst_ms": round(max(cached), 1) if cached else None,
        "later_ms": [round(ms, 1) for ms in times[1:]],
        "bars": {"first_ms": FIRST_MS, "cached_median_ms": MEDIAN_MS},
    }
