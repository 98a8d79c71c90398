"""The manifest of a collection of labelled scans: a JSON list, one entry a case, checked when it is read."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from MemorizingSAM3DLib.engine.errors import EngineError

Entry = dict[str, Any]

# Non-commercial licences, however they are spelt: weights that are shipped must not come from such data.
NON_COMMERCIAL = re.compile(r"\bNC\b|non[ -]?commercial", re.IGNORECASE)

_TEXTS = ("id", "dataset", "case", "split", "modality", "licence")
_NEEDED = (*_TEXTS, "labels")
_OPTIONAL = ("image", "label", "shape", "spacing", "bytes", "nominal_spacing")
_OF_A_LABEL = ("name", "voxels", "ml")


class DataError(EngineError):
    """A manifest, a case or a training pack cannot be used."""


def read_manifest(path: Path) -> list[Entry]:
    """The entries of a manifest.

    Each has ``id``, ``dataset``, ``case``, ``split``, ``modality``, ``licence`` and ``labels`` (label value to
    ``name``, ``voxels``, ``ml``); it may have ``image`` and ``label`` (paths beside the manifest, if not
    ``<dataset>/<case>/image.nii.gz`` and ``label.nii.gz``), ``shape`` (voxels), ``spacing`` (mm), ``bytes`` and
    ``nominal_spacing`` (true where the voxels' size in mm is not known, so that no distance is measured).

    Raises:
        DataError: the file is missing or not a manifest; an entry lacks a field, has an unknown one, or one of the
            wrong kind; two entries have the same id.
    """
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"The manifest {path} cannot be read ({error}).", "Check the path and the JSON.") from error
    check_entries(entries, str(path))
    return list(entries)


def check_entries(entries: object, what: str) -> None:
    """Refuses what is no list of cases.

    Args:
        what: where they come from, for the message.

    Raises:
        DataError: see :func:`read_manifest`.
    """
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise DataError(f"{what} is not a manifest.", f"It must be a list of cases with the fields {sorted(_NEEDED)}.")
    seen: set[str] = set()
    for number, entry in enumerate(entries):
        _check_entry(entry, f"Case {entry.get('id', f'number {number}')} of the manifest {what}")
        if entry["id"] in seen:
            raise DataError(f"The manifest {what} has the case {entry['id']} twice.", "Give every case its own id.")
        seen.add(entry["id"])


def select(entries: Iterable[Entry], split: str, datasets: Sequence[str] | None = None,
           permissive_only: bool = True) -> list[Entry]:  # fmt: skip
    """The entries of a split, of some datasets, and (by default) of licences that allow commercial use."""
    return [
        entry
        for entry in entries
        if entry["split"] == split
        and (datasets is None or entry["dataset"] in datasets)
        and not (permissive_only and NON_COMMERCIAL.search(entry["licence"]))
    ]


def some_of_each_dataset(entries: Sequence[Entry], amount: str | None, seed: int) -> list[Entry]:
    """So many entries of each dataset, at least one, drawn with a seed; a smaller draw is a part of a larger one.

    Args:
        amount: a number (``3``) or a share in per cent (``10%``); None: all.

    Raises:
        DataError: the amount is neither.
    """
    if amount is None:
        return list(entries)
    text = amount.strip()
    share = text.endswith("%")
    try:
        value = float(text[:-1]) / 100 if share else int(text)
    except ValueError:
        value = 0
    if not value > 0 or (share and value > 1):
        raise DataError(f"{amount} is no amount of cases.", "Give a number of cases (3) or a share of them (10%).")
    kept: set[str] = set()
    for dataset in sorted({entry["dataset"] for entry in entries}):
        ids = sorted(entry["id"] for entry in entries if entry["dataset"] == dataset)
        wanted = max(1, round(value * len(ids))) if share else int(value)
        kept.update(np.random.default_rng([seed, len(ids)]).permutation(ids)[:wanted].tolist())
    return [entry for entry in entries if entry["id"] in kept]


def image_and_label(folder: Path, entry: Entry) -> tuple[Path, Path]:
    """Where an entry's files are.

    Args:
        folder: of the manifest.
    """
    base = Path(entry["dataset"]) / entry["case"]
    image, label = entry.get("image", base / "image.nii.gz"), entry.get("label", base / "label.nii.gz")
    return folder / image, folder / label


def _check_entry(entry: Entry, what: str) -> None:
    missing = [name for name in _NEEDED if name not in entry]
    if missing:
        raise DataError(f"{what} has no {', '.join(missing)}.", f"Every case needs {', '.join(_NEEDED)}.")
    _refuse_unknown(entry, (*_NEEDED, *_OPTIONAL), what)
    for name in (*_TEXTS, "image", "label"):
        if name in entry and not (isinstance(entry[name], str) and entry[name]):
            raise DataError(f"{what} has {name} = {entry[name]!r}.", "It must be a text.")
    labels = entry["labels"]
    if not isinstance(labels, dict) or not labels:
        raise DataError(f"{what} names no labels.", 'Name them like this: {"1": {"name": "liver"}}.')
    for value, about in labels.items():
        if not (value.isdecimal() and 1 <= int(value) <= 255):
            raise DataError(f"{what} has the label {value!r}.", "Labels are whole numbers of 1 to 255.")
        if not isinstance(about, dict) or not isinstance(about.get("name"), str):
            raise DataError(f"Label {value} of {what} has no name.", 'Name it like this: {"1": {"name": "liver"}}.')
        _refuse_unknown(about, _OF_A_LABEL, f"Label {value} of {what}")


def _refuse_unknown(found: Mapping[str, object], known: Sequence[str], what: str) -> None:
    for name in found:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            remedy = f"Did you mean {near[0]}?" if near else f"Known fields: {', '.join(known)}."
            raise DataError(f"{what} has the unknown field {name}.", remedy)
