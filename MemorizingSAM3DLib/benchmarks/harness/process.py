"""One process for each contender, asked in turn: caches, allocators and threads do not mix, and a busy computer slows
all alike.

A contender's own process: makes its job, waits for its turns, times them, and tells its memory in the end.
"""

from __future__ import annotations

import multiprocessing
import signal
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

from .benchmark_case import BenchmarkCase, Group, Job, Setting, UnavailableError


def peak_of_process() -> int | None:
    """The most resident memory that this process has had since :func:`forget_peak`, bytes; None if it is not known."""
    status = Path("/proc/self/status")
    if status.is_file():
        # Not getrusage: on Linux its figure outlives exec, so that a child begins with the peak of its parent.
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return None


def forget_peak() -> None:
    """Sets the peak back to what is resident now, where the operating system can (Linux)."""
    reset = Path("/proc/self/clear_refs")
    if reset.exists():
        reset.write_text("5")


TURN_SECONDS = 0.05  # jobs that are shorter are called so often in a turn, so that a clock's tick does not matter
MOST_CALLS = 100
SHORT_SECONDS = 0.2  # jobs up to so long are called once more before, untimed: other processes emptied the caches
LONG_SECONDS = 2.0
TRIES = 20
Answer = tuple[Literal["ready", "took", "memory", "unavailable", "failed"], Any]


def serve(connection: Connection, benchmark_case: BenchmarkCase, setting: Setting) -> None:
    """The process's work. It ends when the connection is closed, or after its memory has been told."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the first process decides
    try:
        _serve(connection, benchmark_case, setting)
    except EOFError:
        return  # nobody asks any more
    except UnavailableError as error:
        connection.send(("unavailable", error.problem))
    except Exception as error:  # whatever it is, it becomes a line of the report
        connection.send(("failed", f"{type(error).__name__}: {error}"))


def _serve(connection: Connection, benchmark_case: BenchmarkCase, setting: Setting) -> None:
    if not benchmark_case.light:
        _take_threads(setting)
    with_torch = peak_of_process()
    job = benchmark_case.make(setting, **benchmark_case.options)
    forget_peak()
    ready = peak_of_process()
    connection.send(("ready", job.facts))
    clock = Clock(job, setting)
    if not benchmark_case.fresh:
        connection.recv()
        clock.warm_up()
        connection.send(("took", None))
    while connection.recv() == "go":
        connection.send(("took", clock.turn()))
    peak = peak_of_process()
    memory = {"peak_bytes": peak, "gpu_bytes": _gpu_bytes(setting)}
    if peak is not None and ready is not None and with_torch is not None:
        memory |= {"added_bytes": peak - ready}
        memory |= {} if benchmark_case.light else {"beyond_torch_bytes": peak - with_torch}
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


PAUSE_SECONDS = 0.02  # between turns: the last one's threads, which spin for a while, go to sleep
_END_SECONDS = 10.0
Progress = Callable[[], None]
State = Literal["measured", "unavailable", "failed"]


@dataclass
class Finding:
    """What was found out about one contender.

    Attributes:
        milliseconds: one number a round, by lap; a contender without laps has the empty name alone.
        reason: why it was not measured. memory: bytes, as :func:`serve` tells them.
    """

    benchmark_case: BenchmarkCase
    state: State = "measured"
    reason: str = ""
    milliseconds: dict[str, list[float]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    memory: dict[str, int | None] = field(default_factory=dict)


def measure_group(group: Group, setting: Setting, repeats: int, progress: Progress = lambda: None) -> list[Finding]:
    """Measures the contenders of a group in turn.

    All are made first. In a first round each is run without being counted; in every later round each has one turn,
    another one first each time. A contender that fails is out; the others go on.

    Args:
        repeats: rounds that count. progress: called :meth:`.Group.turns` times, fewer times if a contender is out.

    Returns:
        One finding a contender, in their order.
    """
    findings = [Finding(benchmark_case) for benchmark_case in group.benchmark_cases]
    rounds = group.repeats(repeats)
    lasting = [finding for finding in findings if not finding.benchmark_case.fresh]
    runners: list[_Runner] = []
    try:
        for finding in lasting:  # all at once: most of their start is waiting for files
            runners.append(_Runner(finding, setting))
        for runner in runners:
            runner.hear("ready")
            progress()
        for runner in runners:
            runner.ask(None)
            progress()
        for number in range(rounds):
            for runner in _rotated(runners, number):
                runner.ask(number)
                progress()
            for finding in findings:
                if finding.benchmark_case.fresh and finding.state == "measured":
                    _run_afresh(finding, setting)
                    progress()
        for runner in runners:
            runner.finish()
    finally:
        for runner in runners:
            runner.close()
    return findings


def _run_afresh(finding: Finding, setting: Setting) -> None:
    runner = _Runner(finding, setting)
    try:
        runner.hear("ready")
        runner.ask(0)
        runner.finish()
    finally:
        runner.close()


def _rotated(runners: Sequence[_Runner], by: int) -> list[_Runner]:
    by %= len(runners) or 1
    return [*runners[by:], *runners[:by]]


class _Runner:
    """The other end of one contender's process."""

    def __init__(self, finding: Finding, setting: Setting) -> None:
        self.finding = finding
        context = multiprocessing.get_context("spawn")  # a fork would take our memory, threads and CUDA with it
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, finding.benchmark_case, setting), daemon=True)
        self._process.start()
        theirs.close()  # so that its death is seen as the end of the connection

    @property
    def _is_in(self) -> bool:
        return self.finding.state == "measured"

    def ask(self, number: int | None) -> None:
        """One turn; the first, which is not counted, has no number."""
        if not self._is_in:
            return
        time.sleep(PAUSE_SECONDS)
        self._tell("go")
        took = self.hear("took")
        if took is not None and number is not None:
            for lap, milliseconds in took.items():
                self.finding.milliseconds.setdefault(lap, []).append(milliseconds)

    def hear(self, expected: str) -> Any:
        """What the process answers; None when it is out."""
        if not self._is_in:
            return None
        try:
            kind, said = self._connection.recv()
        except (EOFError, ConnectionError):
            self._process.join(_END_SECONDS)
            self._is_out("failed", f"Its process died (exit code {self._process.exitcode}); most often memory ran out.")
            return None
        if kind != expected:
            self._is_out(kind, said)
            return None
        if kind == "ready":
            self.finding.facts = said
        return said

    def finish(self) -> None:
        """Asks for the memory, which ends the process."""
        if not self._is_in:
            return
        self._tell("end")
        for name, size in (self.hear("memory") or {}).items():
            known = self.finding.memory.get(name)
            self.finding.memory[name] = size if known is None or size is None else max(size, known)

    def close(self) -> None:
        """Leaves no process behind."""
        self._connection.close()
        self._process.join(_END_SECONDS)
        if self._process.is_alive():
            self._process.terminate()
            self._process.join()

    def _tell(self, what: str) -> None:
        try:
            self._connection.send(what)
        except (BrokenPipeError, ConnectionError):
            return  # it is dead: the next answer says so

    def _is_out(self, state: State, reason: str) -> None:
        self.finding.state, self.finding.reason = state, reason
        self.finding.milliseconds = {}
