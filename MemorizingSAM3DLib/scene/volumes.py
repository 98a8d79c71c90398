"""Scalar volume nodes to engine volumes, and files to volume nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from MemorizingSAM3DLib.engine.errors import VolumeError
from MemorizingSAM3DLib.engine.geometry import Volume
from MemorizingSAM3DLib.engine.intensity import guess_modality
from MemorizingSAM3DLib.scene.messages import capturedMessages
from MemorizingSAM3DLib.scene.read_anew import putRight

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
