"""A scan as the engine sees it: an array of voxels and the matrix that says where they are."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import ArrayLike

from ..errors import ClickError, VolumeError
from ..scans.image_files import ijk_to_ras_of, read_scan, refuse_unless_scalar_3d
from ..scans.modality import believed_modality
from ..scans.padding import finite, without_padding
from ..scans.refusals import LOAD_WHOLE_SERIES, RESAMPLE_IN_SLICER, colours, four_dimensional, sheared
from ..scans.scan_record import LPS_TO_RAS, ScanSource
from .grids import transformed

#: Fewest voxels along an axis: thinner scans give no 3D context.
THINNEST = 4
#: Largest |cosine| between two voxel axes that passes as rounding of the header (0.06 degrees).
LARGEST_AXIS_COSINE = 1e-3
#: A point this far (in voxels) beyond the outer face still counts as on it.
FACE_TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False)
class Volume:
    """A 3D scalar scan. The array is referred to, not copied: do not change it while the volume is in use.

    NaN and infinities are padding: where there are any, the array is a copy that holds the lowest value (air in a CT)
    in their place.

    Args:
        array: voxels, shape (K, J, I) as slicer.util.arrayFromVolume gives them, integer or floating point;
            booleans are seen as 0 and 1.
        ijk_to_ras: (4, 4) matrix, (i, j, k, 1) -> RAS mm. Any permutation, flip or rotation, either handedness;
            the axes must be perpendicular.
        modality: DICOM's word, such as "CT", "MR" or "PT"; None when not known.
        source: where it was read from.

    Raises:
        VolumeError: not 3D, colour or vector, empty, thinner than 4 voxels, without a finite voxel, constant, not
            numbers, or a matrix that is singular or sheared.
    """

    array: np.ndarray = field(repr=False)
    ijk_to_ras: np.ndarray
    modality: str | None = None
    source: ScanSource = field(default_factory=ScanSource, repr=False)

    def __post_init__(self) -> None:
        array = np.asarray(self.array)
        _refuse_shape(array.shape)
        if array.dtype == np.bool_:
            array = array.view(np.uint8)
        if self.modality:
            object.__setattr__(self, "modality", self.modality.strip().upper() or None)
        measured = finite(array, self.modality)
        if measured is not array:
            count = array.size - int(np.count_nonzero(np.isfinite(array)))
            object.__setattr__(self, "_not_finite", count)
            array = measured
        _refuse_values(array)
        matrix = np.array(self.ijk_to_ras, dtype=np.float64)
        _refuse_matrix(matrix)
        matrix.flags.writeable = False
        object.__setattr__(self, "array", array)
        object.__setattr__(self, "ijk_to_ras", matrix)

    @classmethod
    def from_sitk(cls, image: sitk.Image, modality: str | None = None) -> Volume:
        """The volume of a SimpleITK image (LPS); its voxels are copied. Raises VolumeError as the class does."""
        image = refuse_unless_scalar_3d(image)
        return cls(sitk.GetArrayFromImage(image), ijk_to_ras_of(image), modality)

    @classmethod
    def from_file(cls, path: str | Path, modality: str | None = None, *, series: str | None = None,
                  volume: int | None = None, form: str | None = None) -> Volume:  # fmt: skip
        """Read NRRD, NIfTI, MetaImage, MGH, or one DICOM series.

        Args:
            path: file, or folder of DICOM files; of a DICOM slice, its series is read.
            modality: taken from the DICOM header when None.
            series: which of several in a folder, its number in the message or its UID. volume: which of a 4D file or
                series, from 1. form: "sform" or "qform" of a NIfTI file; None: the sform where it is set.

        Raises:
            VolumeError: missing, unreadable, several series and none chosen, slices missing or tilted, geometry that
                the file does not say, or as the class.
        """
        record = read_scan(Path(path), series, volume, form)
        try:
            return cls(record.array, record.ijk_to_ras, modality or record.modality, record.source)
        except VolumeError as error:
            if error.remedy == RESAMPLE_IN_SLICER:  # Slicer cannot open such a file either
                raise sheared(Path(path).name, Path(path)) from error
            raise

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What the user should know of the scan, a sentence or two each; nothing in most cases."""
        notes = list(self.source.notes)
        count = getattr(self, "_not_finite", 0)
        if count:
            notes.append(f"{count} voxels are NaN or infinite; they are taken for padding outside of the scan.")
        notes += [note for note in (self._believed[1],) if note]
        if paddings := self._unpadded[1]:
            told = " and ".join(f"{value:g}" for value in paddings)
            notes.append(f"Voxels of {told} are taken for padding: they are far from the values of all others.")
        return tuple(notes)

    @property
    def believed_modality(self) -> str | None:
        """The modality that the voxels bear out, or a guess where none is recorded; None: not known."""
        return self._believed[0]

    @property
    def intensities(self) -> np.ndarray:
        """The array with padding, such as -9999 or 65535, put beside what was measured; the array itself without."""
        return self._unpadded[0]

    @cached_property
    def _believed(self) -> tuple[str | None, str | None]:
        return believed_modality(self.array, self.modality)

    @cached_property
    def _unpadded(self) -> tuple[np.ndarray, tuple[float, ...]]:
        return without_padding(self.array, self.believed_modality)

    def placed(self, ijk_to_ras: np.ndarray) -> Volume:
        """The same voxels with another matrix; they are not checked again, which would read all of them.

        Raises:
            VolumeError: the matrix is none, as the class does.
        """
        matrix = np.array(ijk_to_ras, dtype=np.float64)
        _refuse_matrix(matrix)
        matrix.flags.writeable = False
        volume = copy.copy(self)
        for name in ("spacing", "voxel_mm3", "ras_to_ijk_matrix"):  # what was worked out from the other matrix
            volume.__dict__.pop(name, None)
        object.__setattr__(volume, "ijk_to_ras", matrix)
        return volume

    def to_sitk(self) -> sitk.Image:
        """A SimpleITK image (LPS) with a copy of the voxels; half precision, unknown to ITK, becomes float32."""
        array = self.array.astype(_itk_dtype(self.array.dtype), copy=False)
        image = sitk.GetImageFromArray(array)
        matrix = LPS_TO_RAS @ self.ijk_to_ras
        image.SetSpacing(self.spacing)
        image.SetOrigin(matrix[:3, 3].tolist())
        image.SetDirection((matrix[:3, :3] / self.spacing).ravel().tolist())
        return image

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along (k, j, i), the array's shape."""
        k, j, i = self.array.shape
        return k, j, i

    @cached_property
    def spacing(self) -> tuple[float, float, float]:
        """Distance between voxel centres along (i, j, k), mm."""
        i, j, k = np.linalg.norm(self.ijk_to_ras[:3, :3], axis=0).tolist()
        return i, j, k

    def is_on_grid_of(self, other: Volume, tolerance: float = 0.05) -> bool:
        """Whether both have the same voxels: counts, and places to a part of a voxel over the whole scan."""
        if self.shape != other.shape:
            return False
        ends = np.array(np.meshgrid(*[(0, n - 1) for n in self.shape[::-1]])).reshape(3, -1).T
        apart = np.linalg.norm(self.ijk_to_ras_points(ends) - other.ijk_to_ras_points(ends), axis=1).max()
        return bool(apart <= tolerance * min(other.spacing))

    @property
    def extent_mm(self) -> tuple[float, float, float]:
        """Side lengths of the scan along (i, j, k), from outer face to outer face, mm."""
        (k, j, i), (di, dj, dk) = self.shape, self.spacing
        return i * di, j * dj, k * dk

    @cached_property
    def voxel_mm3(self) -> float:
        """The volume of a voxel, mm^3."""
        return float(abs(np.linalg.det(self.ijk_to_ras[:3, :3])))

    @cached_property
    def ras_to_ijk_matrix(self) -> np.ndarray:
        """(4, 4) matrix: RAS mm -> (i, j, k, 1)."""
        return np.linalg.inv(self.ijk_to_ras)

    def ras_to_ijk(self, points: ArrayLike) -> np.ndarray:
        """Continuous voxel coordinates (i, j, k) of RAS points of shape (..., 3); whole numbers are voxel centres."""
        return transformed(self.ras_to_ijk_matrix, points)

    def ijk_to_ras_points(self, points: ArrayLike) -> np.ndarray:
        """RAS mm of voxel coordinates (i, j, k) of shape (..., 3)."""
        return transformed(self.ijk_to_ras, points)

    def contains(self, ras: ArrayLike) -> bool:
        """Whether a RAS point lies in the scan, its outer faces included; False when not finite."""
        return self.distance_mm(ras) == 0.0

    def distance_mm(self, ras: ArrayLike) -> float:
        """Distance from a RAS point to the scan, mm; 0 within it, infinite when the point is not finite."""
        point = np.asarray(ras, dtype=np.float64)
        if not np.isfinite(point).all():
            return float("inf")
        ijk = self.ras_to_ijk(point)
        beyond = np.maximum(-0.5 - ijk, ijk - (np.array(self.shape[::-1]) - 0.5))
        return float(np.linalg.norm(np.where(beyond > FACE_TOLERANCE, beyond, 0.0) * self.spacing))

    def nearest_voxel(self, ras: ArrayLike) -> tuple[int, int, int]:
        """The voxel (i, j, k) in which a RAS point lies; on a face between two, the one with the higher index.

        Raises:
            ClickError: outside of the scan, or not finite.
        """
        point = np.asarray(ras, dtype=np.float64)
        if point.shape != (3,) or not np.isfinite(point).all():
            raise ClickError(
                f"The click has no position: {point.tolist()}.", "Remove this point and place it again in a slice view."
            )
        distance = self.distance_mm(point)
        if distance > 0:
            r, a, s = point.tolist()
            raise ClickError(
                f"The click at R {r:.1f}, A {a:.1f}, S {s:.1f} lies {_readable_mm(distance)} outside the scan.",
                "Move the point into the scan, or check that it belongs to this scan and that both are under the "
                "same transform.",
            )
        i, j, k = np.clip(np.floor(self.ras_to_ijk(point) + 0.5), 0, np.subtract(self.shape[::-1], 1)).astype(int)
        return int(i), int(j), int(k)


