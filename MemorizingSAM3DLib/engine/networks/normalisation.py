"""Intensities of a crop as a network wants them."""

from __future__ import annotations

import numpy as np

from ..scans.modality import guess_modality
from .config import Family

__all__ = ["foreground_range", "guess_modality", "normalise"]

CT_CENTRE_HU = 40.0  # soft tissue
CT_SCALE_HU = 60.0
CT_RANGE_HU = (-1024.0, 3071.0)
ROBUST_PERCENTILES = (1.0, 99.0)


def normalise(crop: np.ndarray, inside: np.ndarray, modality: str | None, family: Family = "native") -> np.ndarray:
    """Normalised intensities of a crop, float32, same shape.

    Native networks: CT through a smooth window, asinh((HU - 40) / 60), which spreads soft tissue without clipping
    lung or bone; every other modality by the 1st and 99th percentiles of the crop's foreground, mapped to -1 and 1.
    Published networks: CT clamped to [-1000, 1000] HU, then zero mean and unit deviation over the voxels above 0
    (SAM-Med3D, FastSAM3D), padding included as the authors do.

    Args:
        crop: (n, n, n) intensities (HU for CT). inside: (n, n, n) bool, False where the crop lies outside the scan.
        modality: "CT", "MR", ... or None when it is not known (treated as not CT).
    """
    crop = np.asarray(crop, dtype=np.float32)
    if family != "native":
        return _published(crop, modality)
    if modality == "CT":
        clipped = np.clip(crop, *CT_RANGE_HU)
        return np.arcsinh((clipped - CT_CENTRE_HU) / CT_SCALE_HU).astype(np.float32) / 2
    low, high = foreground_range(crop, inside)
    return np.clip((crop - low) / (high - low) * 2 - 1, -1.5, 2.5).astype(np.float32)


def foreground_range(crop: np.ndarray, inside: np.ndarray) -> tuple[float, float]:
    """1st and 99th percentiles of the crop's foreground: the voxels inside the scan and above its lowest value.

    Zeroed or air background would otherwise take the lower percentiles for itself. A quarter of the voxels is read
    (every second one along two axes).
    """
    sample = crop[::2, ::2][inside[::2, ::2]]
    if sample.size == 0:
        return 0.0, 1.0
    foreground = sample[sample > sample.min()]
    low, high = np.percentile(foreground if foreground.size else sample, ROBUST_PERCENTILES)
    # Rounding is no contrast; relative, since some maps are in units that make every value tiny.
    least = 1e-6 * max(abs(float(low)), abs(float(high))) or 1.0
    return float(low), float(max(high, low + least))


def _published(crop: np.ndarray, modality: str | None) -> np.ndarray:
    if modality == "CT":
        crop = np.clip(crop, -1000.0, 1000.0)
    body = crop[crop > 0]
    # In float64: the squares of a few absurd voxels overflow float32.
    mean, deviation = (float(body.mean()), float(body.std(dtype=np.float64))) if body.size else (0.0, 1.0)
    return ((crop - mean) / (deviation or 1.0)).astype(np.float32)
