"""Reading image files and DICOM folders with SimpleITK, with errors that tell the user what to do."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import VolumeError

RESAMPLE_IN_SLICER = (
    "In Slicer, harden its transform, resample it with 'Resample Scalar/Vector/DWI Volume' or 'Crop Volume', and "
    "segment the result."
)
LOAD_WHOLE_SERIES = "Load the whole series, not single slices: a 3D scan is needed."

_IMAGE_POSITION = "0020|0032"
_MODALITY = "0008|0060"
#: Slices may be off the regular, perpendicular stack by this part of their distance.
_SLICE_TOLERANCE = 0.1


def read_image(path: Path) -> tuple[sitk.Image, str | None]:
    """Read an image file, or a folder that holds one DICOM series.

    Returns:
        The image in LPS, of any dimension, and its DICOM modality if the header has one.

    Raises:
        VolumeError: missing, unreadable, no series or several in the folder, slices irregular or tilted.
    """
    if not path.exists():
        raise VolumeError(f"{path} does not exist.", "Check the path, and that the drive is connected.")
    try:
        if path.is_dir():
            return _read_series(path)
        image = sitk.ReadImage(str(path))
        if _is_cut_short(path, image):
            raise RuntimeError(f"{path} ends before its last voxel.")
    except RuntimeError as error:
        if "orthonormal" in str(error):
            raise VolumeError(f"{path.name} is sheared: its axes are not perpendicular.", RESAMPLE_IN_SLICER) from error
        raise VolumeError(
            f"{path.name} cannot be read as an image: it is damaged, incomplete or of an unknown format.",
            "Check that it opens in Slicer, copy or download it again, or save it there as .nrrd or .nii.gz.",
        ) from error
    return image, _modality(image.GetMetaData(_MODALITY) if image.HasMetaDataKey(_MODALITY) else "")


def refuse_unless_scalar_3d(image: sitk.Image) -> sitk.Image:
    """The image if it is scalar and 3D, or 4D with one time point; that time point then.

    Raises:
        VolumeError: colour or vector, 2D, 4D.
    """
    components, size = image.GetNumberOfComponentsPerPixel(), image.GetSize()
    if components > 1:
        raise VolumeError(
            f"The scan is a colour or vector image with {components} components per voxel.",
            "Convert it with Slicer's 'Vector to Scalar Volume' module and segment the result.",
        )
    if image.GetDimension() == 4 and size[3] == 1:
        return image[:, :, :, 0]
    if image.GetDimension() == 4:
        raise VolumeError(
            f"The scan is 4D, with {size[3]} time points.",
            "Choose one time point (Slicer's 'Sequences' module) and segment that.",
        )
    if image.GetDimension() != 3:
        raise VolumeError(f"The scan is a {image.GetDimension()}D image, size {size}.", LOAD_WHOLE_SERIES)
    return image


def _is_cut_short(path: Path, image: sitk.Image) -> bool:
    """Whether a NIfTI file ends before its last voxel: ITK then returns arbitrary voxels without an error."""
    if path.suffix not in (".nii", ".gz") or not image.HasMetaDataKey("vox_offset"):
        return False
    bits = image.GetNumberOfPixels() * int(image.GetMetaData("bitpix"))
    needed = int(float(image.GetMetaData("vox_offset"))) + bits // 8
    if path.suffix == ".nii":
        return path.stat().st_size < needed
    with path.open("rb") as file:
        file.seek(-4, 2)
        # A gzip file ends with the length of its content, modulo 2^32 (RFC 1952).
        if int.from_bytes(file.read(), "little") == needed % 2**32:
            return False
    # Files of several gzip members, or with something behind the voxels, are counted byte by byte.
    try:
        with gzip.open(path) as content:
            return sum(len(chunk) for chunk in iter(lambda: content.read(2**22), b"")) < needed
    except (EOFError, OSError):
        return True


def _read_series(folder: Path) -> tuple[sitk.Image, str | None]:
    series = sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
    if not series:
        raise VolumeError(f"{folder.name} holds no DICOM series.", "Choose the folder in which the DICOM files lie.")
    if len(series) > 1:
        raise VolumeError(
            f"{folder.name} holds {len(series)} DICOM series.",
            "Choose a folder with one series, or load the series in Slicer's 'DICOM' module.",
        )
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), series[0]))
    reader.MetaDataDictionaryArrayUpdateOn()
    image = reader.Execute()
    _refuse_irregular_slices(reader, image, folder.name)
    return image, _modality(reader.GetMetaData(0, _MODALITY) if reader.HasMetaDataKey(0, _MODALITY) else "")


def _refuse_irregular_slices(reader: sitk.ImageSeriesReader, image: sitk.Image, name: str) -> None:
    """ITK stacks slices at the mean distance along their normal; say so when a slice really lies elsewhere."""
    count = len(reader.GetFileNames())
    if count < 2 or not all(reader.HasMetaDataKey(n, _IMAGE_POSITION) for n in range(count)):
        return
    recorded = np.array([reader.GetMetaData(n, _IMAGE_POSITION).split("\\") for n in range(count)], dtype=np.float64)
    stacked = np.array([image.TransformIndexToPhysicalPoint((0, 0, n)) for n in range(count)])
    if np.linalg.norm(recorded - stacked, axis=1).max() > _SLICE_TOLERANCE * image.GetSpacing()[2]:
        raise VolumeError(
            f"The slices of {name} are missing, unevenly spaced or tilted.",
            "Load the series in Slicer's 'DICOM' module with 'acquisition geometry regularization' set to 'harden'.",
        )


def _modality(recorded: str) -> str | None:
    return recorded.strip() or None
