"""Headers of DICOM files, read by ITK's GDCM: which series a folder holds, and what each slice says of itself."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import VolumeError
from .slice_stack import NOT_PLACED, Slice

_PREAMBLE = 128
_TAGS = {
    "sop": "0008|0018", "patient": "0010|0010", "modality": "0008|0060", "description": "0008|103e",
    "image_type": "0008|0008", "echo_time": "0018|0081", "trigger": "0018|1060", "b_value": "0018|9087",
    "inversion_time": "0018|0082", "series": "0020|000e", "series_number": "0020|0011", "acquisition": "0020|0012",
    "position": "0020|0032", "orientation": "0020|0037", "temporal": "0020|0100", "frames": "0028|0008",
    "rows": "0028|0010", "columns": "0028|0011", "samples": "0028|0002", "pixel_spacing": "0028|0030",
    "signed": "0028|0103", "bits": "0028|0101", "intercept": "0028|1052", "slope": "0028|1053",
    "spacing": "0018|0088", "thickness": "0018|0050",
}  # fmt: skip
#: What may tell volumes at the same places apart, the surest first. Times of a slice are not: each has its own.
_KINDS = ("temporal", "echo_time", "b_value", "inversion_time", "trigger", "image_type", "acquisition")
#: Modalities of objects that are no scans, even where they have pixels.
_NO_SCANS = frozenset({"SEG", "RTSTRUCT", "RTDOSE", "RTPLAN", "SR", "PR", "KO", "DOC", "REG"})
_OTHER_FORMATS = (".nii", ".gz", ".nrrd", ".nhdr", ".mha", ".mhd", ".raw", ".png", ".jpg", ".jpeg", ".txt", ".json",
                  ".xml", ".pdf", ".zip", ".csv", ".html", ".py", ".exe", ".inf")  # fmt: skip


@dataclass(frozen=True)
class Header:
    """The words of one file's header, stripped; "" where it says nothing."""

    path: Path
    words: dict[str, str]

    def __getitem__(self, name: str) -> str:
        return self.words[name]

    def numbers(self, name: str) -> list[float]:
        """The numbers of a field with several values; none where they are missing or no numbers."""
        try:
            found = [float(word) for word in self.words[name].split("\\")]
        except ValueError:
            return []
        return found if np.isfinite(found).all() else []

    @property
    def frames(self) -> int:
        """Frames of a multi-frame file; 1 for a slice."""
        return int(self.words["frames"]) if self.words["frames"].isdecimal() else 1

    @property
    def stored(self) -> tuple[float, float, str, str]:
        """What makes numbers of the stored pixels: slope, intercept, sign and bits."""
        slope, intercept = self.numbers("slope") or [1.0], self.numbers("intercept") or [0.0]
        return slope[0], intercept[0], self.words["signed"], self.words["bits"]


@dataclass(frozen=True)
class Series:
    """The image files of one series. Several sizes in it are several series here, as a localizer's are."""

    uid: str
    headers: tuple[Header, ...]

    @property
    def modality(self) -> str | None:
        """DICOM's word, None when it is not recorded."""
        return self.headers[0]["modality"] or None

    @property
    def is_scan(self) -> bool:
        """Whether it holds images to segment, not results or documents."""
        return (self.modality or "") not in _NO_SCANS

    @property
    def title(self) -> str:
        """Modality, size and description, for a list to choose from."""
        first = self.headers[0]
        slices = sum(header.frames for header in self.headers)
        size = f"{first['columns']} x {first['rows']} x {slices}"
        words = (first["modality"], size, _without_name(first["description"], first["patient"]) or "no description")
        return ", ".join(word for word in words if word)


def _without_name(text: str, patient: str) -> str:
    """A description without the words of the patient's name, which some sites write into it."""
    for part in re.split(r"[\^=\s]+", patient):
        if len(part) > 1:
            text = re.sub(rf"\b{re.escape(part)}\b", "***", text, flags=re.IGNORECASE)
    return text


def series_of(files: Iterable[Path]) -> list[Series]:
    """The series that files hold, by series number; files that are no DICOM images are passed over."""
    groups: dict[tuple[str, str, str], list[Header]] = {}
    for path in files:
        header = header_of(path)
        if header is not None and header["rows"]:
            groups.setdefault((header["series"], header["rows"], header["columns"]), []).append(header)
    found = [Series(key[0], tuple(headers)) for key, headers in groups.items()]
    return sorted(found, key=lambda one: (one.headers[0].numbers("series_number") or [0.0], one.uid))


def files_in(folder: Path) -> list[Path]:
    """The files of a folder that may be DICOM, by name; those below it where it has none of its own."""
    found = [path for path in sorted(folder.iterdir()) if _may_be_dicom(path)]
    if any(path.is_dir() for path in folder.iterdir()) and not any(map(is_dicom, found)):
        found = [path for path in sorted(folder.rglob("*")) if _may_be_dicom(path)]
    return found


def _may_be_dicom(path: Path) -> bool:
    hidden = path.name.startswith(".") or path.name.upper() == "DICOMDIR"
    return not hidden and not path.name.lower().endswith(_OTHER_FORMATS) and path.is_file()


def is_dicom(path: Path) -> bool:
    """Whether a file has DICOM's preamble."""
    try:
        with path.open("rb") as file:
            return file.read(_PREAMBLE + 4)[_PREAMBLE:] == b"DICM"
    except OSError:
        return False


def header_of(path: Path) -> Header | None:
    """The header of a DICOM image; None of any other file."""
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return None
    there = set(reader.GetMetaDataKeys())
    words = {name: reader.GetMetaData(tag).strip(" \0") if tag in there else "" for name, tag in _TAGS.items()}
    return Header(path, words)


def slice_of(header: Header, name: str) -> Slice:
    """Where a slice lies.

    Raises:
        VolumeError: the header does not say so.
    """
    position, orientation = header.numbers("position"), header.numbers("orientation")
    pixels = header.numbers("pixel_spacing")
    if len(position) != 3 or len(orientation) != 6:
        missing = "position (ImagePositionPatient)" if len(position) != 3 else "direction (ImageOrientationPatient)"
        raise VolumeError(f"The slices of {name} do not say their {missing}.", NOT_PLACED)
    if len(pixels) != 2 or min(pixels) <= 0:
        raise VolumeError(f"The slices of {name} do not say the size of their pixels (PixelSpacing).", NOT_PLACED)
    kind = tuple(header[name] for name in _KINDS)
    return Slice(np.array(position), np.array(orientation), (pixels[0], pixels[1]), kind)
