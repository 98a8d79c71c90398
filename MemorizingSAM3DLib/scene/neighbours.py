"""Voxels that our segment took from its neighbours, and that go back to them when it gives them up."""

from __future__ import annotations

from typing import Any

import numpy as np

from MemorizingSAM3DLib.engine.geometry import Box
from MemorizingSAM3DLib.scene.grids import boxOfExtent, relativeSlices, tightBox, voxelsOf

LABELMAP = "Binary labelmap"  # vtkSegmentationConverter's name of the representation


class TakenVoxels:
    """Who held the voxels that a segment has overwritten.

    Slicer's overwrite modes erase a neighbour where our segment grows. With clicks that is too final: a segment that
    grew too far is corrected by the next click, but the neighbour would stay trimmed.

    Args:
        segmentation: vtkSegmentation
        segmentID: our segment.
        shape: (K, J, I) of the scan.
    """

    def __init__(self, segmentation: Any, segmentID: str, shape: tuple[int, ...]) -> None:
        self._segmentation = segmentation
        self._segmentID = segmentID
        self._shape = shape
        self._taken: dict[str, np.ndarray] = {}  # neighbour's segment ID -> sorted flat indices into the scan

    @property
    def isEmpty(self) -> bool:
        return not any(indices.size for indices in self._taken.values())

    def holders(self, voxels: np.ndarray, box: Box) -> dict[str, np.ndarray]:
        """Which neighbours hold the given voxels now.

        Args:
            voxels: bool, of the box's shape.

        Returns:
            neighbour's segment ID -> sorted flat indices into the scan of its voxels among the given ones.
        """
        tight = tightBox(voxels, box)
        found: dict[str, np.ndarray] = {}
        if tight.is_empty:
            return found
        chosen = voxels[relativeSlices(tight, box)]
        for labelmap, segmentIDs in layersOf(self._segmentation):
            others = [segmentID for segmentID in segmentIDs if segmentID != self._segmentID]
            if not others or boxOfExtent(labelmap.GetExtent()).intersection(tight).is_empty:
                continue
            labels = voxelsOf(labelmap, tight) * chosen
            for segmentID in others:
                held = labels == self._segmentation.GetSegment(segmentID).GetLabelValue()
                if held.any():
                    found[segmentID] = self._flatIndices(held, tight)
        return found

    def remember(self, before: dict[str, np.ndarray], after: dict[str, np.ndarray]) -> None:
        """Notes the voxels that neighbours held before our segment grew, and no longer hold after it."""
        for segmentID, held in before.items():
            lost = np.setdiff1d(held, after.get(segmentID, held[:0]), assume_unique=True)
            if lost.size:
                self._taken[segmentID] = np.union1d(self._taken.get(segmentID, lost[:0]), lost)

    def reclaim(self, released: np.ndarray, box: Box) -> list[tuple[str, np.ndarray]]:
        """The neighbours that get some of the released voxels back; these are forgotten here.

        Args:
            released: bool, of the box's shape: voxels that our segment has just given up.

        Returns:
            (neighbour's segment ID, its voxels as bool array of the box's shape), neighbours that still exist only.
        """
        returned = []
        indices = self._flatIndices(released, box) if self._taken else np.zeros(0, dtype=np.int64)
        for segmentID, taken in list(self._taken.items()):
            back = np.isin(indices, taken, assume_unique=True)
            if not back.any():
                continue
            self._taken[segmentID] = np.setdiff1d(taken, indices[back], assume_unique=True)
            if self._segmentation.GetSegment(segmentID) is not None:
                voxels = np.zeros(released.shape, dtype=bool)
                voxels[released] = back
                returned.append((segmentID, voxels))
        return returned

    def _flatIndices(self, voxels: np.ndarray, box: Box) -> np.ndarray:
        k, j, i = np.nonzero(voxels)
        return ((k + box.k0) * self._shape[1] + (j + box.j0)) * self._shape[2] + (i + box.i0)


def layersOf(segmentation: Any) -> list[tuple[Any, tuple[str, ...]]]:
    """The labelmaps of a vtkSegmentation, each with the IDs of the segments that share it."""
    layers = []
    for layer in range(segmentation.GetNumberOfLayers()):
        labelmap = segmentation.GetLayerDataObject(layer, LABELMAP)
        if labelmap is not None:
            layers.append((labelmap, tuple(segmentation.GetSegmentIDsForLayer(layer, LABELMAP))))
    return layers
