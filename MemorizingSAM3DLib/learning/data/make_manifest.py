"""A manifest made from a folder: every pair is read and checked, splits are drawn.

Images and label maps found in a folder and paired by their names: nnU-Net's layout, Slicer's, and plain ones.
"""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from MemorizingSAM3DLib.engine.errors import OutputError, VolumeError
from MemorizingSAM3DLib.engine.scans.image_files import read_itk_image
from MemorizingSAM3DLib.engine.scans.modality import guess_modality

from .cases import label_values, refuse_other_grid
from .manifest import DataError, Entry

SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")
_IMAGE_FOLDER = re.compile(r"(images?|imgs?|scans?|volumes?)(Tr|Ts)?", re.IGNORECASE)
_LABEL_FOLDER = re.compile(r"(labels?|masks?|segs?|segmentations?|labelmaps?)(Tr|Ts)?", re.IGNORECASE)
_LABEL_NAME = re.compile(r"(?:(.*)[._-])?(?:label|labels|labelmap|mask|seg|segmentation|gt)", re.IGNORECASE)
_IMAGE_NAME = re.compile(r"(?:(.*)[._-])?(?:image|img|scan|volume)", re.IGNORECASE)
_CHANNEL_NAME = re.compile(r"(.*)_(\d{4})")
Key = tuple[str, str]  # folder (images and labels beside each other count as one) and name of a case


@dataclass(frozen=True)
class Pair:
    """An image and its label map. ``held_out``: from nnU-Net's test folders."""

    case: str
    image: Path
    label: Path
    held_out: bool = False


@dataclass(frozen=True)
class Folder:
    """What a folder holds.

    Attributes:
        name: of the dataset. pairs: in order of their names. names: of labels, as far as the folder tells them.
        modality: as the folder tells it, else None. left_out: files that have no partner.
    """

    name: str
    pairs: list[Pair]
    names: dict[int, str] = field(default_factory=dict)
    modality: str | None = None
    left_out: list[Path] = field(default_factory=list)


def read_folder(folder: Path, channel: int = 0) -> Folder:
    """Finds pairs of an image and a label map.

    That is ``imagesTr/a_0000.nii.gz`` with ``labelsTr/a.nii.gz``, ``images/a`` with ``labels/a``, ``a.nrrd`` with
    ``a.seg.nrrd`` or ``a-label.nrrd``, ``a/image`` with ``a/label``, or the only two files of a folder.

    Args:
        channel: of nnU-Net's images with several channels.

    Raises:
        DataError: no such folder, an unreadable dataset.json, two files for one case, or no pair at all.
    """
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}.", "Check the path.")
    about = _dataset_json(folder)
    images: dict[Key, Path] = {}
    labels: dict[Key, Path] = {}
    channels: list[tuple[Key, int, Path]] = []
    for path in _volumes(folder):
        where, name = _folder_key(folder, path), _stem(path)
        if _is_label(folder, path):
            matched = _LABEL_NAME.fullmatch(name)
            _put(labels, (where, (matched[1] or "") if matched else name), path)
        elif (split := _CHANNEL_NAME.fullmatch(name)) and _in_folder(folder, path, _IMAGE_FOLDER):
            channels.append(((where, split[1]), int(split[2]), path))
        else:
            matched = _IMAGE_NAME.fullmatch(name)
            _put(images, (where, (matched[1] or "") if matched else name), path)
    for key, number, path in channels:
        if key not in labels:  # it was no channel: a name that ends in four digits
            _put(images, (key[0], _stem(path)), path)
        elif number == channel:
            _put(images, key, path)
    _pair_the_only_two(images, labels)
    both = sorted(set(images) & set(labels))
    if not both:
        raise DataError(
            f"No image in {folder} has a label map that is named like it.",
            "Put them into images/ and labels/ under the same names, or name label maps NAME-label or NAME.seg.",
        )
    left = [path for found in (images, labels) for key, path in found.items() if key not in both]
    pairs = [Pair(_case_name(key), images[key], labels[key], "Ts" in Path(key[0]).parts) for key in both]
    name = about.get("name") or folder.resolve().name
    return Folder(str(name), pairs, _label_names(about), _modality(about, channel), sorted(left))


def _volumes(folder: Path) -> Iterable[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name.lower().endswith(SUFFIXES) and not path.name.startswith("."):
            yield path


def _stem(path: Path) -> str:
    suffix = next(suffix for suffix in SUFFIXES if path.name.lower().endswith(suffix))
    return path.name[: -len(suffix)]


def _folder_key(folder: Path, path: Path) -> str:
    """The file's folder; images and labels beside each other get the same, nnU-Net's test folders their own."""
    parts = []
    for part in path.parent.relative_to(folder).parts:
        matched = _IMAGE_FOLDER.fullmatch(part) or _LABEL_FOLDER.fullmatch(part)
        if matched is None:
            parts.append(part)
        elif matched[2] and matched[2].lower() == "ts":
            parts.append("Ts")
    return "/".join(parts)


def _in_folder(folder: Path, path: Path, name: re.Pattern[str]) -> bool:
    return any(name.fullmatch(part) for part in path.parent.relative_to(folder).parts)


def _is_label(folder: Path, path: Path) -> bool:
    if _in_folder(folder, path, _LABEL_FOLDER):
        return True
    return not _in_folder(folder, path, _IMAGE_FOLDER) and _LABEL_NAME.fullmatch(_stem(path)) is not None


def _put(found: dict[Key, Path], key: Key, path: Path) -> None:
    if key in found:
        raise DataError(f"{found[key]} and {path} are named as one case.", "Keep one of them, or rename it.")
    found[key] = path


def _pair_the_only_two(images: dict[Key, Path], labels: dict[Key, Path]) -> None:
    places: dict[str, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
    for number, found in enumerate((images, labels)):
        for where, name in found:
            places[where][number].append(name)
    for where, (of_images, of_labels) in places.items():
        if len(of_images) == len(of_labels) == 1 and of_images != of_labels:
            labels[where, of_images[0]] = labels.pop((where, of_labels[0]))


def _case_name(key: Key) -> str:
    return "_".join(part for part in (*key[0].split("/"), key[1]) if part) or "case"


def _dataset_json(folder: Path) -> dict[str, Any]:
    path = folder / "dataset.json"
    if not path.is_file():
        return {}
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}).", "Mend it, or move it away.") from error
    return about if isinstance(about, dict) else {}


def _label_names(about: dict[str, Any]) -> dict[int, str]:
    """nnU-Net 2 says name: value (a list for a region of several), nnU-Net 1 and the Decathlon say value: name."""
    names = {}
    for left, right in about.get("labels", {}).items():
        value, name = (right, left) if isinstance(right, (int, list)) else (left, right)
        if not isinstance(value, list) and str(value).isdecimal() and int(value) > 0 and name != "ignore":
            names[int(value)] = str(name)
    return names


def _modality(about: dict[str, Any], channel: int) -> str | None:
    channels = about.get("channel_names") or about.get("modality") or {}
    told = str(channels.get(str(channel), "")) if isinstance(channels, dict) else ""
    word = told.upper()
    if re.search(r"\bCT\b", word):
        return "CT"
    if re.search(r"\bPE?T\b", word):
        return "PET"
    return "MR" if re.search(r"MR|T1|T2|FLAIR|ADC|DWI|SWI|PD", word) else None


def beside(path: Path, folder: Path) -> str:
    """A path as seen from a folder, with slashes; absolute where there is no way (another drive of Windows)."""
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:
        return path.resolve().as_posix()


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
