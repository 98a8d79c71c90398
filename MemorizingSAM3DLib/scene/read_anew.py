"""A loaded volume compared with its file as the engine reads it: voxels and places are put right where they differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from MemorizingSAM3DLib.engine.geometry.affine import transformed
from MemorizingSAM3DLib.engine.geometry.image_files import read_scan
from MemorizingSAM3DLib.engine.geometry.nifti_files import is_nifti

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
