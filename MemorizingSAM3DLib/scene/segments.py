"""Masks on the scan's grid to segments, through the Segment Editor's logic, and back.

What Slicer promises for every editing tool holds for us because `vtkSlicerSegmentEditorLogic.ModifySegmentByLabelmap`
does the writing: the editable area, the editable intensity range and the overwrite mode that the user has set in the
Segment Editor are respected, and segments that share a labelmap with ours are separated from it when they overlap."""

from __future__ import annotations

from typing import Any

import numpy as np

from MemorizingSAM3DLib.engine.errors import OutputError, VolumeError
from MemorizingSAM3DLib.engine.geometry import Box
from MemorizingSAM3DLib.engine.packed_mask import NOWHERE, PackedMask
from MemorizingSAM3DLib.scene.alignment import alignSegmentation
from MemorizingSAM3DLib.scene.grids import (
    boxOfExtent,
    imageOnGrid,
    matchesGrid,
    relativeSlices,
    resampledTo,
    tightBox,
    voxelsOf,
)
from MemorizingSAM3DLib.scene.locks import lockedSegments
from MemorizingSAM3DLib.scene.neighbours import TakenVoxels, layersOf
from MemorizingSAM3DLib.scene.volumes import checkScan

# Okabe and Ito's colours but for the two that mark clicks (scene/prompts.py).
_PALETTE = (
    (240 / 255, 228 / 255, 66 / 255),
    (86 / 255, 180 / 255, 233 / 255),
    (204 / 255, 121 / 255, 167 / 255),
    (0.0, 114 / 255, 178 / 255),
    (230 / 255, 159 / 255, 0.0),
)
_NOTHING = np.zeros((0, 0, 0), dtype=bool)
_EDITOR_NODE_TAG = "MemorizingSAM3D"
_USER_EDITOR_NODE_TAG = "SegmentEditor"


def createSegmentation(volumeNode: Any, name: str) -> Any:
    """Adds a segmentation in the scan's geometry to the scene, below the scan's parent transform if it has one.

    Returns:
        vtkMRMLSegmentationNode, binary labelmap as source representation.

    Raises:
        VolumeError: the volume node is not a scan that can be segmented.
    """
    import slicer

    checkScan(volumeNode)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.CreateDefaultDisplayNodes()
    # The same parent before the geometry is taken: then the labelmap's lattice is the scan's own, whatever the
    # transform, and both move together.
    node.SetAndObserveTransformNodeID(volumeNode.GetTransformNodeID())
    node.SetReferenceImageGeometryParameterFromVolumeNode(volumeNode)
    return node


def addSegment(segmentationNode: Any, name: str, color: tuple[float, float, float] | None = None) -> str:
    """Adds an empty segment.

    Args:
        color: red, green, blue in 0..1; None for the next of a palette that can be told apart with any colour vision.

    Returns:
        the segment's ID.

    Raises:
        OutputError: the segmentation is no longer in the scene.
    """
    _checkSegmentation(segmentationNode)
    segmentation = segmentationNode.GetSegmentation()
    color = color or _PALETTE[segmentation.GetNumberOfSegments() % len(_PALETTE)]
    segmentID = segmentation.AddEmptySegment("", name, list(color))
    if not segmentID:
        raise OutputError("Slicer could not add a segment.", "Save your work and restart Slicer.")
    _placeOnGrid(segmentationNode, segmentID)
    return str(segmentID)


def maskFromSegment(segmentationNode: Any, segmentID: str, volumeNode: Any) -> np.ndarray:
    """A segment's voxels on the scan's grid.

    A segment in another geometry, below another transform (non-linear ones too), or that only exists as closed surface
    is resampled to the scan's grid, nearest neighbour; an aligned one is copied.

    Returns:
        bool (K, J, I)

    Raises:
        OutputError: the segmentation or the segment no longer exists.
        VolumeError: not a scan; the scan itself below a non-linear transform.
    """
    voxels, box = _voxelsOnScan(segmentationNode, segmentID, volumeNode)
    mask = np.zeros(volumeNode.GetImageData().GetDimensions()[::-1], dtype=bool)
    mask[box.slices] = voxels
    return mask


