"""What a case memory says of itself: format, encoder, layout and budget (the file ``memory.json``)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .array_file import parse_json
from .case_layout import CaseLayout
from .errors import CaseMemoryError

FORMAT = "MemorizingSAM3D case memory"
VERSION = 1
DEFAULT_BUDGET = 2_000_000_000

MOST_SHEET = 2**14  # bytes
_LEAST_BUDGET, _MOST_BUDGET = 1_000, 2**50
_ENCODER = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class MemorySheet:
    """The facts of a whole memory.

    Args:
        layout: of every case.
        encoder: SHA-256 (hexadecimal) of the image encoder that wrote it (:mod:`..fingerprint`).
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
    def from_bytes(cls, path: Path, text: bytes) -> MemorySheet:
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
