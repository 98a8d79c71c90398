"""Arrays of remembered cases in memory: each is read once, and stacked once for as long as the cases stay the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from .case_content import StoredCase
from .case_layout import DTYPES, ArraySpec

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
