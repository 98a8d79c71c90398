"""Slices that say where they lie, put in order as one regular stack, or refused in words that name what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import VolumeError
from .scan_record import LPS_TO_RAS

#: Slices may be off the regular, perpendicular stack by this part of their distance.
SLICE_TOLERANCE = 0.1
#: Slices this near to each other (mm) lie at the same place.
_SAME_PLACE_MM = 1e-3
#: Largest difference of two direction cosines that passes as rounding.
_SAME_DIRECTION = 1e-3
_REGULARISE = (
    "To make it regular, set 'Acquisition geometry regularization' to 'harden regularization transform' in Slicer "
    "(Application Settings, DICOM, DICOMScalarVolumePlugin), load the series with the DICOM module, save the volume as "
    ".nrrd and segment that."
)


@dataclass(frozen=True)
class Slice:
    """Where a slice lies (LPS mm), and what tells it from others at the same place.

    Attributes:
        position: of the first pixel's centre. orientation: (6,) direction cosines of a row and of a column.
        pixel_spacing: (rows apart, columns apart). kind: such as echo, b-value or time, () where nothing is said.
    """

    position: np.ndarray
    orientation: np.ndarray
    pixel_spacing: tuple[float, float]
    kind: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stack:
    """Numbers of the slices in order along their normal, and the IJK-to-RAS matrix of the stack."""

    order: tuple[int, ...]
    ijk_to_ras: np.ndarray


def stacked(slices: Sequence[Slice], name: str, volume: int | None = None) -> Stack:
    """Puts slices in order.

    Args:
        slices: at least two. name: of the file or folder, for messages.
        volume: which of several volumes at the same places, from 1.

    Raises:
        VolumeError: several orientations, pixel sizes or volumes; slices twice at a place, missing, uneven or tilted.
    """
    first = slices[0]
    numbers = _one_orientation(slices, name)
    normal = np.cross(first.orientation[:3], first.orientation[3:])
    heights = np.array([float(piece.position @ normal) for piece in slices])
    numbers = _one_volume(slices, heights, numbers, name, volume)
    order = sorted(numbers, key=lambda number: heights[number])
    positions = np.array([slices[number].position for number in order])
    steps = np.diff(heights[order])
    _refuse_gaps(steps, name)
    step = (positions[-1] - positions[0]) / (len(order) - 1)
    distance = float(np.median(steps))
    sideways = np.linalg.norm(step - (step @ normal) * normal)
    if sideways * (len(order) - 1) > SLICE_TOLERANCE * distance:
        degrees = float(np.degrees(np.arctan2(sideways, abs(step @ normal))))
        raise VolumeError(
            f"The slices of {name} are tilted: the gantry stood {degrees:.1f} degrees off, so that the voxels are "
            "no boxes.",
            _REGULARISE,
        )
    regular = positions[0] + np.arange(len(order))[:, None] * step
    if np.linalg.norm(positions - regular, axis=1).max() > SLICE_TOLERANCE * distance:
        raise VolumeError(
            f"The slices of {name} are unevenly spaced, from {steps.min():.2f} to {steps.max():.2f} mm apart, or lie "
            "beside each other.",
            _REGULARISE,
        )
    rows_apart, columns_apart = first.pixel_spacing
    matrix = np.eye(4)
    matrix[:3, 0] = first.orientation[:3] * columns_apart
    matrix[:3, 1] = first.orientation[3:] * rows_apart
    matrix[:3, 2] = normal * (step @ normal)
    matrix[:3, 3] = positions[0]
    return Stack(tuple(order), LPS_TO_RAS @ matrix)


def _one_orientation(slices: Sequence[Slice], name: str) -> list[int]:
    first = slices[0]
    directions = np.array([piece.orientation for piece in slices])
    if np.abs(directions - directions[0]).max() > _SAME_DIRECTION:
        raise VolumeError(
            f"The slices of {name} lie in several directions, as those of a localizer or a radial acquisition do.",
            "Choose a series whose slices are parallel.",
        )
    lengths = np.linalg.norm(first.orientation.reshape(2, 3), axis=1)
    square = abs(float(first.orientation[:3] @ first.orientation[3:]))
    if np.abs(lengths - 1).max() > _SAME_DIRECTION or square > _SAME_DIRECTION:
        raise VolumeError(
            f"The slices of {name} do not say their direction: ImageOrientationPatient is no pair of perpendicular "
            "unit vectors.",
            NOT_PLACED,
        )
    sizes = np.array([piece.pixel_spacing for piece in slices])
    if not np.allclose(sizes, sizes[0], rtol=1e-3):
        raise VolumeError(f"The slices of {name} have pixels of several sizes.", "Choose a series of one size.")
    return list(range(len(slices)))


NOT_PLACED = (
    "Fetch the original series again from the archive (a secondary capture has lost its geometry). If you know the "
    "geometry, load the images in Slicer, set spacing, origin and directions in the 'Volumes' module, save the volume "
    "as .nrrd and segment that."
)


def _one_volume(slices: Sequence[Slice], heights: np.ndarray, numbers: list[int], name: str,
                volume: int | None) -> list[int]:  # fmt: skip
    """The slices of the volume that is meant, where several lie at the same places."""
    places = np.unique(np.round(heights / _SAME_PLACE_MM))
    if len(places) == len(slices):
        if volume not in (None, 1):
            raise VolumeError(f"{name} holds one volume; there is no volume {volume}.", "Leave out --volume.")
        return numbers
    groups = _volumes(slices, heights)
    if groups is None:
        raise VolumeError(
            f"{name} has {len(slices)} slices at {len(places)} places: some places are there twice or more, and "
            "nothing in the headers tells which belong together.",
            "Take copies out of the folder, or fetch the series again from the archive.",
        )
    if volume is None:
        raise VolumeError(
            f"{name} holds {len(groups)} volumes of {len(groups[0])} slices at the same places, such as echoes, "
            "b-values or times.",
            f"Choose one: --volume 1 to --volume {len(groups)}.",
        )
    if not 1 <= volume <= len(groups):
        raise VolumeError(f"{name} holds {len(groups)} volumes; there is no volume {volume}.",
                          f"Choose --volume 1 to --volume {len(groups)}.")  # fmt: skip
    return groups[volume - 1]


def _volumes(slices: Sequence[Slice], heights: np.ndarray) -> list[list[int]] | None:
    """The slices of each volume, told apart by the first of their kinds that does it; None where none does."""
    for keys in (*zip(*(piece.kind for piece in slices), strict=True), [piece.kind for piece in slices]):
        groups: dict[object, list[int]] = {}
        for number, key in enumerate(keys):
            groups.setdefault(key, []).append(number)
        sizes = {len(group) for group in groups.values()}
        if len(groups) > 1 and len(sizes) == 1 and all(_places(heights, g) == len(g) for g in groups.values()):
            return list(groups.values())
    return None


def _places(heights: np.ndarray, group: Sequence[int]) -> int:
    return len(np.unique(np.round(heights[list(group)] / _SAME_PLACE_MM)))


def _refuse_gaps(steps: np.ndarray, name: str) -> None:
    distance = float(np.median(steps))
    missing = np.round(steps / distance).astype(int) - 1
    even = np.abs(steps - (missing + 1) * distance) <= SLICE_TOLERANCE * distance
    if (missing > 0).any() and even.all():
        raise VolumeError(
            f"{missing.sum()} slices of {name} are missing: they are {distance:g} mm apart, but "
            f"{steps.max():g} mm at a gap.",
            f"Fetch the whole series again from the archive. {_REGULARISE}",
        )
    if (np.abs(steps - distance) > SLICE_TOLERANCE * distance).any():
        raise VolumeError(
            f"The slices of {name} are unevenly spaced, from {steps.min():.2f} to {steps.max():.2f} mm apart.",
            _REGULARISE,
        )
