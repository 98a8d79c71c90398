"""Stopping a long job at a good moment: on Ctrl-C, on SIGTERM, or when its time is up."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Whether the job should stop after its present step.

    Args:
        minutes: after which it should; None: never.
    """

    def __init__(self, minutes: float | None = None) -> None:
        self._end = None if minutes is None else time.monotonic() + 60 * minutes
        self._asked = False

    def __call__(self) -> bool:
        return self._asked or (self._end is not None and time.monotonic() >= self._end)

    def ask(self) -> None:
        """Asks to stop; asking twice raises KeyboardInterrupt at once."""
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True


@contextmanager
def stopping_gracefully(minutes: float | None = None) -> Iterator[StopRequest]:
    """A request that Ctrl-C and SIGTERM make as well; a second Ctrl-C interrupts as usual.

    Args:
        minutes: after which it is made anyway.
    """
    request = StopRequest(minutes)
    if threading.current_thread() is not threading.main_thread():
        yield request  # signals belong to the main thread
        return

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        request.ask()

    previous = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
