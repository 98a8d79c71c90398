"""A case memory as a folder: ``memory.json`` and one file a case, so that several programs can write at once.

A case's file is named by its content and never changes: writing it twice gives the same file, and nobody reads half of
one. The time of a file's last change says when its case was last of use.

A case memory as a single file to copy, read only: every array of all cases stacked, facts and hashes beside them.

Facts and hashes are arrays, too, so that the header stays small however many cases there are.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from ..errors import CaseMemoryError, UnreadableCaseError
from ..files import atomic_file, leftovers, sweep_leftovers, write_failure
from .array_file import Header, compare, damaged, offsets, parse_json, read_array, read_header, write_array_file
from .case import ArraySpec, CaseFacts, CaseLayout, StoredCase, case_id, digests_length
from .store import FORMAT, MOST_MANIFEST, VERSION, CaseStore, MemoryManifest, Problem, Scan, check_version, foreign

MANIFEST = "memory.json"
_SUFFIX = ".safetensors"
_NAME = re.compile(r"[0-9a-f]{32}\.safetensors")
_FORMAT = "MemorizingSAM3D case"


class CaseFolder(CaseStore):
    """The cases in a folder. See :class:`CaseStore`; :meth:`create` and :meth:`open` give one."""

    read_only = False

    def __init__(self, path: Path, manifest: MemoryManifest) -> None:
        super().__init__(path, manifest)
        self._offsets = offsets(manifest.layout)
        # Always of one length, so that arrays lie where they lay when another program writes a case anew.
        self._header = 2048 + 256 * len(manifest.layout)

    @classmethod
    def create(cls, path: Path, manifest: MemoryManifest) -> CaseFolder:
        """A new folder without cases.

        Raises:
            FileExistsError: there is a memory already.
            OutputError: the folder cannot be made or written to.
        """
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise write_failure(path, error) from error
        with atomic_file(path / MANIFEST, replace=False) as file:
            file.write(manifest.to_bytes())
        return cls(path, manifest)

    @classmethod
    def open(cls, path: Path) -> CaseFolder:
        """A folder that is there; what killed programs left half written is swept.

        Raises:
            CaseMemoryError: it is none of ours, or of another version.
        """
        folder = cls(path, _read_manifest(path))
        sweep_leftovers(path)
        return folder

    def scan(self, known: Mapping[str, StoredCase]) -> Scan:
        self.check_there()
        cases: dict[str, StoredCase] = {}
        problems = []
        for name, _ in sorted(self._files()):
            if name == MANIFEST or name.startswith("."):  # half-written files, and what desktops leave behind
                continue
            if not _NAME.fullmatch(name):
                problems.append(Problem(name, f"{self.path / name} is no case of this memory, and is left alone."))
                continue
            case = name.removesuffix(_SUFFIX)
            try:
                cases[case] = known[case] if case in known else self.find(case)
            except UnreadableCaseError as error:
                if not error.gone:
                    problems.append(Problem(name, str(error), case, error.damaged))
        return Scan(cases, problems)

    def find(self, case: str) -> StoredCase:
        """What the header of a case's file says, checked against the layout, the encoder and the name.

        Raises:
            UnreadableCaseError: it is damaged, foreign, or not there.
        """
        path = self._file(case)
        header = read_header(path, self._header)
        layout, metadata = self.manifest.layout, header.metadata
        compare(header, layout)
        try:
            check_version(path, metadata.get("format"), metadata.get("version"), _FORMAT)
            facts = CaseFacts.from_json(parse_json(path, metadata.get("facts", "").encode()))
            digests = bytes.fromhex(metadata.get("digests", ""))
        except (CaseMemoryError, ValueError) as error:
            raise damaged(path, f"describes its case in another way ({error})") from error
        if header.start != 8 + self._header:
            raise damaged(path, "has a header of another length")
        if metadata.get("encoder") != self.manifest.encoder:
            raise damaged(path, "is of another image encoder")
        if len(digests) != digests_length(layout) or case_id(self.manifest.encoder, layout, facts, digests) != case:
            raise damaged(path, "is damaged: its name does not follow from its content")
        return StoredCase(case, facts, digests, header.size, header.start)

    def write(self, case: str, facts: CaseFacts, digests: bytes, arrays: Mapping[str, np.ndarray]) -> StoredCase:
        """Writes a case's file, or puts a sound one in the place of a damaged one.

        Raises:
            OutputError: the folder is gone or may not be written to, or the disk is full.
        """
        self.check_there()
        metadata = {
            "format": _FORMAT,
            "version": "1",
            "encoder": self.manifest.encoder,
            "facts": json.dumps(facts.as_json(), ensure_ascii=False),
            "digests": digests.hex(),
        }
        pieces = {name: [array] for name, array in arrays.items()}
        with atomic_file(self._file(case)) as file:
            size = write_array_file(file, metadata, self.manifest.layout, pieces, self._header)
        return StoredCase(case, facts, digests, size, 8 + self._header)

    def delete(self, case: str) -> None:
        """Removes a case's file, sound or not; one that is gone is no error.

        Raises:
            OutputError: it may not be removed.
        """
        try:
            self._file(case).unlink(missing_ok=True)
        except OSError as error:
            raise write_failure(self._file(case), error) from error

    def touch(self, case: str) -> None:
        """Notes that a case was of use. Where that cannot be noted nothing can be evicted either: no error."""
        with suppress(OSError):
            os.utime(self._file(case))

    def usage(self) -> list[tuple[int, str, int]]:
        """Last use (ns), id and bytes of every case there is now, of all programs that write; oldest use first."""
        found = []
        for name, size in self._files():
            with suppress(OSError):  # removed this moment
                if _NAME.fullmatch(name):
                    found.append(((self.path / name).stat().st_mtime_ns, name.removesuffix(_SUFFIX), size))
        return sorted(found)

    def write_manifest(self, manifest: MemoryManifest) -> None:
        """Takes over another budget.

        Raises:
            OutputError: the folder may not be written to.
        """
        self.check_there()
        with atomic_file(self.path / MANIFEST) as file:
            file.write(manifest.to_bytes())
        self.manifest = manifest

    def read_manifest(self) -> None:
        """Takes over the budget that another program has set.

        Raises:
            CaseMemoryError: the folder is gone, or has become another memory.
        """
        manifest = _read_manifest(self.path)
        if (manifest.layout, manifest.encoder) != (self.manifest.layout, self.manifest.encoder):
            raise CaseMemoryError(f"{self.path} has become another case memory.", "Open it again.")
        self.manifest = manifest

    def leftovers(self) -> list[Problem]:
        """Half-written files of killed programs."""
        problem = "was left half written by a program that was ended"
        return [Problem(path.name, problem) for path in leftovers(self.path)]

    def check_there(self) -> None:
        if not (self.path / MANIFEST).is_file():
            raise _gone(self.path)

    def place(self, case: StoredCase, name: str) -> tuple[Path, int]:
        return self._file(case.id), case.start + self._offsets[name]

    def _file(self, case: str) -> Path:
        return self.path / f"{case}{_SUFFIX}"

    def _files(self) -> list[tuple[str, int]]:
        """Names and bytes of the files there are now."""
        files = []
        try:
            with os.scandir(self.path) as entries:
                for entry in entries:
                    with suppress(FileNotFoundError):  # removed this moment
                        if entry.is_file():
                            files.append((entry.name, entry.stat().st_size))
        except OSError as error:
            raise _gone(self.path) from error
        return files


def _read_manifest(path: Path) -> MemoryManifest:
    try:
        with open(path / MANIFEST, "rb") as file:
            text = file.read(MOST_MANIFEST + 1)
    except FileNotFoundError as error:
        raise foreign(path) from error
    except OSError as error:
        raise CaseMemoryError(
            f"{path} cannot be read ({error.strerror or error}).", "Check the folder and the permissions."
        ) from error
    if len(text) > MOST_MANIFEST:
        raise foreign(path)
    return MemoryManifest.from_bytes(path / MANIFEST, text)


def _gone(path: Path) -> CaseMemoryError:
    remedy = "Bring its folder back, or choose another memory. What was read stays usable."
    return CaseMemoryError(f"The case memory {path} is gone.", remedy)


_FACTS, _DIGESTS = "case.facts", "case.digests"
_FACTS_LENGTH = 512  # bytes; the longest structure's name takes 256 of them
_MOST_HEADER = 2**16
_COUNT = re.compile(r"[0-9]{1,9}")


class CaseArchive(CaseStore):
    """The cases in a single file.

    Args:
        path: the file.

    Raises:
        CaseMemoryError: missing, foreign, of another version, truncated or damaged.
    """

    def __init__(self, path: Path) -> None:
        header = read_header(path, _MOST_HEADER)
        if header.metadata.get("format") != FORMAT:
            raise foreign(path)
        check_version(path, FORMAT, header.metadata.get("version"))
        layout = CaseLayout.from_json(parse_json(path, header.metadata.get("layout", "").encode()))
        super().__init__(path, MemoryManifest(layout, header.metadata.get("encoder", "")))
        count = header.metadata.get("cases", "")
        if not _COUNT.fullmatch(count):
            raise foreign(path)
        self._specs = _stacked_specs(layout, int(count))
        compare(header, self._specs)
        self._offsets = {name: header.start + begin for name, begin in offsets(self._specs).items()}
        self._cases = self._read_cases(header, int(count))

    def scan(self, known: Mapping[str, StoredCase]) -> Scan:
        return Scan(self._cases, [])

    def check_there(self) -> None:
        if not self.path.is_file():
            raise CaseMemoryError(f"The case memory {self.path} is gone.", "Bring it back, or choose another one.")

    def place(self, case: StoredCase, name: str) -> tuple[Path, int]:
        return self.path, self._offsets[name] + case.start * self.manifest.layout[name].nbytes

    def _read_cases(self, header: Header, count: int) -> dict[str, StoredCase]:
        layout, cases, before = self.manifest.layout, {}, ""
        size = header.size // count if count else 0
        every = zip(self._rows(_FACTS), self._rows(_DIGESTS), strict=True)
        for row, (text, hashes) in enumerate(every):
            facts = CaseFacts.from_json(parse_json(self.path, text.tobytes().rstrip(b" ")))
            digests = hashes.tobytes()
            case = case_id(self.manifest.encoder, layout, facts, digests)
            if case <= before:
                raise damaged(self.path, "is damaged: its cases are not in order")
            cases[case] = StoredCase(case, facts, digests, size, row)
            before = case
        return cases

    def _rows(self, name: str) -> np.ndarray:
        out = np.empty(self._specs[name].shape, np.uint8)
        read_array(self.path, self._offsets[name], out)
        return out


def write_archive(
    path: Path, manifest: MemoryManifest, cases: Sequence[StoredCase], read: Callable[[StoredCase, str], np.ndarray]
) -> None:
    """Writes cases into a single file, one array at a time.

    Args:
        path: the file, made or replaced.
        manifest: of the memory.
        cases: in the order of their ids.
        read: an array of a case.

    Raises:
        OutputError: the file cannot be written.
        UnreadableCaseError: a case is damaged; no file is written.
    """
    metadata = {
        "format": FORMAT,
        "version": str(VERSION),
        "encoder": manifest.encoder,
        "layout": json.dumps(manifest.layout.as_json()),
        "cases": str(len(cases)),
    }

    def rows(name: str) -> Iterator[np.ndarray]:
        return (read(case, name) for case in cases)

    pieces = {name: rows(name) for name in manifest.layout}
    pieces[_FACTS] = (_facts_row(case.facts) for case in cases)
    pieces[_DIGESTS] = (np.frombuffer(case.digests, np.uint8) for case in cases)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CaseMemoryError(f"{path.parent} cannot be made ({error.strerror}).", "Choose another folder.") from error
    with atomic_file(path) as file:
        write_array_file(file, metadata, _stacked_specs(manifest.layout, len(cases)), pieces)


def _stacked_specs(layout: CaseLayout, count: int) -> dict[str, ArraySpec]:
    stacked = {name: ArraySpec(spec.dtype, (count, *spec.shape)) for name, spec in layout.items()}
    stacked[_FACTS] = ArraySpec("uint8", (count, _FACTS_LENGTH))
    stacked[_DIGESTS] = ArraySpec("uint8", (count, digests_length(layout)))
    return stacked


def _facts_row(facts: CaseFacts) -> np.ndarray:
    text = json.dumps(facts.as_json(), ensure_ascii=False).encode()
    return np.frombuffer(text.ljust(_FACTS_LENGTH), np.uint8)
