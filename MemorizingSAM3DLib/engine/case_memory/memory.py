"""Remembered cases: a folder that grows, or a single file to copy.

What is remembered of a case is laid down in :class:`CaseLayout` and :class:`CaseFacts`: an image descriptor, keys and
values at the memory layers, optionally the structure's mask at token resolution; no name, tag or path of a patient.
A memory belongs to the image encoder that wrote it. Indexes for the search are made anew, never stored
(:mod:`.nearest`).

Several programs may write into one folder at once, and may be killed at any moment: a case is a file of its own, named
by its content and renamed into place whole (:mod:`.folder`).

Reading remembered cases, from a folder or a single file alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import CaseMemoryError, UnreadableCaseError
from .case import CaseFacts, CaseLayout, StoredCase, case_id, checked_arrays, digests_of
from .folder import CaseArchive, CaseFolder, write_archive
from .index import CaseIndex
from .store import DEFAULT_BUDGET, CaseStore, MemoryManifest, Problem, verify


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
        return self._store.manifest.layout

    @property
    def encoder(self) -> str:
        """SHA-256 (hexadecimal) of the image encoder that wrote it."""
        return self._store.manifest.encoder

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
        write_archive(file, self._store.manifest, self._index.cases, self._store.read)

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


_LOOK_AROUND = 64  # cases written until what other programs wrote is counted against the budget, too


class Added(NamedTuple):
    """What :meth:`CaseMemory.add` did: the id, whether the case was new, and the ids of those that made room for it."""

    id: str
    new: bool
    evicted: tuple[str, ...] = ()


class Merged(NamedTuple):
    """What :meth:`CaseMemory.merge` did: cases taken over, there already, evicted to make room, and unreadable."""

    added: int
    known: int
    evicted: int
    damaged: int


class CaseMemory(RememberedCases):
    """Remembered cases, always in the order of their ids: `cases[i]` is row i of `stacked(name)`.

    :meth:`create`, :meth:`open` and :meth:`unpack` give one. It may be used from several threads.
    """

    _written = 0  # cases, by this object

    @classmethod
    def create(cls, path: Path, layout: CaseLayout, encoder: str, budget_bytes: int = DEFAULT_BUDGET) -> CaseMemory:
        """A new, empty memory in a folder.

        Args:
            path: the folder, made if need be.
            layout: of every case.
            encoder: SHA-256 (hexadecimal) of the image encoder (:func:`.weights_file.encoder_fingerprint`).
            budget_bytes: how much the cases may take together, on the disk.

        Raises:
            CaseMemoryError: there is a memory in this folder already.
            OutputError: the folder cannot be made or written to.
        """
        try:
            return cls(CaseFolder.create(path, MemoryManifest(layout, encoder, budget_bytes)))
        except FileExistsError as error:
            problem = f"{path} holds a case memory already."
            raise CaseMemoryError(problem, "Open it, or choose another folder.") from error

    @classmethod
    def open(cls, path: Path, encoder: str | None = None) -> CaseMemory:
        """A memory that is there: a folder, or a single file that was exported (read only).

        Args:
            path: folder or file.
            encoder: the fingerprint of the encoder that is to use it; None: whichever wrote it.

        Raises:
            CaseMemoryError: it is missing, no memory, damaged as a whole, or of another encoder. Cases that are damaged
                are left out, and `warnings` names them.
        """
        if not (path.is_dir() or path.is_file()):  # a pipe would be waited for
            raise CaseMemoryError(f"There is no case memory {path}.", "Check the path.")
        memory = cls(CaseFolder.open(path) if path.is_dir() else CaseArchive(path))
        if encoder is not None:
            memory.require_encoder(encoder)
        return memory

    @classmethod
    def open_or_create(cls, path: Path, layout: CaseLayout, encoder: str) -> CaseMemory:
        """The memory in a folder, made if there is none; for many programs that fill one.

        Raises:
            CaseMemoryError: the one that is there has another encoder or layout, or cannot be read.
            OutputError: the folder cannot be made or written to.
        """
        try:
            memory = cls(CaseFolder.create(path, MemoryManifest(layout, encoder)))
        except FileExistsError:
            memory = cls.open(path, encoder)
        memory.require_layout(layout)
        return memory

    @classmethod
    def unpack(cls, file: Path, path: Path) -> CaseMemory:
        """A new folder with the cases of a single file.

        Raises:
            CaseMemoryError: the file is no sound memory, or there is a memory in the folder already.
            OutputError: the folder cannot be made or written to.
        """
        source = cls.open(file)
        memory = cls.create(path, source.layout, source.encoder, max(DEFAULT_BUDGET, 2 * source.size_bytes))
        memory.merge(source)
        return memory

    @property
    def budget_bytes(self) -> int:
        """How much the cases may take together. Setting it less evicts cases at once.

        Raises:
            CaseMemoryError, OutputError: it cannot be set.
        """
        return self._store.manifest.budget_bytes

    @budget_bytes.setter
    def budget_bytes(self, value: int) -> None:
        folder = self._folder()
        with self._index.lock:
            folder.write_manifest(MemoryManifest(self.layout, self.encoder, value))
            self._make_room(folder, None)

    def add(self, arrays: Mapping[str, np.ndarray], facts: CaseFacts) -> Added:
        """Remembers a case. One that is there already is not stored again, but counts as used.

        Args:
            arrays: those of the layout; floats are rounded to its types.
            facts: of the case.

        Raises:
            CaseMemoryError: an array does not fit, the case alone is larger than the budget, or it is a single file.
            OutputError: the disk is full, or the folder gone or read-only. Nothing has changed then.
        """
        folder = self._folder()
        kept = checked_arrays(self.layout, arrays)
        digests = digests_of(self.layout, kept)
        case = case_id(self.encoder, self.layout, facts, digests)
        with self._index.lock:
            stored = None if case in self.damaged else _found(folder, case)
            new = stored is None
            if stored is None:
                self._check_fits()
                stored = folder.write(case, facts, digests, kept)
                self._written += 1
            else:
                folder.touch(case)
            self._index.take(stored)
            crowded = self.size_bytes > self.budget_bytes or self._written % _LOOK_AROUND == 0
            return Added(case, new, self._make_room(folder, case) if new and crowded else ())

    def remove(self, case: str) -> None:
        """Forgets a case; also one that was left out as damaged.

        Raises:
            CaseMemoryError: there is none of this id, or it is a single file.
            OutputError: its file may not be removed.
        """
        folder = self._folder()
        with self._index.lock:
            if case not in self.damaged:
                self._index.case(case)
            folder.delete(case)
            self._index.drop([case])

    def clear(self) -> None:
        """Forgets all cases, damaged ones and those of other programs too.

        Raises:
            CaseMemoryError, OutputError: see :meth:`remove`.
        """
        with self._index.lock:
            self._folder()
            self.reload()
            for case in (*self.ids, *self.damaged):
                self.remove(case)

    def touch(self, cases: Iterable[str]) -> None:
        """Notes that cases were of use: what was not, longest ago, is evicted first. A single file notes nothing."""
        if isinstance(self._store, CaseFolder):
            for case in cases:
                self._store.touch(case)

    def reload(self) -> bool:
        """Takes over what other programs have written, removed or set.

        Returns:
            whether the set of cases has changed.

        Raises:
            CaseMemoryError: the folder is gone or has become another memory; what was read stays.
        """
        with self._index.lock:
            if isinstance(self._store, CaseFolder):
                self._store.read_manifest()
            return self._index.look()

    def merge(self, other: CaseMemory, progress: Callable[[], None] = lambda: None) -> Merged:
        """Takes over the cases of another memory, which stays as it is; its damaged cases are left out.

        Args:
            other: of the same encoder and layout.
            progress: called after each case.

        Raises:
            CaseMemoryError: another encoder or layout, or this one is a single file.
            OutputError: a case cannot be written; those before it are there.
        """
        self._folder()
        self.require_encoder(other.encoder)
        self.require_layout(other.layout)
        added = known = evicted = damaged = 0
        for case in other._index.cases:
            if case.id in self:
                known += 1
                progress()
                continue
            try:
                # Not through the other's cache, which would come to hold all of it.
                done = self.add({name: other._store.read(case, name) for name in self.layout}, case.facts)
            except UnreadableCaseError:
                damaged += 1
            else:
                added, known, evicted = added + done.new, known + (not done.new), evicted + len(done.evicted)
            progress()
        return Merged(added, known, evicted, damaged)

    def _folder(self) -> CaseFolder:
        if not isinstance(self._store, CaseFolder):
            raise CaseMemoryError(
                f"{self.path} is a single file: it can be read, not changed.",
                "Unpack it into a folder first: memorizing-sam3d memory import",
            )
        return self._store

    def _check_fits(self) -> None:
        if self.layout.nbytes > self.budget_bytes:
            problem = f"A case takes {self.layout.nbytes} bytes, the memory {self.path} may have {self.budget_bytes}."
            raise CaseMemoryError(problem, "Give it a larger budget.")

    def _make_room(self, folder: CaseFolder, keep: str | None) -> tuple[str, ...]:
        """Removes what was of no use for longest, of all programs' cases, until the budget is kept."""
        usage = folder.usage()
        total = sum(size for _, _, size in usage)
        evicted = []
        for _, case, size in usage:
            if total <= self.budget_bytes:
                break
            if case != keep:
                folder.delete(case)
                evicted.append(case)
                total -= size
        self._index.drop(evicted)
        return tuple(evicted)


def _found(folder: CaseFolder, case: str) -> StoredCase | None:
    try:
        return folder.find(case)
    except UnreadableCaseError:
        return None
