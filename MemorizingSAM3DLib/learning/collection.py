"""What a training learns from: a manifest with its files, or a training pack; both are used alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .cases import Case, load_cases
from .manifest import Entry, read_manifest
from .pack import is_pack, load_pack, read_pack


@dataclass(frozen=True)
class Collection:
    """Cases that can be loaded.

    Attributes:
        path: of the manifest or the pack. entries: of all its cases.
    """

    path: Path
    entries: list[Entry]
    packed: bool

    @classmethod
    def open(cls, path: Path) -> Collection:
        """A manifest or a pack.

        Raises:
            DataError: it is neither, or damaged.
        """
        packed = is_pack(path)
        return cls(path, read_pack(path) if packed else read_manifest(path), packed)

    def load(self, entries: Sequence[Entry], cache: Path,
             progress: Callable[[int, int], None] | None = None) -> list[Case]:  # fmt: skip
        """The cases of some entries; ``progress(done, total)`` after each.

        Args:
            cache: the folder that a pack is expanded into.

        Raises:
            DataError: a case cannot be used. OutputError: a pack cannot be expanded.
        """
        if self.packed:
            return load_pack(self.path, entries, cache, progress)
        return load_cases(self.path, entries, progress)
