"""The random walker (Grady 2006), as scikit-image has it, driven by clicks."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..engine.geometry import Volume
from ..engine.prompts import Click
from .baselines import BaselineError
from .clicked_crop import OBJECT, UNKNOWN, ClickedCrop


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
