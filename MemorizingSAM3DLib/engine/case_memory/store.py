"""Where cases lie: what a folder and a single file have in common.

What a case memory says of itself: format, encoder, layout and budget (the file ``memory.json``).
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import CaseMemoryError, UnreadableCaseError
from .array_file import damaged, parse_json, read_array
from .case import DTYPES, CaseLayout, StoredCase, array_digest, fault_in

FORMAT = "MemorizingSAM3D case memory"
VERSION = 1
DEFAULT_BUDGET = 2_000_000_000
MOST_MANIFEST = 2**14  # bytes
_LEAST_BUDGET, _MOST_BUDGET = 1_000, 2**50
_ENCODER = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class MemoryManifest:
    """The facts of a whole memory.

    Args:
        layout: of every case.
        encoder: SHA-256 (hexadecimal) of the image encoder that wrote it (:mod:`.weights_file`).
        budget_bytes: how much the files of its cases may take together.

    Raises:
        CaseMemoryError: the encoder is no such hash, or the budget is absurd.
    """

    layout: CaseLayout
    encoder: str
    budget_bytes: int = DEFAULT_BUDGET

    def __post_init__(self) -> None:
        if not isinstance(self.encoder, str) or not _ENCODER.fullmatch(self.encoder):
            raise CaseMemoryError("A case memory needs the SHA-256 of its encoder.", "Give 64 hexadecimal digits.")
        if type(self.budget_bytes) is not int or not _LEAST_BUDGET <= self.budget_bytes <= _MOST_BUDGET:
            raise CaseMemoryError("The budget of a case memory is out of bounds.", "Give one of at least 1000 bytes.")

    @classmethod
    def from_bytes(cls, path: Path, text: bytes) -> MemoryManifest:
        """The sheet in a file.

        Raises:
            CaseMemoryError: it is of another format or version, or not sound.
        """
        table = parse_json(path, text)
        if not isinstance(table, dict) or set(table) != {"format", "version", "encoder", "layout", "budget_bytes"}:
            raise foreign(path)
        check_version(path, table["format"], table["version"])
        return cls(CaseLayout.from_json(table["layout"]), table["encoder"], table["budget_bytes"])

    def to_bytes(self) -> bytes:
        """The sheet for a file."""
        table: dict[str, Any] = {
            "format": FORMAT,
            "version": VERSION,
            "encoder": self.encoder,
            "budget_bytes": self.budget_bytes,
            "layout": self.layout.as_json(),
        }
        return json.dumps(table, indent=1).encode()


def check_version(path: Path, name: object, version: object, expected: str = FORMAT) -> None:
    """Refuses another format than ours, and versions that this program does not know.

    Raises:
        CaseMemoryError: naming the file.
    """
    if name != expected:
        raise foreign(path)
    if str(version) != str(VERSION):
        raise CaseMemoryError(
            f"{path} is of version {str(version)[:10]} of the format; this program knows version {VERSION}.",
            "Update MemorizingSAM3D, or build the memory anew.",
        )


def foreign(path: Path) -> CaseMemoryError:
    """The error of a file or folder that is no case memory."""
    return CaseMemoryError(
        f"{path} is not a case memory.",
        "Give the folder with its memory.json, or a single file that was exported: memorizing-sam3d memory export",
    )


class Problem(NamedTuple):
    """A file that is not as it should be.

    Args:
        file: its name.
        problem: what is wrong with it, in words for the user.
        case: the id of the case that it was to hold, if any.
        damaged: whether it will never be of use again; not where it could not be read just now.
    """

    file: str
    problem: str
    case: str | None = None
    damaged: bool = True


class Scan(NamedTuple):
    """What lies in a store: the sound cases by id, and what else was found."""

    cases: dict[str, StoredCase]
    problems: list[Problem]


class CaseStore(ABC):
    """Cases on the disk. Nothing is kept of their arrays here.

    Args:
        path: folder or file.
        manifest: the facts of the memory.
    """

    read_only = True

    def __init__(self, path: Path, manifest: MemoryManifest) -> None:
        self.path = path
        self.manifest = manifest

    @abstractmethod
    def scan(self, known: Mapping[str, StoredCase]) -> Scan:
        """All cases there are now; of those that are known nothing is read again.

        Raises:
            CaseMemoryError: the folder or file is gone.
        """

    @abstractmethod
    def place(self, case: StoredCase, name: str) -> tuple[Path, int]:
        """File and first byte of an array."""

    @abstractmethod
    def check_there(self) -> None:
        """Raises CaseMemoryError if the folder or file is gone."""

    def read(self, case: StoredCase, name: str) -> np.ndarray:
        """One array of a case, compared with its hash.

        Raises:
            UnreadableCaseError: damaged, or gone.
        """
        layout = self.manifest.layout
        spec = layout[name]
        path, offset = self.place(case, name)
        array = np.empty(spec.shape, DTYPES[spec.dtype])
        read_array(path, offset, array)
        if array_digest(array) != case.digest(layout, name):
            raise damaged(path, f"is damaged: its {name} are not what was written")
        if fault := fault_in(name, array):
            raise damaged(path, fault)
        return array


def verify(store: CaseStore) -> list[Problem]:
    """Reads every byte of every case, and compares it with its hash.

    Returns:
        what is damaged or foreign; empty if all is well.

    Raises:
        CaseMemoryError: the folder or file is gone.
    """
    found = store.scan({})
    problems = list(found.problems)
    for case in found.cases.values():
        try:
            for name in store.manifest.layout:
                store.read(case, name)
        except UnreadableCaseError as error:
            if not error.gone:
                problems.append(Problem(store.place(case, name)[0].name, str(error), case.id, error.damaged))
    store.check_there()
    return problems
