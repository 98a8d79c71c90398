"""Slicer's Grow from seeds driven by clicks: the classic tool that a model has to beat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from MemorizingSAM3DLib.engine.geometry import Volume
from MemorizingSAM3DLib.engine.prompts import Click
from MemorizingSAM3DLib.learning.evaluation.baselines import OBJECT, UNKNOWN, BaselineError, ClickedCrop


@dataclass(frozen=True)
class GrowFromSeeds:
    """vtkImageGrowCutSegment, what the Segment Editor's effect runs: each voxel to the seed with the cheapest path.

    Clicks are balls, the border of the crop around them is background, as a user paints it around the object. Its
    parameters were chosen on 45 structures of training cases, never on validation cases.

    Args:
        margin_mm: of the crop around the positive clicks. radius_mm: of a click's ball.
        longest: voxels of a crop's axis. locality: the effect's "Seed locality", 0 as there by default.
    """

    margin_mm: float = 60.0
    radius_mm: float = 4.0
    longest: int = 80
    locality: float = 0.0

    name = "grow_from_seeds"
    title = "Grow from seeds"

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What it was set to."""
        return asdict(self)

    def require(self) -> None:
        """Raises BaselineError when slicer-core is not installed (inside Slicer it always is)."""
        try:
            from slicer import vtkImageGrowCutSegment  # noqa: F401
        except ImportError as error:
            raise BaselineError(
                "Grow from seeds needs slicer-core, which is not installed here.",
                "In the folder of the sources: pip install '.[scene]'",
            ) from error

    def segment(self, volume: Volume, clicks: Sequence[Click]) -> np.ndarray:
        """The mask, (K, J, I) bool on the scan's grid."""
        if not any(click.positive for click in clicks):
            return np.zeros(volume.shape, dtype=bool)
        crop = ClickedCrop.around(volume, clicks, self.margin_mm, self.longest)
        return crop.mask_on_scan(self._grown(crop.image, crop.seeds(self.radius_mm)) == OBJECT)

    def _grown(self, image: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        from slicer import vtkImageGrowCutSegment
        from vtkmodules.util.numpy_support import vtk_to_numpy

        if UNKNOWN not in seeds:
            return seeds
        # The filter grows neither from nor into the outermost voxels: seeds there, our background, would do nothing.
        growCut = vtkImageGrowCutSegment()
        growCut.SetIntensityVolume(_vtkImage(np.pad(image, 1, mode="edge")))
        growCut.SetSeedLabelVolume(_vtkImage(np.pad(seeds, 1)))
        growCut.SetDistancePenalty(self.locality)
        growCut.Update()
        grown = vtk_to_numpy(growCut.GetOutput().GetPointData().GetScalars())
        return grown.reshape([n + 2 for n in image.shape])[1:-1, 1:-1, 1:-1]


def _vtkImage(array: np.ndarray) -> Any:
    from vtkmodules.util.numpy_support import numpy_to_vtk
    from vtkmodules.vtkCommonDataModel import vtkImageData

    image = vtkImageData()
    image.SetDimensions(*reversed(array.shape))
    image.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(array).reshape(-1), deep=True))
    return image
