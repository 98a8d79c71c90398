"""A manifest made from a folder: every pair is read and checked, splits are drawn."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..engine.errors import OutputError, VolumeError
from ..engine.geometry.image_files import read_itk_image
from ..engine.intensity import guess_modality
from .cases import label_values, refuse_other_grid
from .folders import Folder, Pair, beside
from .manifest import DataError, Entry

UNKNOWN = "unknown"


@dataclass(frozen=True)
class ManifestOptions:
    """What the files do not tell.

    Attributes:
        dataset: its name; None takes the folder's. modality: None takes what dataset.json says, else a guess.
        names: of labels, over what the files say. val_share: of the cases that are kept for validation.
    """

    licence: str = UNKNOWN
    dataset: str | None = None
    modality: str | None = None
    names: Mapping[int, str] | None = None
    val_share: float = 0.2
    seed: int = 0


def make_manifest(
    found: Folder, target: Path, options: ManifestOptions, progress: Callable[[int, int], None] | None = None
) -> tuple[list[Entry], list[DataError]]:
    """Entries for the pairs of a folder, and what is wrong with those that got none.

    Args:
        target: the manifest's path; files are named as seen from its folder.
    """
    splits = _splits(found, options)
    entries, faults = [], []
    for number, pair in enumerate(found.pairs):
        try:
            entries.append(_entry(found, pair, splits[number], target.absolute().parent, options))
        except DataError as fault:
            faults.append(fault)
        if progress:
            progress(number + 1, len(found.pairs))
    return entries, faults


def write_manifest(path: Path, entries: list[Entry]) -> None:
    """Writes a manifest whole or not at all; makes its folder.

    Raises:
        OutputError: it cannot be written.
    """
    partial = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(entries, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        os.replace(partial, path)
    except OSError as error:
        with suppress(OSError):  # the folder may be none
            partial.unlink()
        raise OutputError(
            f"The manifest {path} cannot be written ({error.strerror or error}).", "Choose another --out."
        ) from error


def _splits(found: Folder, options: ManifestOptions) -> list[str]:
    """``test`` for held-out pairs; of the others a share, at least one of two, is drawn for ``val``."""
    splits = ["test" if pair.held_out else "train" for pair in found.pairs]
    free = [number for number, split in enumerate(splits) if split == "train"]
    count = round(len(free) * options.val_share)
    if options.val_share > 0 and len(free) > 1:
        count = min(max(count, 1), len(free) - 1)
    for number in np.random.default_rng(options.seed).permutation(free)[:count].tolist():
        splits[number] = "val"
    return splits


def _entry(found: Folder, pair: Pair, split: str, folder: Path, options: ManifestOptions) -> Entry:
    dataset = options.dataset or found.name
    name = f"{dataset}/{pair.case}"
    image, label = (_read(path, name) for path in (pair.image, pair.label))
    refuse_other_grid(image, label, name)
    oriented = sitk.DICOMOrient(label, "LPS")
    counts = np.bincount(label_values(sitk.GetArrayViewFromImage(label), name).ravel())
    names = {**_segment_names(label), **found.names, **(options.names or {})}
    millilitres = float(np.prod(label.GetSpacing())) / 1000
    labels = {
        str(value): {"name": names.get(value, f"label {value}"), "voxels": int(n), "ml": round(n * millilitres, 3)}
        for value, n in enumerate(counts.tolist())
        if value and n
    }
    if not labels:
        raise DataError(f"Case {name} has no labelled voxel ({pair.label}).", "Label it, or leave it out.")
    modality = options.modality or found.modality or guess_modality(sitk.GetArrayViewFromImage(image)) or UNKNOWN
    return {
        "id": name, "dataset": dataset, "case": pair.case, "split": split, "modality": modality,
        "licence": options.licence, "image": beside(pair.image, folder), "label": beside(pair.label, folder),
        "shape": list(oriented.GetSize()), "spacing": [round(s, 5) for s in oriented.GetSpacing()], "labels": labels,
    }  # fmt: skip


def _read(path: Path, case: str) -> sitk.Image:
    try:
        image = read_itk_image(path)
    except (RuntimeError, VolumeError) as error:
        reason = str(error).strip().splitlines()[-1]
        raise DataError(f"Case {case}: {path} cannot be read ({reason}).", "Replace the file.") from error
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise DataError(
            f"Case {case}: {path} is no scalar 3D volume.",
            "Take one time point or channel; export overlapping segments as one label map.",
        )
    return image


def _segment_names(label: sitk.Image) -> dict[int, str]:
    """Names that Slicer writes into .seg.nrrd files."""
    names = {}
    for number in range(256):
        name, value = f"Segment{number}_Name", f"Segment{number}_LabelValue"
        if not label.HasMetaDataKey(name):
            break
        if label.HasMetaDataKey(value) and label.GetMetaData(value).isdecimal():
            names[int(label.GetMetaData(value))] = label.GetMetaData(name)
    return names
