"""The cases of a memory as this program knows them, and their arrays as far as they were read.

Arrays of remembered cases in memory: each is read once, and stacked once for as long as the cases stay the same.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from ..errors import UnreadableCaseError
from .case import DTYPES, ArraySpec, StoredCase
from .store import CaseStore, Problem

Read = Callable[[StoredCase, str], np.ndarray]


class CaseStacks:
    """A cache of rows and of stacks.

    Args:
        read: an array of a case, from the disk.
    """

    def __init__(self, read: Read) -> None:
        self._read = read
        self._rows: dict[str, dict[str, np.ndarray]] = {}
        self._stacks: dict[str, np.ndarray] = {}

    def forget(self, gone: Iterable[str]) -> None:
        """The cases have changed, and these are no longer among them: stacks are made anew from the rows that stay."""
        self._stacks.clear()
        for rows in self._rows.values():
            for case in gone:
                rows.pop(case, None)

    def all(self, name: str, cases: Sequence[StoredCase], spec: ArraySpec) -> np.ndarray:
        """(n, *shape) of all cases, read only.

        Raises:
            UnreadableCaseError: see `read`.
        """
        if name not in self._stacks:
            stack = self._fill(name, cases, spec)
            stack.setflags(write=False)
            self._stacks[name] = stack
            # Views, so that nothing is held twice.
            self._rows[name] = {case.id: row for case, row in zip(cases, stack, strict=True)}
        return self._stacks[name]

    def some(self, name: str, cases: Sequence[StoredCase], spec: ArraySpec) -> np.ndarray:
        """(len(cases), *shape), a copy; what had to be read is kept.

        Raises:
            UnreadableCaseError: see `read`.
        """
        rows = self._rows.setdefault(name, {})
        for case in cases:
            if case.id not in rows:
                rows[case.id] = self._read(case, name)
        return self._fill(name, cases, spec)

    def _fill(self, name: str, cases: Sequence[StoredCase], spec: ArraySpec) -> np.ndarray:
        rows = self._rows.get(name, {})
        stack = np.empty((len(cases), *spec.shape), DTYPES[spec.dtype])
        for place, case in enumerate(cases):
            stack[place] = rows[case.id] if case.id in rows else self._read(case, name)
        return stack


class CaseIndex:
    """The sound cases of a store, in the order of their ids; what cannot be read is left out.

    Attributes:
        revision: another number whenever the set of cases has changed.
        lock: held while cases are taken in, dropped or read; whoever writes holds it as well.

    Args:
        store: where the cases lie.
    """

    def __init__(self, store: CaseStore) -> None:
        self.lock = threading.RLock()
        self.revision = 0
        self._store = store
        self._cases: dict[str, StoredCase] = {}
        self._ordered: list[StoredCase] | None = None
        self._problems: list[Problem] = []  # of files, as last looked at
        self._left_out: dict[str, str] = {}  # case -> problem found in its arrays; until it is written anew
        self._stacks = CaseStacks(self.read)
        self.look()

    def __len__(self) -> int:
        return len(self._cases)

    def __contains__(self, case: object) -> bool:
        return case in self._cases

    @property
    def cases(self) -> list[StoredCase]:
        """All sound cases, by id."""
        with self.lock:
            if self._ordered is None:
                self._ordered = [self._cases[case] for case in sorted(self._cases)]
            return self._ordered

    @property
    def size_bytes(self) -> int:
        """Bytes of all sound cases on the disk."""
        with self.lock:
            return sum(case.size_bytes for case in self._cases.values())

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was left out, and why."""
        with self.lock:
            return (*(found.problem for found in self._problems), *self._left_out.values())

    @property
    def damaged(self) -> tuple[str, ...]:
        """The ids of the cases that were left out."""
        with self.lock:
            return (*(found.case for found in self._problems if found.case), *self._left_out)

    def case(self, case: str) -> StoredCase:
        """The case of this id.

        Raises:
            UnreadableCaseError: there is none.
        """
        if case not in self._cases:
            problem = f"There is no case {case} in {self._store.path}."
            remedy = "It may have been removed meanwhile: list the cases again."
            raise UnreadableCaseError(problem, remedy, gone=True, damaged=False)
        return self._cases[case]

    def look(self) -> bool:
        """Takes over what is in the store now; whether the set of cases has changed.

        Raises:
            CaseMemoryError: the store is gone; what was known stays.
        """
        with self.lock:
            found = self._store.scan(self._cases)
            self._problems = found.problems
            sound = {case: stored for case, stored in found.cases.items() if case not in self._left_out}
            gone, new = self._cases.keys() - sound.keys(), sound.keys() - self._cases.keys()
            self._cases, self._ordered = sound, None
            if gone or new:
                self._changed(gone)
            return bool(gone or new)

    def take(self, case: StoredCase) -> None:
        """A case has been written."""
        with self.lock:
            self._forget_problems({case.id})
            new = case.id not in self._cases
            self._cases[case.id] = case
            if new:
                self._changed(())

    def drop(self, cases: Iterable[str]) -> None:
        """Cases have been removed."""
        with self.lock:
            gone = set(cases)
            self._forget_problems(gone)
            known = gone & self._cases.keys()
            for case in known:
                del self._cases[case]
            if known:
                self._changed(known)

    def read(self, case: StoredCase, name: str) -> np.ndarray:
        """An array of a case, from the disk.

        Raises:
            UnreadableCaseError: it is damaged or gone; the error knows which case it is.
        """
        try:
            return self._store.read(case, name)
        except UnreadableCaseError as error:
            error.case = case.id
            raise

    def stacked(self, name: str) -> np.ndarray:
        """(n, *shape) of all cases, read only; those that cannot be read are left out from now on.

        Raises:
            CaseMemoryError: the store is gone.
        """
        spec = self._store.manifest.layout[name]
        with self.lock:
            while True:
                try:
                    return self._stacks.all(name, self.cases, spec)
                except UnreadableCaseError as error:
                    self._leave_out(error)  # and again, with one case less

    def some(self, name: str, ids: Iterable[str]) -> np.ndarray:
        """(len(ids), *shape) of these cases, a copy.

        Raises:
            UnreadableCaseError: one of them is unknown, or cannot be read and is left out from now on.
            CaseMemoryError: the store is gone.
        """
        spec = self._store.manifest.layout[name]
        with self.lock:
            wanted = [self.case(case) for case in ids]
            try:
                return self._stacks.some(name, wanted, spec)
            except UnreadableCaseError as error:
                self._leave_out(error)
                raise

    def _leave_out(self, error: UnreadableCaseError) -> None:
        assert error.case is not None
        self._store.check_there()  # else a folder that is gone would look like one without cases
        self.drop([error.case])
        if error.damaged:
            self._left_out[error.case] = str(error)
        elif not error.gone:  # the next look may find that it can be read again
            self._problems.append(Problem(error.case, str(error), error.case, damaged=False))

    def _forget_problems(self, cases: set[str]) -> None:
        self._problems = [found for found in self._problems if found.case not in cases]
        for case in cases:
            self._left_out.pop(case, None)

    def _changed(self, gone: Iterable[str]) -> None:
        self._ordered = None
        self._stacks.forget(gone)
        self.revision += 1
