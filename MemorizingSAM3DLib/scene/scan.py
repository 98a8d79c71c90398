"""Scalar volume nodes to engine volumes, and files to volume nodes.

Points between the world and a scan's own RAS, below its parent transforms.

What the worker thread gets of a scan: its voxels and its own geometry, taken on the main thread without a copy.

A loaded volume compared with its file as the engine reads it: voxels and places are put right where they differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from MemorizingSAM3DLib.engine.errors import VolumeError
from MemorizingSAM3DLib.engine.geometry import Volume
from MemorizingSAM3DLib.engine.geometry.grids import transformed
from MemorizingSAM3DLib.engine.geometry.volume import FACE_TOLERANCE
from MemorizingSAM3DLib.engine.scans.image_files import read_scan
from MemorizingSAM3DLib.engine.scans.modality import guess_modality
from MemorizingSAM3DLib.engine.scans.nifti_files import is_nifti
from MemorizingSAM3DLib.scene.vtk_messages import capturedMessages

_SAME_PLACE_MM = 0.05


def putRight(volumeNode: Any, path: Path) -> None:
    """Gives a volume node what its file holds, where Slicer's reader made something else of it.

    That reader takes the qform of a NIfTI whose sform says something else, opens A.nii where A.nii.gz was named, and
    stacks the frames of multi-frame DICOM in the order of the file. Other formats are left as they are.

    Raises:
        VolumeError: the file is one that the engine refuses.
    """
    import slicer

    if not (path.is_dir() or is_nifti(path) or path.suffix.lower() == ".dcm"):
        return
    record = read_scan(path)
    array, matrix = _rightHanded(record.array, record.ijk_to_ras)
    loaded = slicer.util.arrayFromVolume(volumeNode)
    wrapped = slicer.util.vtkMatrixFromArray(np.eye(4))
    volumeNode.GetIJKToRASMatrix(wrapped)
    ijkToRas = slicer.util.arrayFromVTKMatrix(wrapped)
    ends = np.array(np.meshgrid(*[(0, n - 1) for n in array.shape[::-1]])).reshape(3, -1).T
    isInPlace = loaded.shape == array.shape and bool(
        np.abs(transformed(ijkToRas, ends) - transformed(matrix, ends)).max() < _SAME_PLACE_MM
    )
    if isInPlace and np.allclose(loaded, array, equal_nan=True):
        return
    volumeNode.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(matrix))
    slicer.util.updateVolumeFromArray(volumeNode, array)


def _rightHanded(array: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same voxels with right-handed axes, as Slicer keeps them."""
    if np.linalg.det(matrix[:3, :3]) > 0:
        return array, matrix
    turned = matrix.copy()
    turned[:3, 2] *= -1
    turned[:3, 3] += (len(array) - 1) * matrix[:3, 2]
    return np.ascontiguousarray(array[::-1]), turned


MODALITY_ATTRIBUTE = "DICOM.Modality"
_HARDEN = (
    "In the Transforms module press Harden on it, then resample the scan onto a regular grid with "
    "Resample Scalar/Vector/DWI Volume, and segment the resampled scan."
)


def volumeFromNode(volumeNode: Any) -> Volume:
    """The scan of a scalar volume node, in world RAS.

    Args:
        volumeNode: vtkMRMLScalarVolumeNode in a scene. Its parent transforms, nested or not, are part of the result's
            matrix, so that the result is where the user sees the scan.

    Returns:
        Volume whose array (K, J, I) shares the node's memory, in the node's own numeric type.

    Raises:
        VolumeError: no node, a node removed from the scene, without voxels, a labelmap, colour or vector volume, a
            sequence,
            below a non-linear transform, or anything that `Volume` refuses (sheared, NaN, ...).
    """
    import slicer

    checkScan(volumeNode)
    array = slicer.util.arrayFromVolume(volumeNode)
    return Volume(array=array, ijk_to_ras=ijkToWorld(volumeNode), modality=modalityOf(volumeNode))


def checkScan(volumeNode: Any) -> None:
    """Raises VolumeError, saying what to do, unless the node is a scalar volume with voxels that can be segmented."""
    if volumeNode is None:
        raise VolumeError("No scan is selected.", "Load or select the scan to segment.")
    name = volumeNode.GetName() or volumeNode.GetClassName()
    if volumeNode.GetScene() is None:
        raise VolumeError(f"The scan '{name}' is no longer in the scene.", "Select a scan that is loaded.")
    if volumeNode.IsA("vtkMRMLSequenceNode") or volumeNode.IsA("vtkMRMLMultiVolumeNode"):
        raise VolumeError(
            f"'{name}' is a sequence of volumes, not one scan.",
            "Select one frame: the volume that the Sequences module plays it into, or one frame exported from it.",
        )
    if not volumeNode.IsA("vtkMRMLVolumeNode"):
        raise VolumeError(f"'{name}' is not a volume.", "Select a scalar volume (CT, MR, PET).")
    image = volumeNode.GetImageData()
    isVector = not volumeNode.IsA("vtkMRMLScalarVolumeNode") or volumeNode.IsA("vtkMRMLVectorVolumeNode")
    if isVector or (image is not None and image.GetNumberOfScalarComponents() > 1):
        raise VolumeError(
            f"'{name}' has several values in each voxel (colour, vectors or tensors).",
            "Convert it to a scalar volume with the Vector to Scalar Volume module.",
        )
    if volumeNode.IsA("vtkMRMLLabelMapVolumeNode"):
        raise VolumeError(
            f"'{name}' is a labelmap, not a scan.",
            "Select the scan itself. If this is a scan that was loaded as labelmap, convert it in the Volumes module.",
        )
    if image is None or image.GetPointData().GetScalars() is None or image.GetNumberOfPoints() == 0:
        raise VolumeError(f"The scan '{name}' has no voxels.", "Check that its file could be read, and load it again.")


