"""NIfTI-1, NIfTI-2, Analyze and MGH files, read by nibabel: the very file that was named, with its own forms.

ITK's reader is not used for them. It opens A.nii where A.nii.gz was named, turns NaN into 0, refuses axes that are off
square by rounding, and passes over the sform where the qform says something else.
"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import VolumeError
from .refusals import colours, four_dimensional, unreadable
from .scan_record import NiftiForms, ScanRecord, ScanSource

NIFTI_SUFFIXES = (".nii", ".nii.gz", ".hdr", ".img", ".hdr.gz", ".img.gz", ".mgz", ".mgh")
#: Two forms this far apart (in voxels, anywhere in the scan) put it at two places.
_FORMS_APART = 0.1
#: Largest |cosine| between two axes of a form that passes as rounding; as `Volume` has it.
_LARGEST_AXIS_COSINE = 1e-3
_MM_PER_UNIT = {"meter": 1e3, "micron": 1e-3}
_FORM_FIELDS = (
    "pixdim", "xyzt_units", "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x",
    "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z",
)  # fmt: skip


def is_nifti(path: Path) -> bool:
    """Whether a file's name is that of a format of this module."""
    return path.name.lower().endswith(NIFTI_SUFFIXES)


def read_nifti(path: Path, form: str | None = None, volume: int | None = None) -> ScanRecord:
    """Reads a NIfTI, Analyze or MGH file.

    Args:
        form: "sform" or "qform"; None takes the sform where its code is set, as nibabel, FSL and SPM do.
        volume: of a 4D file, from 1.

    Raises:
        VolumeError: damaged, cut short, without spacing, of colours, 4D without a volume chosen.
    """
    image = _opened(path)
    array = _voxels(image, path)
    if volume is not None:
        array = _one_volume(array, volume, path)
    while array.ndim > 3 and array.shape[0] == 1:
        array = array[0]
    if array.ndim == 5:
        raise colours(array.shape[0])
    if array.ndim > 3:
        raise four_dimensional(array.shape[0])
    if not hasattr(image.header, "get_qform"):
        return _without_forms(image, array, path)
    header = _stored_header(image)
    scale = _MM_PER_UNIT.get(header.get_xyzt_units()[0], 1.0)
    notes: list[str] = []
    if scale != 1.0:
        notes.append(f"{path.name} measures in {header.get_xyzt_units()[0]}s; sizes and places are told in mm.")
    spacing = np.abs(header["pixdim"][1:4].astype(np.float64)) * scale
    matrix, is_placed = _matrix(header, array.shape, spacing, scale, form, path, notes)
    forms = NiftiForms({name: np.array(header[name]) for name in _FORM_FIELDS})
    return ScanRecord(array, matrix, None, ScanSource(path, tuple(notes), forms, is_placed=is_placed))


def _opened(path: Path) -> Any:
    try:
        import nibabel
    except ImportError as error:
        raise VolumeError(
            f"{path.name} cannot be read: the package nibabel is missing.", "Install it: pip install nibabel."
        ) from error
    try:
        return nibabel.load(path)
    except (OSError, EOFError, ValueError, TypeError, KeyError, nibabel.filebasedimages.ImageFileError) as error:
        content = _unpacked(path)
        for kind in (nibabel.Nifti1Image, nibabel.Nifti2Image):
            try:  # packed without the name saying so, or the other way round
                return kind.from_bytes(content)
            except Exception:
                continue
        raise unreadable(path) from error


def _stored_header(image: Any) -> Any:
    """The header as the file has it: on the way in, nibabel puts 1 where a spacing is 0."""
    parts = image.file_map
    holder, kind = parts.get("header", parts["image"]), type(image.header)
    with holder.get_prepare_fileobj("rb") as file:
        file.seek(0)
        stored = kind(file.read(kind.template_dtype.itemsize), check=False)
    stored["pixdim"][1:4] = np.abs(stored["pixdim"][1:4])
    return stored


