"""The errors that users of a case memory meet."""

from __future__ import annotations

from ..errors import EngineError


class CaseMemoryError(EngineError):
    """A memory of cases cannot be used: missing, foreign, damaged, of another encoder or layout, or read-only."""


class UnreadableCaseError(CaseMemoryError):
    """One case of a memory cannot be read: damaged, foreign, or removed meanwhile. The others can.

    Args:
        problem: what happened.
        remedy: what the user can do.
        gone: whether the file is not there any more.
        damaged: whether the file itself is at fault; not where another program holds it, say, or a network is away.

    Attributes:
        case: the id of the case, where one is being read.
    """

    case: str | None = None

    def __init__(self, problem: str, remedy: str, gone: bool = False, damaged: bool = True) -> None:
        super().__init__(problem, remedy)
        self.gone = gone
        self.damaged = damaged
