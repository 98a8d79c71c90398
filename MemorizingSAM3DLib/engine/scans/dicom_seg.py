"""A mask as a DICOM segmentation object that refers to the images it was made on, by highdicom."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import OutputError
from ..geometry import Volume

_INSTALL = "Install it: pip install highdicom. Or write .seg.nrrd or .nii.gz."
_LESION = re.compile(r"tumou?r|lesion|metasta|cancer|carcinoma|nodule|mass\b|cyst", re.IGNORECASE)
_SIDES = {"left": ("7771000", "Left"), "right": ("24028007", "Right")}


def check_dicom_seg(volume: Volume) -> None:
    """Whether a segmentation object can refer to a scan, asked before anything is computed.

    Raises:
        OutputError: the scan is not from DICOM, or highdicom is missing.
    """
    if not volume.source.dicom_files:
        raise OutputError(
            "A DICOM segmentation refers to DICOM images, and this scan is none.", "Write .seg.nrrd or .nii.gz."
        )
    try:
        import highdicom  # noqa: F401
    except ImportError as error:
        raise OutputError("The package highdicom, which writes DICOM segmentations, is missing.", _INSTALL) from error


def write_dicom_seg(
    mask: np.ndarray, volume: Volume, path: Path, name: str, colour: tuple[float, float, float]
) -> None:
    """Writes a binary segmentation of one segment.

    Args:
        mask: (K, J, I) bool, on the grid of a volume that was read from DICOM. name: of the segment; known names
            (liver, left kidney) get their code of SNOMED CT, others that of tissue. colour: red, green, blue, 0 to 1.

    Raises:
        OutputError: see :func:`check_dicom_seg`; the images are of a kind that cannot be referred to.
    """
    check_dicom_seg(volume)
    import highdicom
    import pydicom

    from MemorizingSAM3DLib import __version__

    sources = [pydicom.dcmread(file, stop_before_pixels=True) for file in volume.source.dicom_files]
    pixels = np.asarray(mask, dtype=np.uint8)
    if volume.source.frames:
        whole = np.zeros((int(sources[0].NumberOfFrames), *pixels.shape[1:]), dtype=np.uint8)
        whole[list(volume.source.frames)] = pixels
        pixels = whole
    category, kind, side = codes_of(name)
    algorithm = highdicom.AlgorithmIdentificationSequence(
        name="MemorizingSAM3D", version=__version__, family=_code("123110", "DCM", "Artificial Intelligence")
    )
    red, green, blue = (round(255 * part) for part in colour)
    segment = highdicom.seg.SegmentDescription(
        segment_number=1, segment_label=name[:64] or "Segment", segmented_property_category=category,
        segmented_property_type=kind, algorithm_type="SEMIAUTOMATIC", algorithm_identification=algorithm,
        tracking_uid=highdicom.UID(), tracking_id=name[:64] or "Segment",
        display_color=highdicom.color.CIELabColor.from_rgb(red, green, blue),
    )  # fmt: skip
    if side is not None:
        modifier = pydicom.Dataset()
        modifier.CodeValue, modifier.CodingSchemeDesignator, modifier.CodeMeaning = side[0], "SCT", side[1]
        segment.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [modifier]
    try:
        result = highdicom.seg.Segmentation(
            source_images=sources, pixel_array=pixels, segmentation_type="BINARY", segment_descriptions=[segment],
            series_instance_uid=highdicom.UID(), series_number=300, sop_instance_uid=highdicom.UID(),
            instance_number=1, manufacturer="MemorizingSAM3D", manufacturer_model_name="MemorizingSAM3D",
            software_versions=__version__, device_serial_number="0", omit_empty_frames=bool(pixels.any()),
            content_label="SEGMENTATION",
        )  # fmt: skip
    except (AttributeError, KeyError, ValueError, TypeError) as error:
        raise OutputError(
            "A DICOM segmentation cannot refer to these images: a field that the standard asks for is missing in them "
            f"({type(error).__name__}: {_without_values(error)}).",
            "Write .seg.nrrd or .nii.gz.",
        ) from error
    result.SeriesDescription = "MemorizingSAM3D segmentation"
    result.save_as(path, enforce_file_format=True)


def codes_of(name: str) -> tuple[Any, Any, tuple[str, str] | None]:
    """The codes (SNOMED CT) of a segment's category and kind, and of its side where the name says one."""
    from pydicom.sr.codedict import codes

    words = re.findall(r"[a-z]+", name.lower())
    side = next((_SIDES[word] for word in words if word in _SIDES), None)
    keyword = "".join(word for word in words if word not in _SIDES)
    if _LESION.search(name):
        altered = _code("49755003", "SCT", "Morphologically Altered Structure")
        return altered, _code("52988006", "SCT", "Lesion"), side
    known = {word.lower(): word for word in dir(codes.SCT) if not word.startswith("_")}
    for candidate in (keyword, keyword.removesuffix("s")):
        if candidate in known:
            found = getattr(codes.SCT, known[candidate])
            return _code("123037004", "SCT", "Anatomical Structure"), found, side
    tissue = _code("85756007", "SCT", "Tissue")
    return tissue, tissue, side


def _code(value: str, scheme: str, meaning: str) -> Any:
    from pydicom.sr.coding import Code

    return Code(value, scheme, meaning)


def _without_values(error: BaseException) -> str:
    """The first words of an error, up to any value of the header: that may name the patient."""
    return re.split(r"[:=]", str(error))[0][:80]
