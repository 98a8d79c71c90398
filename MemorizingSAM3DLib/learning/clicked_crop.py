"""The part of a scan that a classic tool works on, chosen by the clicks alone, with seeds made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from ..engine.geometry import Box, Volume
from ..engine.prompts import Click

UNKNOWN, OBJECT, BACKGROUND = 0, 1, 2
_SPREAD_SHARE = 0.5
_ROUNDING = 1e-6


@dataclass(frozen=True, eq=False)
class ClickedCrop:
    """A working copy of a box of a scan. Axes are the scan's (k, j, i) throughout.

    Attributes:
        image: float32, resampled linearly where an axis would be too long. spacing: mm of its voxels.
        positive, negative: the clicks, (n, 3) in continuous voxels of ``image``; negative ones outside are left out.
    """

    image: np.ndarray
    spacing: tuple[float, float, float]
    positive: np.ndarray
    negative: np.ndarray
    _box: Box
    _volume: Volume

    @classmethod
    def around(cls, volume: Volume, clicks: Sequence[Click], margin_mm: float, longest: int) -> ClickedCrop:
        """The box of the positive clicks with a margin on all sides, clipped to the scan.

        Args:
            clicks: at least one of them positive.
            margin_mm: margin; half the distance that the positive clicks span, where that is more.
            longest: voxels that an axis may have; longer ones are resampled to so many.
        """
        places = np.array([volume.ras_to_ijk(click.ras)[::-1] for click in clicks])
        positive = np.array([click.positive for click in clicks])
        spacing = np.array(volume.spacing[::-1])
        low, high = places[positive].min(axis=0), places[positive].max(axis=0)
        margin = max(margin_mm, _SPREAD_SHARE * float(np.linalg.norm((high - low) * spacing))) / spacing
        margin -= _ROUNDING  # so that a whole number of voxels stays one
        box = Box.between(np.floor(low - margin), np.ceil(high + margin) + 1).clipped(volume.shape)
        shape = np.minimum(box.shape, longest)
        working = spacing * box.shape / shape
        # Faces stay where they are: voxel x of the box is (x + 0.5) * spacing mm behind its first face.
        inside = (places - box.low + 0.5) * spacing / working - 0.5
        visible = ((inside >= -0.5) & (inside < shape - 0.5)).all(axis=1)
        k, j, i = working.tolist()
        image = volume.array[box.slices].astype(np.float32)
        if tuple(shape) != box.shape:
            image = _resampled(image, tuple(spacing), tuple(shape), (k, j, i))
        return cls(image, (k, j, i), inside[positive], inside[~positive & visible], box, volume)

    @property
    def interior(self) -> tuple[slice, ...]:
        """All but the outermost voxels; an axis of fewer than three voxels has no border."""
        return tuple(slice(1, -1) if length >= 3 else slice(None) for length in self.image.shape)

    def voxels(self, points: np.ndarray) -> np.ndarray:
        """The voxels, (n, 3) int, in which points lie."""
        return np.clip(np.rint(points), 0, np.array(self.image.shape) - 1).astype(int)

    def seeds(self, radius_mm: float) -> np.ndarray:
        """Each click as a ball (never less than a voxel), and the crop's border as BACKGROUND; uint8.

        A positive click wins where two overlap.
        """
        seeds = np.full(self.image.shape, BACKGROUND, dtype=np.uint8)
        seeds[self.interior] = UNKNOWN
        for points, label in ((self.negative, BACKGROUND), (self.positive, OBJECT)):
            for point in points:
                seeds[self._ball(point, radius_mm)] = label
            seeds[tuple(self.voxels(points).T)] = label
        return seeds

    def mask_on_scan(self, share: np.ndarray) -> np.ndarray:
        """The mask, (K, J, I) bool on the scan's grid, of a bool array or of shares of the object, 0 to 1.

        Both are interpolated linearly; the object is where more than half is.
        """
        mask = np.zeros(self._volume.shape, dtype=bool)
        if share.shape == self._box.shape:
            mask[self._box.slices] = share > 0.5
        else:
            scan_spacing = self._volume.spacing[::-1]
            fine = _resampled(share.astype(np.float32), self.spacing, self._box.shape, scan_spacing)
            mask[self._box.slices] = fine > 0.5
        return mask

    def _ball(self, point: np.ndarray, radius_mm: float) -> np.ndarray:
        axes = np.ogrid[tuple(slice(n) for n in self.image.shape)]
        squares = [((axis - x) * s) ** 2 for axis, x, s in zip(axes, point, self.spacing, strict=True)]
        return np.asarray(squares[0] + squares[1] + squares[2] <= radius_mm**2)


def _resampled(array: np.ndarray, spacing: tuple[float, ...], shape: tuple[int, ...],
               new_spacing: tuple[float, ...]) -> np.ndarray:  # fmt: skip
    """Linear, onto a grid with the same outer faces; beyond the outermost voxel centres the nearest value holds."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing([float(s) for s in reversed(spacing)])
    origin = [(float(new) - float(old)) / 2 for new, old in zip(reversed(new_spacing), reversed(spacing), strict=True)]
    resampler = sitk.ResampleImageFilter()
    resampler.SetSize([int(n) for n in reversed(shape)])
    resampler.SetOutputSpacing([float(s) for s in reversed(new_spacing)])
    resampler.SetOutputOrigin(origin)
    resampler.SetInterpolator(sitk.sitkLinear)
    resampler.UseNearestNeighborExtrapolatorOn()
    return sitk.GetArrayFromImage(resampler.Execute(image))
