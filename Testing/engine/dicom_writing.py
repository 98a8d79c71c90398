"""DICOM files as tests need them: a series of slices, and enhanced multi-frame files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RLELossless, generate_uid

CT, MR, PT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.128"
ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4.1"
MODALITY = {CT: "CT", MR: "MR", PT: "PT", ENHANCED_MR: "MR"}
PATIENT = "Musterfrau^Erika"
AXIAL, SAGITTAL = (1, 0, 0, 0, 1, 0), (0, 1, 0, 0, 0, -1)


def _dataset(sop: str, frames: np.ndarray, series: str, study: str, syntax: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop, generate_uid()
    meta.TransferSyntaxUID = syntax
    one = FileDataset(None, {}, file_meta=meta, preamble=bytes(128))
    one.SOPClassUID, one.SOPInstanceUID = sop, meta.MediaStorageSOPInstanceUID
    one.StudyInstanceUID, one.SeriesInstanceUID, one.FrameOfReferenceUID = study, series, "1.2.3.4"
    one.PatientName, one.PatientID, one.Modality = PATIENT, "P1", MODALITY[sop]
    one.PatientBirthDate, one.PatientSex, one.StudyDate, one.StudyTime = "", "", "20260101", "120000"
    one.StudyID, one.AccessionNumber, one.ReferringPhysicianName, one.Manufacturer = "1", "", "", "us"
    one.SeriesNumber, one.InstanceNumber, one.PositionReferenceIndicator = 1, 1, ""
    one.Rows, one.Columns = frames.shape[-2:]
    one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
    one.BitsAllocated = one.BitsStored = 8 * frames.dtype.itemsize
    one.HighBit, one.PixelRepresentation = one.BitsStored - 1, int(frames.dtype.kind == "i")
    order = ">" if syntax == "1.2.840.10008.1.2.2" else "<"
    one.PixelData = np.ascontiguousarray(frames.astype(frames.dtype.newbyteorder(order))).tobytes()
    one["PixelData"].VR = "OW"
    return one


def write_series(
    folder: Path,
    slices: np.ndarray,
    positions: Sequence[Sequence[float]],
    spacing: tuple[float, float] = (2.0, 2.0),
    sop: str = CT,
    orientation: Sequence[float] = AXIAL,
    slopes: Sequence[float] | None = None,
    intercept: float = 0,
    syntax: str = ExplicitVRLittleEndian,
    change: Callable[[Dataset, int], Any] = lambda one, number: None,
    names: str = "{:04d}.dcm",
    uid: str = "",
) -> Path:
    """Slices (n, rows, columns) at LPS positions; `spacing` is that of rows and of columns. Returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    series, study = uid or generate_uid(), "1.2.826.0.1.3680043.8.498.77"
    for number, (pixels, position) in enumerate(zip(slices, positions, strict=True)):
        one = _dataset(sop, pixels, series, study, ExplicitVRLittleEndian if syntax == RLELossless else syntax)
        one.InstanceNumber, one.PixelSpacing, one.SliceThickness = number + 1, list(spacing), 3
        one.ImagePositionPatient = [float(value) for value in position]
        one.ImageOrientationPatient = [float(value) for value in orientation]
        one.RescaleSlope, one.RescaleIntercept = str(slopes[number] if slopes else 1), str(intercept)
        one.SeriesDescription = f"thorax {PATIENT.split('^')[0]}"
        change(one, number)
        if syntax == RLELossless:
            one.compress(RLELossless)
        one.save_as(folder / names.format(number), enforce_file_format=True)
    return folder


def write_enhanced(
    path: Path,
    frames: np.ndarray,
    positions: Sequence[Sequence[float] | None],
    spacing: tuple[float, float] = (2.0, 2.0),
    scaling: Sequence[tuple[float, float]] | None = None,
    times: Sequence[int] | None = None,
) -> Path:
    """An enhanced MR file whose frames say where they lie; None: that one does not."""
    one = _dataset(ENHANCED_MR, frames, generate_uid(), generate_uid(), ExplicitVRLittleEndian)
    one.NumberOfFrames = len(frames)
    shared, measures, plane = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = list(spacing), 3
    plane.ImageOrientationPatient = list(AXIAL)
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [plane]
    one.SharedFunctionalGroupsSequence, groups = [shared], []
    for number, position in enumerate(positions):
        group, content = Dataset(), Dataset()
        content.DimensionIndexValues, content.StackID, content.InStackPositionNumber = [1, number + 1], "1", number + 1
        if times is not None:
            content.TemporalPositionIndex = times[number]
        group.FrameContentSequence = [content]
        if position is not None:
            place = Dataset()
            place.ImagePositionPatient = [float(value) for value in position]
            group.PlanePositionSequence = [place]
        if scaling is not None:
            values = Dataset()
            values.RescaleSlope, values.RescaleIntercept = map(str, scaling[number])
            values.RescaleType = "US"
            group.PixelValueTransformationSequence = [values]
        groups.append(group)
    one.PerFrameFunctionalGroupsSequence = groups
    path.parent.mkdir(parents=True, exist_ok=True)
    one.save_as(path, enforce_file_format=True)
    return path