def ijkToWorld(volumeNode: Any) -> np.ndarray:
    """(4, 4) float64 matrix from voxel indices (i, j, k, 1) to world RAS mm, parent transforms included.

    Raises:
        VolumeError: a parent transform is not linear.
    """
    import slicer
    from vtkmodules.vtkCommonMath import vtkMatrix4x4

    matrix = vtkMatrix4x4()
    volumeNode.GetIJKToRASMatrix(matrix)
    return localToWorld(volumeNode) @ np.array(slicer.util.arrayFromVTKMatrix(matrix), dtype=np.float64)


def localToWorld(node: Any) -> np.ndarray:
    """(4, 4) float64 matrix of all parent transforms of a transformable node, from its own RAS to world RAS.

    Raises:
        VolumeError: one of the transforms is not linear, so that no matrix exists.
    """
    import slicer
    from vtkmodules.vtkCommonMath import vtkMatrix4x4

    parent = node.GetParentTransformNode()
    if parent is None:
        return np.eye(4)
    if not parent.IsTransformToWorldLinear():
        raise VolumeError(f"'{node.GetName()}' is below the non-linear transform '{parent.GetName()}'.", _HARDEN)
    matrix = vtkMatrix4x4()
    parent.GetMatrixTransformToWorld(matrix)
    return np.array(slicer.util.arrayFromVTKMatrix(matrix), dtype=np.float64)


def modalityOf(volumeNode: Any, guess: bool = True) -> str | None:
    """The DICOM modality ("CT", "MR", "PT", ...) of a volume node, None when nothing says so.

    In this order: the node's attribute, the DICOM series in the subject hierarchy, units of Hounsfield, and at last the
    intensities themselves (`guess_modality`). A wrong guess would window an MR as if it were a CT, so that the
    last step only answers when it is sure, and is left out without `guess`: it looks at all voxels."""
    import slicer

    modality = volumeNode.GetAttribute(MODALITY_ATTRIBUTE)
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(volumeNode.GetScene())
    if not modality and hierarchy is not None:
        item = hierarchy.GetItemByDataNode(volumeNode)
        if item:
            modality = hierarchy.GetItemAttribute(item, MODALITY_ATTRIBUTE)
    if modality:
        return str(modality).upper()
    units = volumeNode.GetVoxelValueUnits()
    if units is not None and (units.GetCodeValue() or "").lower() in ("hnsf'u", "[hnsf'u]", "hu"):
        return "CT"
    return guess_modality(slicer.util.arrayFromVolume(volumeNode)) if guess else None


def volumeNodeFromFile(path: str | Path, name: str | None = None) -> Any:
    """Loads a scan into the scene with Slicer's own reader; NIfTI and DICOM are put right where it errs.

    That reader keeps axes right-handed: of a scan stored left-handed it reverses the order of the slices, matrix and
    array alike. Compare with other files in world coordinates, not by index.

    Args:
        path: file (NIfTI, NRRD, MetaImage, DICOM, ...) or a folder with one DICOM series.
        name: the node's name; by default the file's without its extensions.

    Returns:
        vtkMRMLScalarVolumeNode with display node; window and level set from the data.

    Raises:
        VolumeError: no such file, not readable, several series in a folder, not a scalar volume.
    """
    import slicer
    from vtkmodules.vtkCommonCore import vtkStringArray

    path = Path(path).expanduser().resolve()
    if not path.exists():
        raise VolumeError(f"There is no file '{path}'.", "Check the path.")
    files = _seriesFiles(path) if path.is_dir() else [str(path)]
    fileList = vtkStringArray()
    for file in files if len(files) > 1 else []:
        fileList.InsertNextValue(file)
    automaticWindowLevel = 8
    singleFile = 4 if len(files) == 1 else 0
    name = name or path.name.split(".")[0] or path.name
    modality = _refuseUnlessOneScan(files[0], path.name)
    with capturedMessages():
        node = slicer.modules.volumes.logic().AddArchetypeVolume(
            files[0], name, automaticWindowLevel | singleFile, fileList
        )
    if node is None:
        raise VolumeError(
            f"'{path.name}' cannot be read as a volume.",
            "Use NIfTI, NRRD, MetaImage, or a folder with one DICOM series.",
        )
    try:
        checkScan(node)
        putRight(node, path)
    except VolumeError:
        slicer.mrmlScene.RemoveNode(node)
        raise
    if modality:
        node.SetAttribute(MODALITY_ATTRIBUTE, modality)
    return node


