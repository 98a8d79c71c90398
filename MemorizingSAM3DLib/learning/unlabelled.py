"""Scans without labels, of which supervoxels and the body are the only structures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..engine.geometry import Volume
from .cases import FOREGROUND, Case
from .manifest import DataError


def read_unlabelled(folder: Path) -> list[Case]:
    """All NIfTI scans (``*.nii.gz``) below a folder, as cases whose one structure is the body.

    Raises:
        DataError: there is none. VolumeError: one cannot be read.
    """
    paths = sorted(path for path in folder.rglob("*.nii.gz") if path.name != "label.nii.gz")
    if not paths:
        raise DataError(f"There is no scan (.nii.gz) below {folder}.", "Check the folder.")
    return [_case(path, path.relative_to(folder).as_posix()) for path in paths]


def _case(path: Path, name: str) -> Case:
    scan = Volume.from_file(path)
    volume = Volume.from_sitk(sitk.DICOMOrient(scan.to_sitk(), "LPS"), scan.believed_modality)
    voxels = np.ascontiguousarray(volume.array.transpose(2, 1, 0)[::-1, ::-1])  # RAS, as the cases are held
    r, a, s = volume.spacing
    modality = volume.modality or "MR"
    return Case(name, "unlabelled", modality, voxels, np.zeros(voxels.shape, np.uint8), (r, a, s), {FOREGROUND: "body"})
