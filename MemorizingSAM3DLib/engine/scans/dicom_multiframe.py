"""Multi-frame DICOM, read by pydicom: the frames are put where each says that it lies, whatever their order.

ITK stacks frames in the order of the file and takes one spacing for all.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from ..errors import VolumeError
from .dicom_headers import Header
from .scan_record import ScanRecord, ScanSource
from .slice_stack import NOT_PLACED, Slice, stacked


def read_multiframe(header: Header, volume: int | None = None) -> ScanRecord:
    """Reads a multi-frame file.

    Args:
        volume: which of several volumes at the same places, from 1.

    Raises:
        VolumeError: pydicom is missing; frames do not say where they lie, or lie irregularly; pixels cannot be decoded.
    """
    path = header.path
    try:
        import pydicom
    except ImportError as error:
        raise VolumeError(
            f"{path.name} is a multi-frame DICOM file; the package pydicom, which reads them, is missing.",
            "Install it: pip install pydicom.",
        ) from error
    try:
        dataset = pydicom.dcmread(path)
    except Exception as error:
        raise _undecodable(path) from error
    if header["samples"] not in ("", "1"):
        raise VolumeError(f"{path.name} is a colour recording.", "Choose CT, MR or PET images with one value a pixel.")
    frames = list(dataset.get("PerFrameFunctionalGroupsSequence") or ())
    shared = (dataset.get("SharedFunctionalGroupsSequence") or [pydicom.Dataset()])[0]
    if len(frames) != header.frames:
        raise VolumeError(
            f"{path.name} does not say where its {header.frames} frames lie: it is a recording or an older multi-frame "
            "object, not an enhanced one.",
            NOT_PLACED,
        )
    slices = [_slice(frame, shared, path) for frame in frames]
    stack = stacked(slices, path.name, volume)
    scaling = [_scaling(frame, shared) for frame in frames]
    array = _pixels(dataset, path, scaling)[list(stack.order)]
    source = ScanSource(path, dicom_files=(path,), frames=stack.order)
    return ScanRecord(np.ascontiguousarray(array), stack.ijk_to_ras, header["modality"] or None, source)


def _undecodable(path: Path) -> VolumeError:
    return VolumeError(
        f"The pixels of {path.name} cannot be read: it is damaged, incomplete or packed in an unknown way.",
        "Fetch the file again from the archive, if need be uncompressed (Explicit VR Little Endian).",
    )


def _group(frame: Any, shared: Any, name: str) -> Any:
    """A functional group: the frame's own, else the shared one, else an empty data set."""
    import pydicom

    for holder in (frame, shared):
        found = holder.get(name)
        if found:
            return found[0]
    return pydicom.Dataset()


def _slice(frame: Any, shared: Any, path: Path) -> Slice:
    position = _group(frame, shared, "PlanePositionSequence").get("ImagePositionPatient")
    orientation = _group(frame, shared, "PlaneOrientationSequence").get("ImageOrientationPatient")
    pixels = _group(frame, shared, "PixelMeasuresSequence").get("PixelSpacing")
    if not position or not orientation or not pixels or min(map(float, pixels)) <= 0:
        missing = "position" if not position else "direction" if not orientation else "size of their pixels"
        raise VolumeError(f"The frames of {path.name} do not say their {missing}.", NOT_PLACED)
    content = _group(frame, shared, "FrameContentSequence")
    echo = _group(frame, shared, "MREchoSequence").get("EffectiveEchoTime", "")
    b_value = _group(frame, shared, "MRDiffusionSequence").get("DiffusionBValue", "")
    kind = (content.get("TemporalPositionIndex", ""), echo, b_value, content.get("StackID", ""))
    spacing = (float(pixels[0]), float(pixels[1]))
    return Slice(np.array(position, float), np.array(orientation, float), spacing, tuple(map(str, kind)))


def _scaling(frame: Any, shared: Any) -> tuple[float, float]:
    group = _group(frame, shared, "PixelValueTransformationSequence")
    return float(group.get("RescaleSlope", 1)), float(group.get("RescaleIntercept", 0))


def _pixels(dataset: Any, path: Path, scaling: list[tuple[float, float]]) -> np.ndarray:
    """The frames in the order of the file, each with its own slope and intercept."""
    try:
        array = dataset.pixel_array
    except Exception as error:
        if len(set(scaling)) > 1:
            raise _undecodable(path) from error
        try:  # GDCM decodes more than pydicom does alone, and scales all frames alike
            return sitk.GetArrayFromImage(sitk.ReadImage(str(path), imageIO="GDCMImageIO"))
        except RuntimeError:
            raise _undecodable(path) from error
    slopes, intercepts = (np.array(part)[:, None, None] for part in zip(*scaling, strict=True))
    if (slopes == 1).all() and (intercepts == 0).all():
        return array
    if (slopes == 1).all() and (intercepts == np.round(intercepts)).all():
        return array.astype(np.int32) + intercepts.astype(np.int32)
    return (array * slopes + intercepts).astype(np.float32)
