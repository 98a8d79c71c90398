"""Errors whose message is meant for the user: what happened, and what to do about it.

The errors that users of a case memory meet.
"""

from __future__ import annotations


class EngineError(Exception):
    """Base class of every error that a user can meet. Its text is shown as it stands.

    Args:
        problem: what happened, one sentence.
        remedy: what the user can do, one or two sentences.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem} {remedy}")
        self.problem = problem
        self.remedy = remedy


class VolumeError(EngineError, ValueError):
    """The scan cannot be segmented: wrong dimensions, empty, constant, NaN, sheared."""


class ClickError(EngineError, ValueError):
    """The click cannot be used: outside the scan, not finite."""


class PromptError(EngineError, ValueError):
    """A box, a scribble or a lasso cannot be used: empty, outside the scan, or unknown to the model."""


class CheckpointError(EngineError):
    """The checkpoint cannot be used: wrong family, truncated, wrong hash, unsafe content."""


class OutputError(EngineError):
    """The result cannot be written: read-only folder, full disk."""


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
