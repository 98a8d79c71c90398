"""One process for each contender, asked in turn: caches, allocators and threads do not mix, and a busy computer slows
all alike."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from .contender import Contender, Group, Setting
from .turns import serve

PAUSE_SECONDS = 0.02  # between turns: the last one's threads, which spin for a while, go to sleep
_END_SECONDS = 10.0

Progress = Callable[[], None]
State = Literal["measured", "unavailable", "failed"]


@dataclass
class Finding:
    """What was found out about one contender.

    Attributes:
        milliseconds: one number a round, by lap; a contender without laps has the empty name alone.
        reason: why it was not measured. memory: bytes, as :func:`.turns.serve` tells them.
    """

    contender: Contender
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
    findings = [Finding(contender) for contender in group.contenders]
    rounds = group.repeats(repeats)
    lasting = [finding for finding in findings if not finding.contender.fresh]
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
                if finding.contender.fresh and finding.state == "measured":
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
        self._process = context.Process(target=serve, args=(theirs, finding.contender, setting), daemon=True)
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
