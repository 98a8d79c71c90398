"""What a file or folder says of a scan, as the readers hand it to `Volume`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

#: Scaling that takes LPS (ITK, DICOM) to RAS (Slicer, NIfTI) and back.
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class NiftiForms:
    """The fields of a NIfTI header that say where its voxels lie, kept so that masks get the very same ones.

    Attributes:
        fields: header field -> value, as the scan's header has them: pixdim, codes, quaternion, offsets, rows, units.
    """

    fields: dict[str, np.ndarray] = field(repr=False)


@dataclass(frozen=True)
class ScanSource:
    """Where a scan was read from.

    Attributes:
        path: what was named. None: not from a file.
        notes: what the user should know of it, a sentence or two each.
        forms: of a NIfTI file. dicom_files: of a DICOM series in the order of the slices, or one multi-frame file.
        frames: numbers (from 0) of the frames of a multi-frame file, in the order of the slices.
        is_placed: whether the file says where the scan lies.
    """

    path: Path | None = None
    notes: tuple[str, ...] = ()
    forms: NiftiForms | None = None
    dicom_files: tuple[Path, ...] = ()
    frames: tuple[int, ...] = ()
    is_placed: bool = True


@dataclass(frozen=True, eq=False)
class ScanRecord:
    """Voxels of any dimension, (K, J, I) where they are a scan, with their IJK-to-RAS matrix."""

    array: np.ndarray
    ijk_to_ras: np.ndarray
    modality: str | None
    source: ScanSource
