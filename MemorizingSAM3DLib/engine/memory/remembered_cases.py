"""Reading remembered cases, from a folder or a single file alike."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .case_archive import write_archive
from .case_facts import CaseFacts
from .case_folder import CaseFolder
from .case_index import CaseIndex
from .case_layout import CaseLayout
from .case_store import CaseStore, Problem, verify
from .errors import CaseMemoryError


class RememberedCase(NamedTuple):
    """A case of the memory: its id (follows from its content), its facts, and what it takes, in bytes."""

    id: str
    facts: CaseFacts
    size_bytes: int


class RememberedCases:
    """Cases in the order of their ids: `cases[i]` is row i of `stacked(name)`. May be used from several threads.

    Args:
        store: where they lie.
    """

    def __init__(self, store: CaseStore) -> None:
        self._store = store
        self._index = CaseIndex(store)

    @property
    def path(self) -> Path:
        """Folder or file."""
        return self._store.path

    @property
    def layout(self) -> CaseLayout:
        """The arrays of every case."""
        return self._store.sheet.layout

    @property
    def encoder(self) -> str:
        """SHA-256 (hexadecimal) of the image encoder that wrote it."""
        return self._store.sheet.encoder

    @property
    def read_only(self) -> bool:
        """Whether it is a single file."""
        return self._store.read_only

    @property
    def revision(self) -> int:
        """Another number whenever the set of cases has changed: what was made of `stacked` is out of date."""
        return self._index.revision

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was left out, and why; for the user to see."""
        return self._index.warnings

    @property
    def damaged(self) -> tuple[str, ...]:
        """The ids of the cases that were left out; :meth:`remove` takes them, too."""
        return self._index.damaged

    @property
    def cases(self) -> tuple[RememberedCase, ...]:
        """All cases, in the order of their ids."""
        return tuple(RememberedCase(case.id, case.facts, case.size_bytes) for case in self._index.cases)

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of all cases, in their order."""
        return tuple(case.id for case in self._index.cases)

    @property
    def size_bytes(self) -> int:
        """Bytes of all cases on the disk."""
        return self._index.size_bytes

    def __len__(self) -> int:
        return len(self._index)

    def __contains__(self, case: object) -> bool:
        return case in self._index

    def matching(self, structure: str | None = None, modality: str | None = None) -> np.ndarray:
        """(n,) bool: which cases are of a structure (upper and lower case do not matter) and of a modality."""
        wanted = None if structure is None else structure.strip().casefold()
        rows = [
            (wanted is None or case.facts.structure.strip().casefold() == wanted)
            and (modality is None or case.facts.modality == modality)
            for case in self._index.cases
        ]
        return np.array(rows, bool)

    def stacked(self, name: str, ids: Iterable[str] | None = None) -> np.ndarray:
        """An array of many cases, read from the disk only the first time.

        Args:
            name: an array of the layout.
            ids: the cases wanted, in the order wanted; None: all, in their order.

        Returns:
            (n, *shape), read only, of all; a copy (len(ids), *shape) of those asked for.

        Raises:
            UnreadableCaseError: one of `ids` is unknown, damaged, or was removed by another program; it is left out
                from now on. With None such cases are left out without an error: `revision` and `warnings` tell.
            CaseMemoryError: the folder is gone.
        """
        return self._index.stacked(name) if ids is None else self._index.some(name, ids)

    def arrays(self, case: str) -> dict[str, np.ndarray]:
        """All arrays of a case, copies.

        Raises:
            UnreadableCaseError: see :meth:`stacked`.
        """
        return {name: self.stacked(name, [case])[0] for name in self.layout}

    def verify(self) -> list[Problem]:
        """Reads every byte of every case, and compares: what is damaged, foreign or left over; empty if all is well.

        Raises:
            CaseMemoryError: the folder is gone.
        """
        problems = verify(self._store)
        return problems + self._store.leftovers() if isinstance(self._store, CaseFolder) else problems

    def export(self, file: Path) -> None:
        """Writes all cases into a single file, which :meth:`open` and :meth:`unpack` take.

        Raises:
            UnreadableCaseError: a case is damaged; no file is written.
            OutputError: the file cannot be written; one that was there is unchanged.
        """
        write_archive(file, self._store.sheet, self._index.cases, self._store.read)

    def require_encoder(self, encoder: str) -> None:
        """Refuses to serve another encoder.

        Raises:
            CaseMemoryError: this memory was written by another one.
        """
        if encoder != self.encoder:
            raise CaseMemoryError(
                f"{self.path} was made with another image encoder ({self.encoder[:12]} ..., not {encoder[:12]} ...).",
                "Choose the model that made the memory, or build a memory with this one.",
            )

    def require_layout(self, layout: CaseLayout) -> None:
        """Refuses cases of another form.

        Raises:
            CaseMemoryError: this memory keeps other arrays.
        """
        if layout != self.layout:
            raise CaseMemoryError(
                f"{self.path} keeps {_named(self.layout)}, not {_named(layout)}.", "Make a memory of its own for these."
            )


def _named(layout: CaseLayout) -> str:
    return ", ".join(f"{name} {spec.dtype} {spec.shape}" for name, spec in layout.items())
