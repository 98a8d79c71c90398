"""What the worker thread gets of a scan: its voxels and its own geometry, taken on the main thread without a copy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from MemorizingSAM3DLib.scene.volumes import checkScan, modalityOf


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
