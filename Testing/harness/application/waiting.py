"""Waiting with a running event loop, as Slicer does between the user's actions."""

from __future__ import annotations

import time
from collections.abc import Callable


def processEvents() -> None:
    """Everything that is pending on the main thread: timers, queued signals, deferred deletions."""
    from PySide6.QtCore import QCoreApplication, QEvent

    QCoreApplication.processEvents()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def waitFor(condition: Callable[[], object], timeout: float = 10.0, what: str = "") -> None:
    """Returns as soon as the condition holds.

    Args:
        timeout: seconds.
        what: for the message of the error.

    Raises:
        TimeoutError: it did not hold in time.
    """
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"Waited {timeout:g} s in vain{f' for {what}' if what else ''}.")
        processEvents()
        time.sleep(0.001)  # the worker thread wants Python's lock too


def waitSeconds(seconds: float) -> None:
    """Lets the application run for so long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        processEvents()
        time.sleep(0.001)
