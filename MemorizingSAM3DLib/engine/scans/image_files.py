"""Reading image files and DICOM folders, with errors that tell the user what to do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import VolumeError
from .dicom_files import may_be_dicom, read_dicom
from .header_fields import unsaid
from .nifti_files import is_nifti, read_nifti
from .padding import finite
from .refusals import LOAD_WHOLE_SERIES, colours, four_dimensional, unreadable
from .scan_record import LPS_TO_RAS, ScanRecord, ScanSource


def read_scan(path: Path, series: str | None = None, volume: int | None = None, form: str | None = None) -> ScanRecord:
    """Read an image file, or a DICOM series.

    Args:
        path: a file, or a folder of DICOM files.
        series: of DICOM, see :func:`read_dicom`. volume: one of a 4D file or series, from 1. form: of NIfTI, "sform" or
            "qform".

    Raises:
        VolumeError: missing, unreadable, or see the readers.
    """
    path = Path(path)
    if not path.exists():
        raise VolumeError(f"{path} does not exist.", "Check the path, and that the drive is connected.")
    if is_nifti(path) and path.is_file():
        record = read_nifti(path, form, volume)
    elif may_be_dicom(path):
        return read_dicom(path, series, volume)
    else:
        record = _read_by_itk(path, volume)
    if form is not None and record.source.forms is None:
        raise VolumeError(f"{path.name} is no NIfTI file and has no sform or qform.", "Leave out --form.")
    if series is not None:
        raise VolumeError(f"{path.name} is no DICOM file and has no series.", "Leave out --series.")
    return record


def _read_by_itk(path: Path, volume: int | None) -> ScanRecord:
    """NRRD, MetaImage and whatever else ITK reads."""
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise unreadable(path) from error
    if volume is not None:
        image = _one_volume(image, volume, path)
    image = refuse_unless_scalar_3d(image)
    note = unsaid(path)
    source = ScanSource(path, (note,) if note else (), is_placed=note is None)
    return ScanRecord(sitk.GetArrayFromImage(image), ijk_to_ras_of(image), None, source)


def _one_volume(image: sitk.Image, volume: int, path: Path) -> sitk.Image:
    components = image.GetNumberOfComponentsPerPixel()
    count = components if image.GetDimension() == 3 else image.GetSize()[3] if image.GetDimension() == 4 else 1
    if not 1 <= volume <= count:
        raise VolumeError(f"{path.name} holds {count} volumes; there is no volume {volume}.", f"Choose 1 to {count}.")
    if components > 1:
        return sitk.VectorIndexSelectionCast(image, volume - 1)
    return image[:, :, :, volume - 1] if image.GetDimension() == 4 else image


def read_itk_image(path: Path) -> sitk.Image:
    """A file as a SimpleITK image, with its metadata. NIfTI is read as :func:`read_scan` does, the rest by ITK.

    Raises:
        RuntimeError: ITK cannot read it either.
    """
    if not is_nifti(path):
        return sitk.ReadImage(str(path))
    try:
        record = read_nifti(path)
    except VolumeError:  # damaged, or no scalar 3D scan: the caller judges what ITK makes of it
        return sitk.ReadImage(str(path))
    image = sitk.GetImageFromArray(finite(record.array, None))
    matrix = LPS_TO_RAS @ record.ijk_to_ras
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(matrix[:3, 3].tolist())
    image.SetDirection((matrix[:3, :3] / spacing).ravel().tolist())
    return image


def ijk_to_ras_of(image: sitk.Image) -> np.ndarray:
    """The (4, 4) matrix of a 3D SimpleITK image."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    matrix[:3, 3] = image.GetOrigin()
    return LPS_TO_RAS @ matrix


def refuse_unless_scalar_3d(image: sitk.Image) -> sitk.Image:
    """The image if it is scalar and 3D, or 4D with one time point; that time point then.

    Raises:
        VolumeError: colour or vector, 2D, 4D.
    """
    components, size = image.GetNumberOfComponentsPerPixel(), image.GetSize()
    if components > 1:
        raise colours(components)
    if image.GetDimension() == 4 and size[3] == 1:
        return image[:, :, :, 0]
    if image.GetDimension() == 4:
        raise four_dimensional(size[3])
    if image.GetDimension() != 3:
        raise VolumeError(f"The scan is a {image.GetDimension()}D image, size {size}.", LOAD_WHOLE_SERIES)
    return image
