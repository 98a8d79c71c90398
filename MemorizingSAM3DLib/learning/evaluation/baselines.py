"""The classic tools that a model is compared with: what they have in common.

The random walker (Grady 2006), as scikit-image has it, driven by clicks.

Confidence-connected region growing, as SimpleITK has it, driven by clicks.

The part of a scan that a classic tool works on, chosen by the clicks alone, with seeds made of them.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import SimpleITK as sitk
from scipy import ndimage
from scipy.spatial import cKDTree

from MemorizingSAM3DLib.engine.errors import EngineError
from MemorizingSAM3DLib.engine.geometry import Box, Volume
from MemorizingSAM3DLib.engine.prompts import Click


class BaselineError(EngineError):
    """A classic tool cannot be used here."""


class Baseline(Protocol):
    """A tool that makes a mask out of clicks. It has no state: the mask follows from the scan and the clicks alone.

    Implementations can be pickled, since worker processes get their own copy.

    Attributes:
        name: for files. title: for people. parameters: what it was set to, JSON-ready.
    """

    @property
    def name(self) -> str: ...

    @property
    def title(self) -> str: ...

    @property
    def parameters(self) -> Mapping[str, Any]: ...

    def require(self) -> None:
        """Asks for what it needs before anything is computed.

        Raises:
            BaselineError: a package is missing.
        """

    def segment(self, volume: Volume, clicks: Sequence[Click]) -> np.ndarray:
        """The mask, (K, J, I) bool on the scan's grid, that all clicks so far lead to."""


def classic_baselines() -> tuple[Baseline, ...]:
    """The ones that need neither slicer nor vtk. Grow from seeds is in :mod:`MemorizingSAM3DLib.scene`."""

    return (RandomWalker(), ConfidenceConnected())


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


@dataclass(frozen=True)
class RandomWalker:
    """Each voxel belongs to the seed that a random walk from it meets first; walks avoid edges.

    Clicks are balls, the border of the crop around them is background. Its parameters were chosen on 45 structures of
    training cases, never on validation cases.

    Args:
        margin_mm: of the crop around the positive clicks. radius_mm: of a click's ball.
        longest: voxels of a crop's axis; the linear system has at most the cube of it as unknowns.
        beta: how much walks avoid edges, on intensities scaled to 0 to 1 between their 1st and 99th percentile.
    """

    margin_mm: float = 60.0
    radius_mm: float = 8.0
    longest: int = 40
    beta: float = 10_000.0

    name = "random_walker"
    title = "Random walker"

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What it was set to."""
        return asdict(self)

    def require(self) -> None:
        """Raises BaselineError when scikit-image is not installed."""
        try:
            import skimage.segmentation  # noqa: F401
        except ImportError as error:
            raise BaselineError(
                "The random walker needs scikit-image, which is not installed here.", "pip install scikit-image"
            ) from error

    def segment(self, volume: Volume, clicks: Sequence[Click]) -> np.ndarray:
        """The mask, (K, J, I) bool on the scan's grid."""
        from skimage.segmentation import random_walker

        if not any(click.positive for click in clicks):
            return np.zeros(volume.shape, dtype=bool)
        crop = ClickedCrop.around(volume, clicks, self.margin_mm, self.longest)
        seeds = crop.seeds(self.radius_mm)
        found = np.unique(seeds)
        if UNKNOWN not in found or len(found) < 3:
            return crop.mask_on_scan(seeds == OBJECT)  # nothing to decide
        low, high = np.percentile(crop.image, (1, 99))
        scaled = np.clip((crop.image - low) / max(high - low, 1e-6), 0, 1)
        spacing = np.array(crop.spacing) / min(crop.spacing)
        with warnings.catch_warnings():
            # The iterative solver overshoots 0 and 1 a little at sharp edges; only what is above a half counts.
            warnings.filterwarnings("ignore", "The probability range is outside", UserWarning)
            shares = random_walker(scaled, seeds, beta=self.beta, mode="cg_j", spacing=spacing, return_full_prob=True)
        return crop.mask_on_scan(shares[0])


@dataclass(frozen=True)
class ConfidenceConnected:
    """Grows from the positive clicks over intensities within some standard deviations of the mean around them.

    As a user would, it narrows that range while the region holds a negative click or leaks to the crop's border, and
    if even the narrowest does, cuts away what is nearer to a negative click than to a positive one. Holes are
    filled, parts without a positive click dropped. Its parameters were chosen on 45 structures of training cases, never
    on validation cases.

    Args:
        margin_mm: of the crop around the positive clicks. longest: voxels of a crop's axis.
        smoothing: iterations of curvature flow before. iterations: of growing, each with new statistics.
        multipliers: standard deviations, tried in this order. radius: voxels around a click for the first statistics.
        leak: share of the crop's border that the region may cover.
    """

    margin_mm: float = 60.0
    longest: int = 64
    smoothing: int = 5
    iterations: int = 1
    multipliers: tuple[float, ...] = (2.5, 2.0, 1.5, 1.0, 0.7)
    radius: int = 1
    leak: float = 0.02

    name = "confidence_connected"
    title = "Confidence connected"

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What it was set to."""
        return {**asdict(self), "multipliers": list(self.multipliers)}

    def require(self) -> None:
        """SimpleITK is always there."""

    def segment(self, volume: Volume, clicks: Sequence[Click]) -> np.ndarray:
        """The mask, (K, J, I) bool on the scan's grid."""
        if not any(click.positive for click in clicks):
            return np.zeros(volume.shape, dtype=bool)
        crop = ClickedCrop.around(volume, clicks, self.margin_mm, self.longest)
        seeds, unwanted = crop.voxels(crop.positive), crop.voxels(crop.negative)
        region = self._grown(crop, seeds, unwanted)
        if region[tuple(unwanted.T)].any():
            region = _nearer_to_positive(region, seeds, unwanted, crop.spacing)
        region[tuple(seeds.T)] = True
        parts, _ = ndimage.label(region)
        return crop.mask_on_scan(np.isin(parts, np.unique(parts[tuple(seeds.T)])))

    def _grown(self, crop: ClickedCrop, seeds: np.ndarray, unwanted: np.ndarray) -> np.ndarray:
        """The widest region, holes filled, without a negative click and without a leak; else the narrowest."""
        image = sitk.GetImageFromArray(crop.image)
        smooth = sitk.CurvatureFlow(image, timeStep=0.0625, numberOfIterations=self.smoothing)
        border = np.ones(crop.image.shape, dtype=bool)
        border[crop.interior] = False
        places = [tuple(reversed(seed)) for seed in seeds.tolist()]
        for multiplier in self.multipliers:
            grown = sitk.ConfidenceConnected(smooth, places, self.iterations, multiplier, self.radius, 1)
            closed = ndimage.binary_closing(np.pad(sitk.GetArrayFromImage(grown) > 0, 2))[2:-2, 2:-2, 2:-2]
            region = ndimage.binary_fill_holes(closed)
            leaks = border.any() and region[border].mean() > self.leak
            if not leaks and not region[tuple(unwanted.T)].any():
                break
        return region


def _nearer_to_positive(region: np.ndarray, positive: np.ndarray, negative: np.ndarray,
                        spacing: tuple[float, float, float]) -> np.ndarray:  # fmt: skip
    voxels = np.argwhere(region)
    _, nearest = cKDTree(np.concatenate([positive, negative]) * spacing).query(voxels * spacing)
    cut = np.zeros_like(region)
    cut[tuple(voxels[nearest < len(positive)].T)] = True
    return cut
