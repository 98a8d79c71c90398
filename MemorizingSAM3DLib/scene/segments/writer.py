"""Voxels that our segment took from its neighbours, and that go back to them when it gives them up."""

from __future__ import annotations

from typing import Any

import numpy as np

from MemorizingSAM3DLib.engine.errors import OutputError, VolumeError
from MemorizingSAM3DLib.engine.geometry import Box
from MemorizingSAM3DLib.scene.scan import checkScan
from MemorizingSAM3DLib.scene.segments.oriented_images import (
    alignSegmentation,
    boxOfExtent,
    imageOnGrid,
    layersOf,
    matchesGrid,
    relativeSlices,
    tightBox,
    voxelsOf,
)
from MemorizingSAM3DLib.scene.segments.segmentation import lockedSegments, segmentOf


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


_EDITOR_NODE_TAG = "MemorizingSAM3D"
_USER_EDITOR_NODE_TAG = "SegmentEditor"


class SegmentWriter:
    """Keeps one segment equal to a session's mask, as far as the user's masking settings let it.

    When the Segment Editor works on this segmentation, its settings (editable area, intensity range, overwrite mode)
    hold, read anew at every write. Otherwise all is editable and neighbours are not overwritten. What is selected in
    the Segment Editor is left alone.

    Voxels of locked segments are never taken, whatever the mode (scene/segments/segmentation.py).

    Where the overwrite mode lets our segment take voxels of a neighbour, the writer remembers them and hands them back
    as soon as the mask gives them up: a click that grew too far and is undone leaves the neighbour as it was.

    Args:
        segmentationNode: vtkMRMLSegmentationNode; an empty one gets the scan's geometry.
        segmentID: the segment to write.
        volumeNode: the scan on whose grid the masks are.

    Raises:
        OutputError: the segmentation or the segment does not exist.
        VolumeError: not a scan; what is drawn in the segmentation is on another grid than the scan's; a transform
            between
            the two is not linear.
    """

    def __init__(self, segmentationNode: Any, segmentID: str, volumeNode: Any) -> None:
        import slicer

        checkScan(volumeNode)
        segmentOf(segmentationNode, segmentID)
        self._segmentationNode = segmentationNode
        self._segmentID = segmentID
        self._volumeNode = volumeNode
        self._shape = tuple(volumeNode.GetImageData().GetDimensions()[::-1])
        self._logic = slicer.vtkSlicerSegmentEditorLogic()
        self._logic.SetMRMLScene(slicer.mrmlScene)
        self._taken = TakenVoxels(segmentationNode.GetSegmentation(), segmentID, self._shape)
        self._grid = imageOnGrid(volumeNode, segmentationNode)
        self.note = alignSegmentation(segmentationNode, volumeNode)

    def write(self, mask: np.ndarray, box: Box | None = None) -> Box:
        """Makes the segment equal to the mask inside the box; outside nothing changes.

        Only voxels that differ are handed to Slicer, so the cost is that of the box, not of the scan.

        Args:
            mask: bool (K, J, I) on the scan's grid.
            box: where to look for differences; None for the whole scan.

        Returns:
            the box of the voxels that were handed to Slicer, empty if none differ. Slicer may have refused some:
            masking.

        Raises:
            OutputError: the segmentation, the segment or the scan was removed from the scene.
            VolumeError: scan and segmentation were moved relative to each other.
            ValueError: the mask has another shape than the scan.
        """
        if mask.shape != self._shape:
            raise ValueError(f"A mask of shape {mask.shape} cannot be written onto a scan of shape {self._shape}.")
        box = Box.whole(self._shape) if box is None else box.clipped(self._shape)
        return self.writeVoxels(mask[box.slices], box)

    def writeVoxels(self, wanted: np.ndarray, box: Box) -> Box:
        """As `write`, given the mask's voxels in the box alone: bool, of the box's shape; the box within the scan."""
        self._check()
        if box.is_empty:
            return box
        wanted = np.asarray(wanted, dtype=bool)
        present = self._present(box)
        added = wanted & ~present & ~self._lockedVoxels(box)
        removed = present & ~wanted
        changed = tightBox(added | removed, box)
        if changed.is_empty:
            return changed
        wasModifying = self._segmentationNode.StartModify()
        try:
            editorNode = self._configuredEditorNode()
            self._modify(self._segmentID, removed, box, self._logic.ModificationModeRemove)
            self._giveBack(removed, box, editorNode)
            overwrites = editorNode.GetOverwriteMode() != editorNode.OverwriteNone
            before = self._taken.holders(added, box) if overwrites else {}
            self._modify(self._segmentID, added, box, self._logic.ModificationModeAdd)
            if before:
                self._taken.remember(before, self._taken.holders(added, box))
        finally:
            self._segmentationNode.EndModify(wasModifying)
        return changed

    def _check(self) -> None:
        segmentOf(self._segmentationNode, self._segmentID)
        if self._volumeNode.GetScene() is None:
            raise OutputError("The scan was removed from the scene.", "Load it again and start a new segment.")
        grid = imageOnGrid(self._volumeNode, self._segmentationNode)
        if matchesGrid(grid, self._grid):
            return
        try:  # both may have been moved alike, one by a transform above it and the other by a hardened one
            alignSegmentation(self._segmentationNode, self._volumeNode)
        except VolumeError as error:
            raise VolumeError(
                f"The scan '{self._volumeNode.GetName()}' and the segmentation '{self._segmentationNode.GetName()}' "
                "were moved relative to each other.",
                "Put both below the same transform in the Transforms module, or start a new segmentation.",
            ) from error
        self._grid = grid

    def _configuredEditorNode(self) -> Any:
        """Our own editor node with the user's masking settings, so that the user's selection does not jump about."""
        import slicer

        scene = slicer.mrmlScene
        node = scene.GetSingletonNode(_EDITOR_NODE_TAG, "vtkMRMLSegmentEditorNode")
        if node is None:
            node = slicer.vtkMRMLSegmentEditorNode()
            node.SetSingletonTag(_EDITOR_NODE_TAG)
            node.SetName("MemorizingSAM3D Segment Editor")
            node.SetHideFromEditors(True)
            node.SetSaveWithScene(False)
            node = scene.AddNode(node)
        user = scene.GetSingletonNode(_USER_EDITOR_NODE_TAG, "vtkMRMLSegmentEditorNode")
        if user is not None and user.GetSegmentationNode() == self._segmentationNode:
            node.SetAndObserveSourceVolumeNode(user.GetSourceVolumeNode() or self._volumeNode)
            node.SetMaskMode(user.GetMaskMode())
            node.SetMaskSegmentID(user.GetMaskSegmentID())
            node.SetSourceVolumeIntensityMask(user.GetSourceVolumeIntensityMask())
            node.SetSourceVolumeIntensityMaskRange(user.GetSourceVolumeIntensityMaskRange())
            node.SetOverwriteMode(user.GetOverwriteMode())
        else:
            node.SetAndObserveSourceVolumeNode(self._volumeNode)
            node.SetMaskMode(slicer.vtkMRMLSegmentationNode.EditAllowedEverywhere)
            node.SetSourceVolumeIntensityMask(False)
            node.SetOverwriteMode(node.OverwriteNone)
        node.SetAndObserveSegmentationNode(self._segmentationNode)
        node.SetSelectedSegmentID(self._segmentID)
        self._logic.SetSegmentEditorNode(node)
        return node

    def _modify(self, segmentID: str, voxels: np.ndarray, box: Box, mode: int, bypassMasking: bool = False) -> None:
        """voxels: bool, of the box's shape."""
        tight = tightBox(voxels, box)
        if tight.is_empty:
            return
        within = relativeSlices(tight, box)
        # The lattice's origin stays the scan's and only the extent is the box's: Slicer compares origins when it masks.
        image = imageOnGrid(self._volumeNode, self._segmentationNode, box=tight, voxels=voxels[within])
        unused = [0, -1, 0, -1, 0, -1]
        self._logic.ModifySegmentByLabelmap(self._segmentationNode, segmentID, image, mode, unused, True, bypassMasking)

    def _present(self, box: Box) -> np.ndarray:
        labelmap = self._segmentationNode.GetBinaryLabelmapInternalRepresentation(self._segmentID)
        value = self._segmentationNode.GetSegmentation().GetSegment(self._segmentID).GetLabelValue()
        return np.zeros(box.shape, dtype=bool) if labelmap is None else voxelsOf(labelmap, box) == value

    def _lockedVoxels(self, box: Box) -> np.ndarray:
        """Where other, locked segments are: bool, of the box's shape."""
        segmentation = self._segmentationNode.GetSegmentation()
        locked = lockedSegments(segmentation) - {self._segmentID}
        found = np.zeros(box.shape, dtype=bool)
        for labelmap, segmentIDs in layersOf(segmentation) if locked else ():
            for segmentID in locked.intersection(segmentIDs):
                found |= voxelsOf(labelmap, box) == segmentation.GetSegment(segmentID).GetLabelValue()
        return found

    def holds(self, wanted: np.ndarray, box: Box) -> bool:
        """Whether the segment's voxels in the box are the wanted ones: False where masking refused some."""
        return bool(np.array_equal(self._present(box), wanted))

    def _giveBack(self, removed: np.ndarray, box: Box, editorNode: Any) -> None:
        if self._taken.isEmpty or not removed.any():
            return
        released = removed & ~self._present(box)  # masking may have kept some of them ours
        # The intensity mask holds even where masking is bypassed; what goes back overwrites nobody.
        intensityMask = editorNode.GetSourceVolumeIntensityMask()
        editorNode.SetSourceVolumeIntensityMask(False)
        try:
            for segmentID, voxels in self._taken.reclaim(released, box):
                self._modify(segmentID, voxels, box, self._logic.ModificationModeAdd, bypassMasking=True)
        finally:
            editorNode.SetSourceVolumeIntensityMask(intensityMask)
