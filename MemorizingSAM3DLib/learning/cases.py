"""Training cases: scans with labels, described by a manifest, held in memory in RAS order."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from ..engine.errors import EngineError

# Non-commercial licences, however they are spelt: weights that are shipped must not come from such data.
NON_COMMERCIAL = re.compile(r"\bNC\b|non[ -]?commercial", re.IGNORECASE)


class DataError(EngineError):
    """A manifest or a case cannot be used."""


@dataclass(frozen=True, eq=False)
class Case:
    """One scan with its label map.

    Attributes:
        image: (R, A, S) int16 or float32. labels: (R, A, S) uint8. spacing: mm along R, A, S.
        structures: label value to name, only labels that have voxels.
    """

    name: str
    dataset: str
    modality: str
    image: np.ndarray
    labels: np.ndarray
    spacing: tuple[float, float, float]
    structures: dict[int, str]


def read_manifest(path: Path) -> list[dict[str, Any]]:
    """The entries of a manifest (format of the project's data folder).

    Raises:
        DataError: the file is missing or not a manifest.
    """
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"The manifest {path} cannot be read ({error}).", "Check the path and the JSON.") from error
    needed = {"id", "dataset", "case", "split", "modality", "licence", "labels"}
    if not isinstance(entries, list) or not all(isinstance(e, dict) and needed <= set(e) for e in entries):
        raise DataError(f"{path} is not a manifest.", f"It must be a list of cases with the fields {sorted(needed)}.")
    return entries


def select(entries: Iterable[dict[str, Any]], split: str, datasets: Sequence[str] | None = None,
           permissive_only: bool = True) -> list[dict[str, Any]]:  # fmt: skip
    """The entries of a split, of some datasets, and (by default) of licences that allow commercial use."""
    return [
        entry
        for entry in entries
        if entry["split"] == split
        and (datasets is None or entry["dataset"] in datasets)
        and not (permissive_only and NON_COMMERCIAL.search(entry["licence"]))
    ]


def load_case(folder: Path, entry: dict[str, Any]) -> Case:
    """Reads ``<dataset>/<case>/image.nii.gz`` and ``label.nii.gz`` beside the manifest.

    Raises:
        DataError: a file is missing, the grids differ, a label is not of 0 to 255, or no label has a voxel.
    """
    base = folder / entry["dataset"] / entry["case"]
    try:
        image = sitk.DICOMOrient(sitk.ReadImage(str(base / "image.nii.gz")), "LPS")
        labels = sitk.DICOMOrient(sitk.ReadImage(str(base / "label.nii.gz")), "LPS")
    except RuntimeError as error:
        raise DataError(f"Case {entry['id']} cannot be read.", f"Check {base}: {error}") from error
    if not _same_grid(image, labels):
        raise DataError(f"Image and label of case {entry['id']} have different grids.", "Resample the label map.")
    array = _right_anterior_superior(image)
    label_array = _right_anterior_superior(labels)
    present = set(np.unique(label_array).tolist()) - {0}
    if not present <= set(range(256)):
        raise DataError(
            f"Case {entry['id']} has labels that are no whole numbers of 0 to 255.", "Number its structures anew."
        )
    structures = {int(k): v["name"] for k, v in entry["labels"].items() if int(k) in present}
    if not structures:
        raise DataError(f"Case {entry['id']} has no labelled voxel.", "Remove it from the manifest.")
    x, y, z = image.GetSpacing()
    modality = entry["modality"].split("-")[0]
    return Case(entry["id"], entry["dataset"], modality, array, label_array.astype(np.uint8), (x, y, z), structures)


def load_cases(manifest: Path, entries: Sequence[dict[str, Any]],
               progress: Callable[[int, int], None] | None = None) -> list[Case]:  # fmt: skip
    """All cases of the entries; ``progress(done, total)`` after each."""
    cases = []
    for number, entry in enumerate(entries, 1):
        cases.append(load_case(manifest.parent, entry))
        if progress:
            progress(number, len(entries))
    return cases


def _same_grid(a: sitk.Image, b: sitk.Image) -> bool:
    places = zip((*a.GetOrigin(), *a.GetDirection()), (*b.GetOrigin(), *b.GetDirection()), strict=True)
    return (
        a.GetSize() == b.GetSize()
        and np.allclose(a.GetSpacing(), b.GetSpacing(), rtol=1e-3)
        and all(abs(x - y) <= 0.01 for x, y in places)
    )


def _right_anterior_superior(image: sitk.Image) -> np.ndarray:
    # LPS-oriented (K, J, I) arrays run S, P, L: axes turned round, and P and L flipped, give R, A, S.
    return np.ascontiguousarray(sitk.GetArrayFromImage(image).transpose(2, 1, 0)[::-1, ::-1])