def _readable_mm(distance: float) -> str:
    return "less than 0.1 mm" if distance < 0.1 else f"{distance:.1f} mm"


def _itk_dtype(dtype: np.dtype) -> np.dtype:
    """The type ITK knows for a real dtype: native byte order, no half or extended precision."""
    if dtype.kind == "f" and dtype.itemsize not in (4, 8):
        return np.dtype(np.float32 if dtype.itemsize < 4 else np.float64)
    return dtype.newbyteorder("=")


def _refuse_shape(shape: tuple[int, ...]) -> None:
    """Refuse everything but (K, J, I) with at least 4 voxels an axis, each case with its own message."""
    if len(shape) == 4 and 1 < shape[3] <= 4:
        raise colours(shape[3])
    if len(shape) == 4:
        raise four_dimensional(shape[0])
    if len(shape) == 2:
        raise VolumeError(f"The scan is a 2D image of {shape[1]} x {shape[0]} pixels.", LOAD_WHOLE_SERIES)
    if len(shape) != 3:
        raise VolumeError(f"The scan has {len(shape)} dimensions; three are needed.", "Choose a scalar 3D volume.")
    if 0 in shape:
        raise VolumeError("The scan is empty: it has no voxels.", "Load it again, or choose another volume.")
    if min(shape) < THINNEST:
        axis = "kji"[shape.index(min(shape))]
        raise VolumeError(
            f"The scan is only {min(shape)} voxel{'s' * (min(shape) > 1)} thick along its {axis} axis; at least "
            f"{THINNEST} are needed.",
            LOAD_WHOLE_SERIES,
        )


