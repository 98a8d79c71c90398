"""Training cases: scans with labels, held in memory (or mapped from a training pack) in RAS order.

Scans without labels, of which supervoxels and the body are the only structures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from MemorizingSAM3DLib.engine.errors import VolumeError

from ..masks import foreground
from .manifest import DataError, Entry, image_and_label, read_manifest, select

if TYPE_CHECKING:  # a machine to which a pack is carried may lack SimpleITK
    import SimpleITK as sitk

    from MemorizingSAM3DLib.engine.geometry import Volume

__all__ = ["Case", "DataError", "FOREGROUND", "Target", "load_case", "load_cases", "read_manifest", "select"]
FOREGROUND = 0  # not a label of any structure: the whole body, so that large composite objects are seen too
_KEPT_VOXELS = 2048
Box = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class Target:
    """Where a structure is, in voxels: its box (low included, high not) and up to 2048 of its voxels, (n, 3)."""

    low: np.ndarray
    high: np.ndarray
    voxels: np.ndarray


@dataclass(frozen=True, eq=False)
class Case:
    """One scan with its label map.

    Attributes:
        image: (R, A, S) int16 or float32. labels: (R, A, S) uint8. spacing: mm along R, A, S.
        structures: label value to name, only labels that have voxels.
        body: the mask of the label FOREGROUND as packed bits; None: it is computed when it is asked for.
    """

    name: str
    dataset: str
    modality: str
    image: np.ndarray
    labels: np.ndarray
    spacing: tuple[float, float, float]
    structures: dict[int, str]
    body: np.ndarray | None = field(default=None, repr=False)

    @cached_property
    def packed_body(self) -> np.ndarray:
        """The mask of the label FOREGROUND, packed to bits."""
        return np.packbits(foreground(self.image)) if self.body is None else self.body

    @cached_property
    def _boxes(self) -> list[Box | None]:
        return list(ndimage.find_objects(self.labels))

    @cached_property
    def _targets(self) -> dict[int, Target]:
        return {}

    def mask(self, label: int, box: Box = (slice(None), slice(None), slice(None))) -> np.ndarray:
        """Where a label (or the body, FOREGROUND) is, (R, A, S) bool, in a box of voxels."""
        if label == FOREGROUND:
            whole = np.unpackbits(self.packed_body, count=self.image.size).reshape(self.image.shape)
            return whole[box].view(bool)
        return self.labels[box] == label

    def target(self, label: int) -> Target:
        """Where a label (or the body, FOREGROUND) is; found once and kept.

        Raises:
            DataError: it has no voxel.
        """
        if label not in self._targets:
            boxes = self._boxes if label != FOREGROUND else ndimage.find_objects(self.mask(label).view(np.uint8))
            box = boxes[max(label, 1) - 1] if max(label, 1) <= len(boxes) else None
            if box is None:
                raise DataError(f"Label {label} of case {self.name} has no voxel.", "Take it out of the manifest.")
            flat = np.flatnonzero(self.mask(label, box))
            if flat.size > _KEPT_VOXELS:  # at random: equal steps would fall into step with the rows
                flat = flat[np.random.default_rng(label).integers(flat.size, size=_KEPT_VOXELS)]
            low, high = (np.array([getattr(part, end) for part in box]) for end in ("start", "stop"))
            voxels = np.stack(np.unravel_index(flat, tuple(high - low)), axis=1) + low
            self._targets[label] = Target(low, high, voxels.astype(np.int32))
        return self._targets[label]


def case_volume(case: Case) -> Volume:
    """A case's scan as the engine sees it; the origin, which no metric needs, is the scan's corner."""
    from MemorizingSAM3DLib.engine.geometry import Volume

    return Volume(
        np.ascontiguousarray(case.image.transpose(2, 1, 0)), np.diag([*case.spacing, 1.0]), modality=case.modality
    )


def load_case(folder: Path, entry: Entry) -> Case:
    """Reads the image and the label map of an entry.

    Args:
        folder: of the manifest.

    Raises:
        DataError: a file is missing, the grids differ, a label is not of 0 to 255, no label has a voxel, or one that
            the entry names has none.
    """
    import SimpleITK as sitk

    from MemorizingSAM3DLib.engine.scans.image_files import read_itk_image

    image_path, label_path = image_and_label(folder, entry)
    for path in (image_path, label_path):
        if not path.is_file():
            raise DataError(f"Case {entry['id']} cannot be read: there is no file {path}.", "Check the manifest.")
    try:
        image = sitk.DICOMOrient(read_itk_image(image_path), "LPS")
        labels = sitk.DICOMOrient(read_itk_image(label_path), "LPS")
    except (RuntimeError, VolumeError) as error:
        raise DataError(f"Case {entry['id']} cannot be read.", f"Check {image_path.parent}: {error}") from error
    if image.GetNumberOfComponentsPerPixel() != 1 or labels.GetNumberOfComponentsPerPixel() != 1:
        raise DataError(f"Case {entry['id']} has a colour or vector image.", "Give scalar images and label maps.")
    refuse_other_grid(image, labels, entry["id"])
    array = _right_anterior_superior(image)
    label_array = label_values(_right_anterior_superior(labels), entry["id"])
    structures = {int(value): str(about["name"]) for value, about in entry["labels"].items()}
    present = set(np.unique(label_array).tolist()) - {0}
    if not present & set(structures):
        raise DataError(f"Case {entry['id']} has no labelled voxel.", "Remove it from the manifest.")
    empty = [f"{value} ({name})" for value, name in structures.items() if value not in present]
    if empty:
        raise DataError(
            f"Case {entry['id']} has no voxel of label {', '.join(empty)}.", "Take it out of the case's entry."
        )
    x, y, z = image.GetSpacing()
    modality = entry["modality"].split("-")[0]
    return Case(entry["id"], entry["dataset"], modality, array, label_array, (x, y, z), structures)


def load_cases(manifest: Path, entries: Sequence[Entry],
               progress: Callable[[int, int], None] | None = None) -> list[Case]:  # fmt: skip
    """All cases of the entries; ``progress(done, total)`` after each."""
    cases = []
    for number, entry in enumerate(entries, 1):
        cases.append(load_case(manifest.parent, entry))
        if progress:
            progress(number, len(entries))
    return cases


def refuse_other_grid(image: sitk.Image, labels: sitk.Image, case: str) -> None:
    """Raises DataError unless both lie on one grid: size, spacing, origin and direction."""
    places = zip((*image.GetOrigin(), *image.GetDirection()), (*labels.GetOrigin(), *labels.GetDirection()))  # noqa: B905
    same = image.GetSize() == labels.GetSize() and np.allclose(image.GetSpacing(), labels.GetSpacing(), rtol=1e-3)
    if not (same and all(abs(x - y) <= 0.01 for x, y in places)):
        raise DataError(
            f"Image and label of case {case} have different grids ({_grid(image)} and {_grid(labels)}).",
            "Resample the label map onto the image (in Slicer: Resample Scalar Volume, nearest neighbour).",
        )


def label_values(array: np.ndarray, case: str) -> np.ndarray:
    """A label map as uint8.

    Raises:
        DataError: a value is no whole number of 0 to 255.
    """
    found = np.unique(array)
    if not set(found.tolist()) <= set(range(256)):
        raise DataError(f"Case {case} has labels that are no whole numbers of 0 to 255.", "Number its structures anew.")
    return array.astype(np.uint8)


def _grid(image: sitk.Image) -> str:
    size = " x ".join(str(n) for n in image.GetSize())
    return f"{size} voxels of {' x '.join(f'{s:.3g}' for s in image.GetSpacing())} mm"


def _right_anterior_superior(image: sitk.Image) -> np.ndarray:
    import SimpleITK as sitk

    # LPS-oriented (K, J, I) arrays run S, P, L: axes turned round, and P and L flipped, give R, A, S.
    return np.ascontiguousarray(sitk.GetArrayFromImage(image).transpose(2, 1, 0)[::-1, ::-1])


def read_unlabelled(folder: Path) -> list[Case]:
    """All NIfTI scans (``*.nii.gz``) below a folder, as cases whose one structure is the body.

    Raises:
        DataError: there is none. VolumeError: one cannot be read.
    """
    paths = sorted(path for path in folder.rglob("*.nii.gz") if path.name != "label.nii.gz")
    if not paths:
        raise DataError(f"There is no scan (.nii.gz) below {folder}.", "Check the folder.")
    return [_case(path, path.relative_to(folder).as_posix()) for path in paths]


def _case(path: Path, name: str) -> Case:
    import SimpleITK as sitk

    from MemorizingSAM3DLib.engine.geometry import Volume

    scan = Volume.from_file(path)
    volume = Volume.from_sitk(sitk.DICOMOrient(scan.to_sitk(), "LPS"), scan.believed_modality)
    voxels = np.ascontiguousarray(volume.array.transpose(2, 1, 0)[::-1, ::-1])  # RAS, as the cases are held
    r, a, s = volume.spacing
    modality = volume.modality or "MR"
    return Case(name, "unlabelled", modality, voxels, np.zeros(voxels.shape, np.uint8), (r, a, s), {FOREGROUND: "body"})
