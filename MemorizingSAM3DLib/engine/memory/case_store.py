"""Where cases lie: what a folder and a single file have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .array_file import damaged, read_array
from .case_content import StoredCase, array_digest, fault_in
from .case_layout import DTYPES
from .errors import UnreadableCaseError
from .memory_sheet import MemorySheet


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
        sheet: the facts of the memory.
    """

    read_only = True

    def __init__(self, path: Path, sheet: MemorySheet) -> None:
        self.path = path
        self.sheet = sheet

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
        layout = self.sheet.layout
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
            for name in store.sheet.layout:
                store.read(case, name)
        except UnreadableCaseError as error:
            if not error.gone:
                problems.append(Problem(store.place(case, name)[0].name, str(error), case.id, error.damaged))
    store.check_there()
    return problems
