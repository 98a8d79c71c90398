"""The one thread on which everything is computed. Its results wait until the main thread asks for them.

One persistent thread, because cuDNN's plans and CUDA's graphs belong to the thread that made them, and because a scan,
a predictor and its cache are then never used by two threads at once.

How the user stops what is being computed: a token that long work asks, and the exception that ends it.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


class CancelledError(Exception):
    """The work was given up because the user asked for it. Nothing was changed."""


class CancelToken:
    """Set by one thread, asked by another."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        """The work that asks this token ends at its next check."""
        self._event.set()

    @property
    def cancelled(self) -> bool:
        """Whether the work should end."""
        return self._event.is_set()

    def check(self) -> None:
        """Raises CancelledError once the token is cancelled."""
        if self.cancelled:
            raise CancelledError


@dataclass(frozen=True)
class Outcome:
    """What became of a job: its value, or the error that ended it (CancelledError when the user did)."""

    value: Any = None
    error: BaseException | None = None

    @property
    def cancelled(self) -> bool:
        """Whether the job was given up."""
        return isinstance(self.error, CancelledError)


@dataclass(eq=False)
class Job:
    """One piece of work. The worker's thread writes ``text`` and ``fraction``, the main thread reads them.

    Attributes:
        text: what is being done, for the user. fraction: how far it is, 0 to 1; None when that is not known.
    """

    function: Callable[[Job], Any]
    deliver: Callable[[Outcome], None]
    text: str = ""
    fraction: float | None = None
    token: CancelToken = field(default_factory=CancelToken)

    def report(self, text: str, fraction: float | None = None) -> None:
        """Says what is being done; ends the job when it was cancelled."""
        self.token.check()
        self.text, self.fraction = text, fraction


class Worker:
    """Runs jobs one after another on its own thread.

    Example:
        >>> worker = Worker()
        >>> job = worker.submit(lambda job: 6 * 7, lambda outcome: print(outcome.value))
        >>> while worker.poll(0.01): pass
        42
    """

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[Job, Outcome]] = queue.SimpleQueue()
        self._outstanding: list[Job] = []
        self._ahead: Job | None = None
        self._thread: threading.Thread | None = None

    @property
    def current(self) -> Job | None:
        """The oldest job that was not delivered yet."""
        return self._outstanding[0] if self._outstanding else None

    def submit(self, function: Callable[[Job], Any], deliver: Callable[[Outcome], None], text: str = "") -> Job:
        """Queues a job.

        Args:
            function: runs on the worker's thread; gets the job, to report to and to ask whether it was cancelled.
            deliver: called by `poll`, on the thread that polls, exactly once.
        """
        self._stop_ahead()
        job = Job(function, deliver, text)
        self._outstanding.append(job)
        self._put(job)
        return job

    def run_ahead(self, function: Callable[[Job], Any]) -> None:
        """Does something while there is nothing else to do; any job that is submitted ends it at its next check.

        Nobody learns of it: it is not `current`, `poll` does not wait for it, and its errors are dropped, since whoever
        needs the result later meets them then. Does nothing while a job is outstanding.

        Args:
            function: runs on the worker's thread; gets a job whose token it has to ask often.
        """
        self._stop_ahead()
        if not self._outstanding:
            self._ahead = Job(function, _drop)
            self._put(self._ahead)

    def _stop_ahead(self) -> None:
        if self._ahead is not None:
            self._ahead.token.cancel()
            self._ahead = None

    def _put(self, job: Job) -> None:
        self._jobs.put(job)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="MemorizingSAM3D", daemon=True)
            self._thread.start()

    def poll(self, wait: float = 0.0) -> bool:
        """Delivers what is done.

        Args:
            wait: seconds to wait for a result when none is there yet.

        Returns:
            whether anything is still outstanding.
        """
        block = wait > 0 and bool(self._outstanding)
        while True:
            try:
                job, outcome = self._done.get(block, wait) if block else self._done.get_nowait()
            except queue.Empty:
                return bool(self._outstanding)
            block = False
            self._outstanding.remove(job)
            job.deliver(outcome)

    def cancel(self) -> None:
        """Cancels every outstanding job. They are still delivered, as cancelled unless they were done already."""
        self._stop_ahead()
        for job in self._outstanding:
            job.token.cancel()

    def close(self, patience: float = 2.0) -> None:
        """Cancels everything and ends the thread; nothing is delivered any more."""
        self.cancel()
        self._outstanding.clear()
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join(patience)
            self._thread = None
        while True:
            try:
                self._done.get_nowait()
            except queue.Empty:
                return

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job.token.check()
                outcome = Outcome(job.function(job))
            except BaseException as error:  # it belongs to whoever asked for the job, on the thread that polls
                outcome = Outcome(error=error)
            if job.deliver is not _drop:
                self._done.put((job, outcome))
            del job, outcome


def _drop(outcome: Outcome) -> None:
    """For jobs whose outcome nobody asks for."""
