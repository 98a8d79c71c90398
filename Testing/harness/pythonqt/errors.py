"""What PythonQt only prints, recorded so that a test can fail at its end."""

from __future__ import annotations

import sys
import traceback
from dataclasses import dataclass


class SilentFailure(AssertionError):
    """PythonQt would have returned False or done nothing, without any exception. Real code would not notice."""


@dataclass(frozen=True)
class RecordedError:
    where: str
    exception: BaseException
    text: str


_recorded: list[RecordedError] = []


def record(where: str, exception: BaseException) -> None:
    """Prints the exception, as PythonQt does, and keeps it. The caller goes on."""
    text = "".join(traceback.format_exception(type(exception), exception, exception.__traceback__))
    _recorded.append(RecordedError(where, exception, text))
    print(f"Exception in {where}:\n{text}", file=sys.stderr)


def silentFailure(message: str) -> SilentFailure:
    """Recorded too, so that a `try` around the caller does not hide it. To be raised by the caller."""
    failure = SilentFailure(message)
    _recorded.append(RecordedError("PythonQt", failure, message))
    return failure


def recordedErrors() -> tuple[RecordedError, ...]:
    return tuple(_recorded)


def takeRecordedErrors() -> tuple[RecordedError, ...]:
    """The recorded errors, which are forgotten."""
    taken = tuple(_recorded)
    _recorded.clear()
    return taken