def packedMaskFromSegment(segmentationNode: Any, segmentID: str, volumeNode: Any) -> PackedMask:
    """As `maskFromSegment`, packed: an aligned segment costs its own extent, not the scan's."""
    return PackedMask.of(*_voxelsOnScan(segmentationNode, segmentID, volumeNode))


def _voxelsOnScan(segmentationNode: Any, segmentID: str, volumeNode: Any) -> tuple[np.ndarray, Box]:
    import slicer

    checkScan(volumeNode)
    segment = _segment(segmentationNode, segmentID)
    whole = Box.whole(volumeNode.GetImageData().GetDimensions()[::-1])
    labelmap = segmentationNode.GetBinaryLabelmapInternalRepresentation(segmentID)
    if labelmap is not None and boxOfExtent(labelmap.GetExtent()).is_empty:
        return _NOTHING, NOWHERE  # at once: what lies on no lattice yet would be resampled to the whole scan
    if labelmap is not None and _isAligned(labelmap, segmentationNode, volumeNode):
        box = boxOfExtent(labelmap.GetExtent()).intersection(whole)
        return (_NOTHING, NOWHERE) if box.is_empty else (voxelsOf(labelmap, box) == segment.GetLabelValue(), box)
    image = slicer.vtkOrientedImageData()
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    if not logic.GetSegmentBinaryLabelmapRepresentation(segmentationNode, segmentID, image, True):
        return _NOTHING, NOWHERE  # a segment without any representation: nothing was drawn yet
    return voxelsOf(resampledTo(image, imageOnGrid(volumeNode)), whole) > 0, whole


class SegmentWriter:
    """Keeps one segment equal to a session's mask, as far as the user's masking settings let it.

    When the Segment Editor works on this segmentation, its settings (editable area, intensity range, overwrite mode)
    hold, read anew at every write. Otherwise all is editable and neighbours are not overwritten. What is selected in
    the Segment Editor is left alone.

    Voxels of locked segments are never taken, whatever the mode (scene/locks.py).

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
        _segment(segmentationNode, segmentID)
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
        _segment(self._segmentationNode, self._segmentID)
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


def _placeOnGrid(segmentationNode: Any, segmentID: str) -> None:
    """Gives a new segment's empty labelmap the segmentation's lattice.

    Slicer leaves it on one of 1 mm along the axes. When it merges labelmaps, which it does each time it saves them, it
    may resample all of them to that of the first, even if that is empty.
    """
    import slicer
    from vtkmodules.vtkCommonMath import vtkMatrix4x4

    converter, matrix, lattice = slicer.vtkSegmentationConverter, vtkMatrix4x4(), slicer.vtkOrientedImageData()
    parameter = converter.GetReferenceImageGeometryParameterName()
    geometry = segmentationNode.GetSegmentation().GetConversionParameter(parameter)
    labelmap = segmentationNode.GetBinaryLabelmapInternalRepresentation(segmentID)
    if labelmap is None or not boxOfExtent(labelmap.GetExtent()).is_empty or not geometry:
        return
    if converter.DeserializeImageGeometry(geometry, lattice, False):
        lattice.GetImageToWorldMatrix(matrix)
        labelmap.SetGeometryFromImageToWorldMatrix(matrix)


def _checkSegmentation(segmentationNode: Any) -> None:
    if segmentationNode is None or segmentationNode.GetScene() is None:
        raise OutputError("The segmentation is no longer in the scene.", "Choose or create a segmentation.")


def _segment(segmentationNode: Any, segmentID: str) -> Any:
    _checkSegmentation(segmentationNode)
    segment = segmentationNode.GetSegmentation().GetSegment(segmentID)
    if segment is None:
        raise OutputError(
            f"The segment is no longer in the segmentation '{segmentationNode.GetName()}'.",
            "Choose or create a segment.",
        )
    return segment


def _isAligned(labelmap: Any, segmentationNode: Any, volumeNode: Any) -> bool:
    try:
        grid = imageOnGrid(volumeNode, segmentationNode)
    except VolumeError:  # a non-linear transform between the two: resampled
        return False
    return matchesGrid(labelmap, grid)
