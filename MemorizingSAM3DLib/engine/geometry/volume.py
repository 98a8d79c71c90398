"""A scan as the engine sees it: an array of voxels and the matrix that says where they are."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import ArrayLike

from ..errors import ClickError, VolumeError
from .affine import LPS_TO_RAS, transformed
from .image_files import LOAD_WHOLE_SERIES, RESAMPLE_IN_SLICER, read_image, refuse_unless_scalar_3d

#: Fewest voxels along an axis: thinner scans give no 3D context.
THINNEST = 4
#: Largest |cosine| between two voxel axes that passes as rounding of the header (0.06 degrees).
LARGEST_AXIS_COSINE = 1e-3
#: A point this far (in voxels) beyond the outer face still counts as on it.
FACE_TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False)
class Volume:
    """A 3D scalar scan. The array is referred to, never copied: do not change it while the volume is in use.

    Args:
        array: voxels, shape (K, J, I) as slicer.util.arrayFromVolume gives them, integer or floating point;
            booleans are seen as 0 and 1.
        ijk_to_ras: (4, 4) matrix, (i, j, k, 1) -> RAS mm. Any permutation, flip or rotation, either handedness;
            the axes must be perpendicular.
        modality: DICOM's word, such as "CT", "MR" or "PT"; None when not known.

    Raises:
        VolumeError: not 3D, colour or vector, empty, thinner than 4 voxels, NaN or infinite voxels, constant, not
            numbers, or a matrix that is singular or sheared.
    """

    array: np.ndarray = field(repr=False)
    ijk_to_ras: np.ndarray
    modality: str | None = None

    def __post_init__(self) -> None:
        array = np.asarray(self.array)
        _refuse_shape(array.shape)
        if array.dtype == np.bool_:
            array = array.view(np.uint8)
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
        matrix = np.eye(4)
        matrix[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
        matrix[:3, 3] = image.GetOrigin()
        return cls(sitk.GetArrayFromImage(image), LPS_TO_RAS @ matrix, modality)

    @classmethod
    def from_file(cls, path: str | Path, modality: str | None = None) -> Volume:
        """Read NRRD, NIfTI, MetaImage, a DICOM file, or a folder with one DICOM series.

        Args:
            path: file, or folder of one DICOM series.
            modality: taken from the DICOM header when None.

        Raises:
            VolumeError: missing, unreadable, several series in the folder, slices missing or tilted, or as the class.
        """
        image, recorded_modality = read_image(Path(path))
        return cls.from_sitk(image, modality or recorded_modality)

    def placed(self, ijk_to_ras: np.ndarray) -> Volume:
        """The same voxels with another matrix; they are not checked again, which would read all of them.

        Raises:
            VolumeError: the matrix is none, as the class does.
        """
        matrix = np.array(ijk_to_ras, dtype=np.float64)
        _refuse_matrix(matrix)
        matrix.flags.writeable = False
        volume = object.__new__(Volume)
        for name, value in (("array", self.array), ("ijk_to_ras", matrix), ("modality", self.modality)):
            object.__setattr__(volume, name, value)
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
        raise VolumeError(
            f"The scan is a colour or vector image with {shape[3]} components per voxel.",
            "Convert it with Slicer's 'Vector to Scalar Volume' module and segment the result.",
        )
    if len(shape) == 4:
        raise VolumeError(
            f"The scan is 4D, shape {shape}.", "Choose one time point (Slicer's 'Sequences' module) and segment that."
        )
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
    with np.errstate(invalid="ignore"):
        lowest, highest = array.min(), array.max()
    if not (np.isfinite(lowest) and np.isfinite(highest)):
        count = array.size - int(np.count_nonzero(np.isfinite(array)))
        raise VolumeError(
            f"The scan has {count} voxels that are NaN or infinite.",
            "Replace them, in Slicer's Python console: a = slicer.util.arrayFromVolume(node); "
            "a[~numpy.isfinite(a)] = a[numpy.isfinite(a)].min(); slicer.util.arrayFromVolumeModified(node).",
        )
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
