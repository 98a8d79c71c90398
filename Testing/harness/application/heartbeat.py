"""How long the main thread is busy at a stretch: the longest time in which the user interface would not answer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


class Heartbeat:
    """Times between two beats of a timer on the main thread, beyond its interval.

    What the test itself does between two calls of the event loop counts too, so drive the interface and wait with
    `waiting.waitFor`; keep the test's own work out of the block.
    """

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self._stalls: list[float] = []
        self._last = time.perf_counter()

    def beat(self) -> None:
        now = time.perf_counter()
        self._stalls.append(max(0.0, 1e3 * (now - self._last) - self.interval))
        self._last = now

    @property
    def stalls(self) -> np.ndarray:
        """(n,) ms, in order."""
        return np.array(self._stalls)

    @property
    def longestStall(self) -> float:
        """ms; 0 if the event loop was never reached."""
        return float(max(self._stalls, default=0.0))

    def percentile(self, percent: float) -> float:
        """ms."""
        return float(np.percentile(self._stalls, percent)) if self._stalls else 0.0

    def report(self) -> str:
        """One line: how often the main thread beat, the largest stalls, and how they are distributed."""
        edges = (5, 10, 30, 100, 300)
        counts = ", ".join(f"{(self.stalls > edge).sum()} over {edge} ms" for edge in edges)
        return (
            f"{len(self._stalls)} beats; longest stall {self.longestStall:.1f} ms,"
            f" 99 % under {self.percentile(99):.1f} ms; {counts}"
        )


@contextmanager
def heartbeat(interval: float = 1.0) -> Iterator[Heartbeat]:
    """Measures while the block runs; `interval` in ms."""
    from PySide6.QtCore import Qt, QTimer

    measured = Heartbeat(interval)
    timer = QTimer()
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    timer.timeout.connect(measured.beat)
    timer.start(int(interval))
    try:
        yield measured
    finally:
        timer.stop()
        measured.beat()