def _refuse_values(array: np.ndarray) -> None:
    """Refuse voxels that are not real finite numbers, or all the same."""
    if array.dtype.kind == "c":
        raise VolumeError(
            "The scan's voxels are complex numbers.", "Save its magnitude as a scalar volume and segment that."
        )
    if array.dtype.kind not in "iuf":
        raise VolumeError(
            f"The scan's voxels are not numbers (type {array.dtype}).", "Choose a scalar volume of integers or floats."
        )
    # Two voxels that differ are nearly always met in a sparse sample, and an integer cannot be NaN: no full pass then.
    sample = array[tuple(slice(None, None, max(1, n // 16)) for n in array.shape)]
    if array.dtype.kind in "iu" and (sample != array[0, 0, 0]).any():
        return
    lowest, highest = array.min(), array.max()
    if lowest == highest:
        raise VolumeError(
            f"The scan is constant: every voxel is {lowest}.",
            "Check that the right volume is chosen and that it was loaded completely.",
        )


def _refuse_matrix(matrix: np.ndarray) -> None:
    """Refuse what is not an affine with perpendicular axes."""
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or not np.allclose(matrix[3], (0, 0, 0, 1), atol=1e-9):
        raise VolumeError(
            "The scan's IJK-to-RAS matrix is not a finite affine 4x4 matrix.",
            "Load the scan again; if it is under a transform, remove the transform.",
        )
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    if spacing.min() <= 1e-9 or abs(np.linalg.det(matrix[:3, :3] / spacing)) <= 1e-6:
        raise VolumeError(
            "The scan's IJK-to-RAS matrix is singular: two axes coincide or a spacing is zero.",
            "Correct the spacing in Slicer's 'Volumes' module, or remove the transform that flattens the scan.",
        )
    directions = matrix[:3, :3] / spacing
    cosine = np.abs(directions.T @ directions - np.eye(3)).max()
    if cosine > LARGEST_AXIS_COSINE:
        degrees = np.degrees(np.arcsin(min(cosine, 1.0)))
        raise VolumeError(f"The scan is sheared: its axes are {degrees:.1f} degrees off square.", RESAMPLE_IN_SLICER)
