"""A contender's own process: makes its job, waits for its turns, times them, and tells its memory in the end."""

from __future__ import annotations

import signal
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, Literal

from .contender import Contender, Job, Setting, UnavailableError
from .memory import forget_peak, peak_of_process

TURN_SECONDS = 0.05  # jobs that are shorter are called so often in a turn, so that a clock's tick does not matter
MOST_CALLS = 100
SHORT_SECONDS = 0.2  # jobs up to so long are called once more before, untimed: other processes emptied the caches
LONG_SECONDS = 2.0
TRIES = 20

Answer = tuple[Literal["ready", "took", "memory", "unavailable", "failed"], Any]


def serve(connection: Connection, contender: Contender, setting: Setting) -> None:
    """The process's work. It ends when the connection is closed, or after its memory has been told."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the first process decides
    try:
        _serve(connection, contender, setting)
    except EOFError:
        return  # nobody asks any more
    except UnavailableError as error:
        connection.send(("unavailable", error.problem))
    except Exception as error:  # whatever it is, it becomes a line of the report
        connection.send(("failed", f"{type(error).__name__}: {error}"))


def _serve(connection: Connection, contender: Contender, setting: Setting) -> None:
    if not contender.light:
        _take_threads(setting)
    with_torch = peak_of_process()
    job = contender.make(setting, **contender.options)
    forget_peak()
    ready = peak_of_process()
    connection.send(("ready", job.facts))
    clock = Clock(job, setting)
    if not contender.fresh:
        connection.recv()
        clock.warm_up()
        connection.send(("took", None))
    while connection.recv() == "go":
        connection.send(("took", clock.turn()))
    peak = peak_of_process()
    memory = {"peak_bytes": peak, "gpu_bytes": _gpu_bytes(setting)}
    if peak is not None and ready is not None and with_torch is not None:
        memory |= {"added_bytes": peak - ready}
        memory |= {} if contender.light else {"beyond_torch_bytes": peak - with_torch}
    connection.send(("memory", memory))


class Clock:
    """Times the turns of a job.

    Attributes:
        calls: of the job in a turn; what a turn gives is their mean.
    """

    def __init__(self, job: Job, setting: Setting) -> None:
        self.job = job
        self._wait = waiting(setting)
        self.calls, self._again = 1, False

    def warm_up(self) -> None:
        """A run that nobody counts, and another one that says how many fill a turn, if that is not one anyway."""
        if self.job.warm or self._timed(1) > LONG_SECONDS or self.job.laps:
            return
        seconds = self._timed(1)
        if self.job.prepare is None:
            self.calls = max(1, min(MOST_CALLS, round(TURN_SECONDS / max(seconds, 1e-7))))
            self._again = seconds < SHORT_SECONDS

    def turn(self) -> dict[str, float]:
        """Milliseconds: by lap, or under an empty name.

        Raises:
            RuntimeError: no run counts.
        """
        for _ in range(TRIES):
            if self._again:
                self.job.run()
            took = self._timed(self.calls)
            if self.job.counts is None or self.job.counts():
                return dict(self._laps) if self.job.laps else {"": 1000 * took}
        raise RuntimeError(f"None of {TRIES} runs was what is to be measured.")

    def _timed(self, calls: int) -> float:
        if self.job.prepare is not None:
            self.job.prepare()
        self._wait()
        seconds = []
        for _ in range(calls):
            start = time.perf_counter()
            self._laps = self.job.run()
            self._wait()
            seconds.append(time.perf_counter() - start)
        return statistics.fmean(seconds)


def waiting(setting: Setting) -> Callable[[], None]:
    """Waits until the device has done what it was asked for."""
    if not setting.on_gpu:
        return lambda: None
    import torch

    device = torch.device(setting.device)
    return lambda: torch.cuda.synchronize(device)


def _take_threads(setting: Setting) -> None:
    import SimpleITK as sitk
    import torch

    torch.set_num_threads(setting.threads)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(setting.threads)


def _gpu_bytes(setting: Setting) -> int | None:
    if not setting.on_gpu:
        return None
    import torch

    return int(torch.cuda.max_memory_allocated(torch.device(setting.device)))