def _unpacked(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except (OSError, EOFError, gzip.zlib.error):  # type: ignore[attr-defined]
        return b""


def _voxels(image: Any, path: Path) -> np.ndarray:
    """The values, (..., K, J, I), in native byte order: as stored where the header scales nothing, else scaled."""
    stored = image.get_data_dtype()
    if stored.fields is not None:
        raise colours()
    try:
        array = np.asanyarray(image.dataobj)
    except (OSError, EOFError, ValueError, gzip.zlib.error) as error:  # type: ignore[attr-defined]
        raise unreadable(path) from error
    if array.dtype.kind == "f" and stored.kind in "iu" and stored.itemsize <= 2:
        array = array.astype(np.float32)
    elif array.dtype.kind == "f" and array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    return np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="), copy=False).T)


def _one_volume(array: np.ndarray, volume: int, path: Path) -> np.ndarray:
    count = int(np.prod(array.shape[:-3])) if array.ndim > 3 else 1
    if not 1 <= volume <= count:
        raise VolumeError(f"{path.name} holds {count} volumes; there is no volume {volume}.", f"Choose 1 to {count}.")
    return array.reshape(-1, *array.shape[-3:])[volume - 1]


def _without_forms(image: Any, array: np.ndarray, path: Path) -> ScanRecord:
    """MGH says where it lies in its own way; Analyze does not."""
    affine = np.array(image.affine, dtype=np.float64)
    if path.name.lower().endswith((".mgz", ".mgh")):
        return ScanRecord(array, affine, None, ScanSource(path))
    spacing = np.abs(_stored_header(image)["pixdim"][1:4].astype(np.float64))
    _refuse_spacing(spacing, path)
    source = ScanSource(path, (_unplaced(path),), is_placed=False)
    return ScanRecord(array, np.diag([-spacing[0], -spacing[1], spacing[2], 1.0]), None, source)


def _refuse_spacing(spacing: np.ndarray, path: Path) -> None:
    if not (np.isfinite(spacing).all() and (spacing > 0).all()):
        raise VolumeError(
            f"{path.name} does not say the size of its voxels (pixdim is {', '.join(f'{s:g}' for s in spacing)}).",
            "Convert the original files again, or set the spacing in Slicer's 'Volumes' module and save the scan anew.",
        )


def _unplaced(path: Path) -> str:
    return (
        f"{path.name} does not say where the scan lies, nor which side is left (neither sform nor qform is set). It is "
        "placed as Slicer places it, with its first voxel at 0, 0, 0."
    )


def _matrix(header: Any, shape: tuple[int, ...], spacing: np.ndarray, scale: float, form: str | None, path: Path,
            notes: list[str]) -> tuple[np.ndarray, bool]:  # fmt: skip
    """The matrix that the forms give, and whether any is set; what the user should know of it goes to the notes."""
    sform = _scaled(header.get_sform(coded=True)[0], scale)
    try:
        qform = _scaled(header.get_qform(coded=True)[0], scale)
    except ValueError:  # the quaternion is of no rotation
        qform = None
    if form is not None:
        wanted = sform if form == "sform" else qform
        if wanted is None:
            raise VolumeError(f"{path.name} has no {form}.", "Leave out --form.")
        return wanted, True
    if sform is None and qform is None:
        _refuse_spacing(spacing, path)
        notes.append(_unplaced(path))
        return np.diag([-spacing[0], -spacing[1], spacing[2], 1.0]), False
    if sform is None:
        _refuse_spacing(spacing, path)  # the qform says nothing of it
    if sform is None or qform is None:
        return (qform if sform is None else sform), True  # type: ignore[return-value]
    if not _is_square(sform) and _is_square(qform):
        notes.append(
            f"The sform of {path.name} is sheared or flat; its qform is taken, as Slicer does. The mask keeps both."
        )
        return qform, True
    ends = np.array(np.meshgrid(*[(0, n - 1) for n in shape[:-4:-1]])).reshape(3, -1)
    apart = np.linalg.norm((sform - qform)[:3, :3] @ ends + (sform - qform)[:3, 3:], axis=0).max()
    if apart > _FORMS_APART * np.linalg.norm(sform[:3, :3], axis=0).min():
        slicers = "sform" if int(header["sform_code"]) == 1 else "qform"
        other = "--form qform" if slicers == "qform" else "--form sform"
        notes.append(
            f"{path.name} says twice where it lies: its sform and its qform are up to {apart:.1f} mm apart. The sform "
            f"is taken, as nibabel, FSL and SPM do; Slicer shows the {slicers}"
            + (f" (points read there need {other})." if slicers == "qform" else ".")
        )
    return sform, True


def _scaled(matrix: np.ndarray | None, scale: float) -> np.ndarray | None:
    """The matrix in mm; None where there is none, or one that is not finite."""
    if matrix is None or not np.isfinite(matrix).all():
        return None
    scaled = np.array(matrix, dtype=np.float64)
    scaled[:3] *= scale
    return scaled


def _is_square(matrix: np.ndarray) -> bool:
    lengths = np.linalg.norm(matrix[:3, :3], axis=0)
    if lengths.min() <= 1e-9:
        return False
    directions = matrix[:3, :3] / lengths
    return bool(np.abs(directions.T @ directions - np.eye(3)).max() <= _LARGEST_AXIS_COSINE)
