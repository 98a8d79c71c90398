"""Intensities in a byte each: steps about as large as the noise, finer where tissue is, coarser in the tails."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..engine.intensity import CT_CENTRE_HU, CT_SCALE_HU

_FINEST, _COARSEST = 255, 48  # steps over the whole range of a scan
_NOISE_SAMPLES = 500_000


@dataclass(frozen=True)
class Companding:
    """The codes of a scan: code k stands for centre + scale * sinh(low + k * step).

    For CT, centre and scale are those of the engine's normalisation, so that steps are equal in what a network sees;
    for other modalities they are the median and a quarter of the robust range of the foreground.
    """

    centre: float
    scale: float
    low: float
    step: float

    @classmethod
    def of(cls, image: np.ndarray, modality: str, noise_steps: float = 1.0) -> Companding:
        """The companding that suits a scan.

        Args:
            image: (R, A, S). noise_steps: steps, in standard deviations of the noise; larger is coarser and smaller.
        """
        sample = image.reshape(-1)[:: max(1, image.size // _NOISE_SAMPLES)].astype(np.float32)
        centre, scale = CT_CENTRE_HU, CT_SCALE_HU
        if modality != "CT":
            foreground = sample[sample > sample.min()]
            foreground = foreground if foreground.size else sample
            first, median, last = np.percentile(foreground, [1, 50, 99]).tolist()
            centre, scale = median, max((last - first) / 4, 1e-6 * abs(last), 1e-12)
        low, high = (float(np.arcsinh((end - centre) / scale)) for end in (float(image.min()), float(image.max())))
        noise = _noise(np.arcsinh((image.astype(np.float32) - centre) / scale), low)
        reach = max(high - low, 1e-6)
        return cls(centre, scale, low, float(np.clip(noise * noise_steps, reach / _FINEST, reach / _COARSEST)))

    def encoded(self, image: np.ndarray) -> np.ndarray:
        """uint8 codes of the image's shape."""
        bent = np.arcsinh((image.astype(np.float32) - self.centre) / self.scale)
        return np.clip(np.rint((bent - self.low) / self.step), 0, 255).astype(np.uint8)

    def decoded(self, codes: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """Intensities of codes; whole numbers where the type has them."""
        table = self.centre + self.scale * np.sinh(self.low + np.arange(256) * self.step)
        if dtype.kind in "iu":
            limits = np.iinfo(dtype)
            table = np.clip(np.rint(table), limits.min, limits.max)
        with np.errstate(over="ignore"):  # codes that do not occur may stand for anything
            return table.astype(dtype)[codes]


def _noise(bent: np.ndarray, low: float) -> float:
    """Standard deviation of the noise above the background, from second differences along each axis; the least."""
    found = []
    for axis in range(3):
        if bent.shape[axis] < 3:
            continue
        lines = np.moveaxis(bent, axis, 0)
        differences = (lines[:-2] - 2 * lines[1:-1] + lines[2:])[lines[1:-1] > low]
        differences = differences[:: max(1, differences.size // _NOISE_SAMPLES)]
        if differences.size:
            found.append(1.4826 * float(np.median(np.abs(differences))) / np.sqrt(6))
    return min(found, default=0.0)