def _seriesFiles(folder: Path) -> list[str]:
    series = sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
    if len(series) != 1:
        found = f"{len(series)} DICOM series" if series else "no DICOM series"
        raise VolumeError(
            f"The folder '{folder.name}' holds {found}.", "Give the folder of exactly one series, or one file."
        )
    return list(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), series[0]))


def _refuseUnlessOneScan(file: str, name: str) -> str | None:
    """The DICOM modality in a file's header. Raises VolumeError for a 4D file, of which Slicer would load one frame."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(file)
    try:
        reader.ReadImageInformation()
    except RuntimeError:  # a format that Slicer reads and SimpleITK does not, or nothing at all: Slicer will say
        return None
    if any(size > 1 for size in reader.GetSize()[3:]):
        raise VolumeError(
            f"'{name}' holds {reader.GetSize()[3]} volumes, not one scan.",
            "Export the frame to segment into its own file.",
        )
    return reader.GetMetaData("0008|0060").strip() if reader.HasMetaDataKey("0008|0060") else None


Ras = tuple[float, float, float]


def gridOf(volumeNode: Any) -> tuple[float, ...]:
    """The IJK-to-RAS matrix of a volume in its own RAS, mm: 12 numbers, row by row without the last row."""
    from vtkmodules.vtkCommonMath import vtkMatrix4x4

    matrix = vtkMatrix4x4()
    volumeNode.GetIJKToRASMatrix(matrix)
    return tuple(matrix.GetElement(row, column) for row in range(3) for column in range(4))


class ScanFrame:
    """A scan's own RAS frame. Clicks are kept in it: whatever transform is put above, they stay in the anatomy.

    Args:
        volumeNode: vtkMRMLVolumeNode; its parent transform may change at any time and may be non-linear.
    """

    def __init__(self, volumeNode: Any) -> None:
        self._volumeNode = volumeNode

    def toWorld(self, ras: Ras) -> Ras:
        """World RAS, mm, of a point in the scan's own RAS, mm."""
        return self._transformed(ras, self._volumeNode.GetParentTransformNode(), None)

    def toScan(self, ras: Ras) -> Ras:
        """The scan's own RAS, mm, of a point in world RAS, mm."""
        return self._transformed(ras, None, self._volumeNode.GetParentTransformNode())

    def contains(self, ras: Ras) -> bool:
        """Whether a point in the scan's own RAS, mm, lies in one of its voxels, its outer faces included."""
        from vtkmodules.vtkCommonMath import vtkMatrix4x4

        toIJK = vtkMatrix4x4()
        self._volumeNode.GetRASToIJKMatrix(toIJK)
        ijk = toIJK.MultiplyPoint((*ras, 1.0))[:3]
        dimensions = self._volumeNode.GetImageData().GetDimensions()
        beyond = [max(-0.5 - index, index - (size - 0.5)) for index, size in zip(ijk, dimensions, strict=True)]
        return all(distance <= FACE_TOLERANCE for distance in beyond)  # NaN is not

    @staticmethod
    def _transformed(ras: Ras, source: Any, target: Any) -> Ras:
        import slicer
        from vtkmodules.vtkCommonTransforms import vtkGeneralTransform

        if source is target:
            return ras
        transform = vtkGeneralTransform()
        slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(source, target, transform)
        r, a, s = transform.TransformPoint(ras)
        return r, a, s


@dataclass(frozen=True, eq=False)
class ScanInput:
    """A scan in its own RAS, below its parent transforms, so that they may change at any time.

    Attributes:
        array: (K, J, I), sharing the node's memory and keeping it alive when the node goes.
        ijkToRas: (4, 4). modality: DICOM's word, None when nothing but the voxels says so.
    """

    array: np.ndarray
    ijkToRas: np.ndarray
    modality: str | None

    @classmethod
    def of(cls, volumeNode: Any) -> ScanInput:
        """Of a scalar volume node.

        Raises:
            VolumeError: it cannot be segmented. Its voxels are judged later, on the worker's thread.
        """
        import slicer
        from vtkmodules.vtkCommonMath import vtkMatrix4x4

        checkScan(volumeNode)
        matrix = vtkMatrix4x4()
        volumeNode.GetIJKToRASMatrix(matrix)
        ijkToRas = np.array(slicer.util.arrayFromVTKMatrix(matrix), dtype=np.float64)
        return cls(slicer.util.arrayFromVolume(volumeNode), ijkToRas, modalityOf(volumeNode, guess=False))
