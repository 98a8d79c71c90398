"""Brings results from the worker's thread to the main thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import qt

from MemorizingSAM3DLib.ui.controls import Connections

if TYPE_CHECKING:
    from MemorizingSAM3DLib.scene.signals import Signal


_WAIT = 0.004  # seconds; short enough that views stay fluent
_INTERVAL = 1  # millisecond
_INTERVAL_AFTER_ERROR = 1000


class Polled(Protocol):
    """Something whose results come from a thread of its own, when the main thread asks for them."""

    wakeUp: Signal

    def poll(self, wait: float = 0.0) -> bool: ...


class PollTimer:
    """Polls a controller while anything is outstanding, and not a moment longer.

    Slicer's event loop may hold Python's global lock while it waits for events, and then the worker's thread stands
    still. It runs while Python code on the main thread waits: hence a poll that waits, again and again, and not a slow
    timer with a poll that returns at once.
    """

    def __init__(self, controller: Polled) -> None:
        self._controller = controller
        self._connections = Connections()
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._connections.toWidget(self._timer, "timeout()", self._poll)
        self._connections.toSignal(controller.wakeUp, self._wake)

    def close(self) -> None:
        """Polls no more."""
        self._connections.close()
        self._timer.stop()

    def _wake(self) -> None:
        if not self._timer.active:
            self._timer.start(_INTERVAL)

    def _poll(self) -> None:
        try:
            isOutstanding = self._controller.poll(_WAIT)
        except Exception:
            self._timer.start(_INTERVAL_AFTER_ERROR)  # other results may be waiting, but errors must not come in floods
            raise
        if isOutstanding:
            self._wake()
