"""Images and label maps on disk, and their manifest."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from MemorizingSAM3DLib.learning.data.cases import Case
from Testing.learning.small_cases import a_case


def write_volume(path: Path, array: np.ndarray, spacing: tuple[float, float, float] = (2.0, 2.0, 3.0)) -> None:
    """An (R, A, S) array as an image file whose axes run to the right, to the front and upwards."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.transpose(2, 1, 0)))
    image.SetSpacing(spacing)
    image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
    sitk.WriteImage(image, str(path))


def write_case(image: Path, label: Path, case: Case) -> None:
    write_volume(image, case.image, case.spacing)
    write_volume(label, case.labels, case.spacing)


def a_manifest(folder: Path, count: int = 2, licence: str = "CC0") -> Path:
    """So many cases for training and one for validation, beside their manifest."""
    entries = []
    for number in range(count + 1):
        case = a_case(f"one/{number}", "CT" if number == 0 else "MR", seed=number)
        place = folder / "one" / str(number)
        write_case(place / "image.nii.gz", place / "label.nii.gz", case)
        entries.append(
            {
                "id": case.name,
                "dataset": "one",
                "case": str(number),
                "split": "train" if number < count else "val",
                "modality": case.modality,
                "licence": licence,
                "labels": {str(value): {"name": name} for value, name in case.structures.items()},
            }  # fmt: skip
        )
    (folder / "manifest.json").write_text(json.dumps(entries), encoding="utf-8")
    return folder / "manifest.json"
