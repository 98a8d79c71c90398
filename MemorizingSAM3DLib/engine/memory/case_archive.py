"""A case memory as a single file to copy, read only: every array of all cases stacked, facts and hashes beside them.

Facts and hashes are arrays, too, so that the header stays small however many cases there are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from .array_file import Header, compare, damaged, offsets, parse_json, read_array, read_header, write_array_file
from .atomic_write import atomic_file
from .case_content import StoredCase, case_id, digests_length
from .case_facts import CaseFacts
from .case_layout import ArraySpec, CaseLayout
from .case_store import CaseStore, Scan
from .errors import CaseMemoryError
from .memory_sheet import FORMAT, VERSION, MemorySheet, check_version, foreign

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
        super().__init__(path, MemorySheet(layout, header.metadata.get("encoder", "")))
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
        return self.path, self._offsets[name] + case.start * self.sheet.layout[name].nbytes

    def _read_cases(self, header: Header, count: int) -> dict[str, StoredCase]:
        layout, cases, before = self.sheet.layout, {}, ""
        size = header.size // count if count else 0
        every = zip(self._rows(_FACTS), self._rows(_DIGESTS), strict=True)
        for row, (text, hashes) in enumerate(every):
            facts = CaseFacts.from_json(parse_json(self.path, text.tobytes().rstrip(b" ")))
            digests = hashes.tobytes()
            case = case_id(self.sheet.encoder, layout, facts, digests)
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
    path: Path, sheet: MemorySheet, cases: Sequence[StoredCase], read: Callable[[StoredCase, str], np.ndarray]
) -> None:
    """Writes cases into a single file, one array at a time.

    Args:
        path: the file, made or replaced.
        sheet: of the memory.
        cases: in the order of their ids.
        read: an array of a case.

    Raises:
        OutputError: the file cannot be written.
        UnreadableCaseError: a case is damaged; no file is written.
    """
    metadata = {
        "format": FORMAT,
        "version": str(VERSION),
        "encoder": sheet.encoder,
        "layout": json.dumps(sheet.layout.as_json()),
        "cases": str(len(cases)),
    }

    def rows(name: str) -> Iterator[np.ndarray]:
        return (read(case, name) for case in cases)

    pieces = {name: rows(name) for name in sheet.layout}
    pieces[_FACTS] = (_facts_row(case.facts) for case in cases)
    pieces[_DIGESTS] = (np.frombuffer(case.digests, np.uint8) for case in cases)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CaseMemoryError(f"{path.parent} cannot be made ({error.strerror}).", "Choose another folder.") from error
    with atomic_file(path) as file:
        write_array_file(file, metadata, _stacked_specs(sheet.layout, len(cases)), pieces)


def _stacked_specs(layout: CaseLayout, count: int) -> dict[str, ArraySpec]:
    stacked = {name: ArraySpec(spec.dtype, (count, *spec.shape)) for name, spec in layout.items()}
    stacked[_FACTS] = ArraySpec("uint8", (count, _FACTS_LENGTH))
    stacked[_DIGESTS] = ArraySpec("uint8", (count, digests_length(layout)))
    return stacked


def _facts_row(facts: CaseFacts) -> np.ndarray:
    text = json.dumps(facts.as_json(), ensure_ascii=False).encode()
    return np.frombuffer(text.ljust(_FACTS_LENGTH), np.uint8)
