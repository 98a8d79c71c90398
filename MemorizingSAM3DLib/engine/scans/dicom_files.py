"""A scan out of DICOM: a folder, any file of a series, a multi-frame file or a DICOMDIR."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import VolumeError
from .dicom_headers import Header, Series, files_in, header_of, is_dicom, series_of, slice_of
from .dicom_multiframe import read_multiframe
from .scan_record import LPS_TO_RAS, ScanRecord, ScanSource
from .slice_stack import NOT_PLACED, stacked

_ENDINGS = (".dcm", ".dicom", ".ima")


def may_be_dicom(path: Path) -> bool:
    """Whether a path is one of this module: a folder, a DICOMDIR, a file with DICOM's preamble or name."""
    return path.is_dir() or path.name.lower().endswith(_ENDINGS) or is_dicom(path)


def list_series(path: Path) -> list[Series]:
    """The series of scans in a folder or DICOMDIR, or the series that a file belongs to.

    Raises:
        VolumeError: there is none.
    """
    is_directory_file = path.name.upper() == "DICOMDIR"
    if path.is_dir() or is_directory_file:
        folder = path.parent if is_directory_file else path
        found = [series for series in series_of(files_in(folder)) if series.is_scan]
        if not found:
            raise VolumeError(
                f"{folder.name} holds no DICOM series with images to segment.",
                "Choose the folder in which the DICOM files lie.",
            )
        return found
    header = header_of(path)
    if header is None:
        raise VolumeError(
            f"{path.name} cannot be read as a DICOM image: it is damaged, incomplete or holds no image.",
            "Choose a file of the images, or fetch the series again from the archive.",
        )
    if header.frames > 1:
        return [Series(header["series"], (header,))]
    return [series for series in series_of(files_in(path.parent)) if _holds(series, path)]


def _holds(series: Series, path: Path) -> bool:
    return any(header.path == path for header in series.headers)


def read_dicom(path: Path, series: str | None = None, volume: int | None = None) -> ScanRecord:
    """Reads one series.

    Args:
        path: a folder, a DICOMDIR, or a file; of a slice its whole series is read.
        series: which of several: its number in the list of the message, or its UID. volume: which of several volumes
            at the same places, from 1.

    Raises:
        VolumeError: none or several series, geometry that is missing, irregular or contradictory, pixels that cannot
            be decoded.
    """
    chosen = _chosen(list_series(path), series, path.name)
    name = path.name if path.is_dir() or len(chosen.headers) > 1 else chosen.headers[0].path.name
    if not chosen.is_scan:
        raise VolumeError(
            f"{name} is a DICOM object of the modality {chosen.modality}, not a scan.", "Choose the images themselves."
        )
    multiframe = [header for header in chosen.headers if header.frames > 1]
    if len(multiframe) > 1:
        raise VolumeError(
            f"The series in {name} is made of {len(multiframe)} multi-frame files, each a scan of its own.",
            f"Name one of the files, such as {multiframe[0].path.name}.",
        )
    if multiframe:
        return read_multiframe(multiframe[0], volume)
    record = _read_slices(chosen, name, volume)
    if not path.is_dir() and path.name.upper() != "DICOMDIR" and len(chosen.headers) > 1:
        note = f"{path.name} is one slice; its whole series of {len(chosen.headers)} files is read."
        return replace(record, source=replace(record.source, notes=(note, *record.source.notes)))
    return record


def _chosen(found: list[Series], wanted: str | None, name: str) -> Series:
    listed = "; ".join(f"{number}: {series.title}" for number, series in enumerate(found, 1))
    if wanted is None and len(found) == 1:
        return found[0]
    if wanted is None:
        raise VolumeError(
            f"{name} holds {len(found)} DICOM series. {listed}.", f"Choose one: --series 1 to --series {len(found)}."
        )
    matching = [series for series in found if series.uid == wanted.strip()]
    if wanted.strip().isdecimal() and 1 <= int(wanted) <= len(found):
        return found[int(wanted) - 1]
    if len(matching) != 1:
        raise VolumeError(f"{name} holds no series '{wanted}'. {listed}.", f"Choose --series 1 to {len(found)}.")
    return matching[0]


def _read_slices(series: Series, name: str, volume: int | None) -> ScanRecord:
    headers, notes = _without_copies(series.headers)
    if any(header["samples"] not in ("", "1") for header in headers):
        raise VolumeError(
            f"{name} is a series of colour images.", "Choose a series of CT, MR or PET images with one value a pixel."
        )
    slices = [slice_of(header, name) for header in headers]
    if len(headers) == 1:
        order: tuple[int, ...] = (0,)
        matrix = _matrix_of_one(headers[0], name)
    else:
        stack = stacked(slices, name, volume)
        order, matrix = stack.order, stack.ijk_to_ras
    files = tuple(headers[number].path for number in order)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([str(file) for file in files])
    stored = {headers[number].stored for number in order}
    if len(stored) > 1:  # ITK takes the type of the first slice for all
        wide = any(bits not in ("8", "16") for _, _, _, bits in stored)
        reader.SetOutputPixelType(sitk.sitkFloat64 if wide else sitk.sitkFloat32)
    try:
        array = sitk.GetArrayFromImage(reader.Execute())
    except RuntimeError as error:
        raise VolumeError(
            f"The pixels of {name} cannot be read: a file is damaged, incomplete or packed in an unknown way.",
            "Fetch the series again from the archive.",
        ) from error
    return ScanRecord(array, matrix, series.modality, ScanSource(files[0].parent, notes, dicom_files=files))


def _without_copies(headers: tuple[Header, ...]) -> tuple[list[Header], tuple[str, ...]]:
    """One file of each SOP instance: the same image is often sent twice."""
    kept = {header["sop"] or str(header.path): header for header in reversed(headers)}
    if len(kept) == len(headers):
        return list(headers), ()
    count = len(headers) - len(kept)
    return list(reversed(kept.values())), (f"{count} files are copies of others and are left out.",)


def _matrix_of_one(header: Header, name: str) -> np.ndarray:
    """The matrix of a single slice, which says its thickness only."""
    only = slice_of(header, name)
    thickness = next((numbers[0] for field in ("spacing", "thickness") if (numbers := header.numbers(field))), 0.0)
    if thickness <= 0:
        raise VolumeError(f"{name} is one slice that does not say its thickness (SliceThickness).", NOT_PLACED)
    matrix = np.eye(4)
    matrix[:3, 0] = only.orientation[:3] * only.pixel_spacing[1]
    matrix[:3, 1] = only.orientation[3:] * only.pixel_spacing[0]
    matrix[:3, 2] = np.cross(only.orientation[:3], only.orientation[3:]) * thickness
    matrix[:3, 3] = only.position
    return LPS_TO_RAS @ matrix
