"""A case memory from a dataset: every structure of every case, in parallel, and resumed where it was stopped."""

from __future__ import annotations

import json
import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..engine.memory.atomic_write import atomic_file
from ..engine.predictor import Predictor
from ..engine.recall.opening import open_or_create_case_recall
from ..engine.recall.remembering import remember
from .case_task import CaseSource
from .evaluation import EvaluationOptions, case_volume, evaluated_labels, failure_message
from .evaluation_workers import ModelSource, WorkerError
from .manifest import Entry


@dataclass(frozen=True)
class BuildJob:
    """What every worker needs to know.

    Attributes:
        memory: folder of the memory. source: of the cases. minimum_ml: smaller structures are left out.
        structures: only these names; None: all. layers: encoder blocks whose keys and values are remembered, too.
    """

    model: ModelSource
    memory: Path
    source: CaseSource
    minimum_ml: float = 1.0
    structures: frozenset[str] | None = None
    layers: tuple[int, ...] = ()


class Remembered(NamedTuple):
    """What became of a case: its entry's id, structures that were new and known to the memory, why it failed if so."""

    entry: str
    added: int
    known: int
    failure: str | None = None


class BuildProgress:
    """Which cases are in the memory: a file beside it, never within it, since a memory names no case.

    Args:
        memory: folder of the memory.
    """

    def __init__(self, memory: Path) -> None:
        whole = memory.absolute()
        self.path = whole.with_name(whole.name + ".building.json")
        self._done: set[str] = set()
        with suppress(FileNotFoundError, ValueError, TypeError):
            self._done = {str(entry) for entry in json.loads(self.path.read_text("utf-8"))}
        if not memory.exists():
            self._done = set()

    def missing(self, entries: Sequence[Entry]) -> list[Entry]:
        """The entries that are not done yet."""
        return [entry for entry in entries if entry["id"] not in self._done]

    def note(self, entry: str) -> None:
        """One more is done.

        Raises:
            OutputError: the file cannot be written.
        """
        self._done.add(entry)
        with atomic_file(self.path) as file:
            file.write(json.dumps(sorted(self._done)).encode())

    def finish(self) -> None:
        """All is done: the file goes."""
        self.path.unlink(missing_ok=True)


def build(job: BuildJob, entries: Sequence[Entry], workers: int = 1) -> Iterator[Remembered]:
    """Remembers cases and says what became of each, in any order; the memory is made if need be.

    Args:
        entries: whose cases are not in the memory yet. workers: processes; each loads the model.

    Raises:
        CheckpointError, DeviceError: the model cannot be loaded. CaseMemoryError, OutputError: the memory cannot be
        used. WorkerError: a process died.
    """
    predictor = _predictor_of(job)
    if workers == 1:
        for entry in entries:
            yield remember_case(job, predictor, entry)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _start, (job,)) as pool:
        try:
            futures = [pool.submit(_remember, entry) for entry in entries]
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool as error:
            raise WorkerError(
                "A worker process died; most often memory ran out.",
                "Run the same command with fewer --workers: what is remembered is kept.",
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def remember_case(job: BuildJob, predictor: Predictor, entry: Entry) -> Remembered:
    """All structures of a case; one that cannot be read or remembered is told of, and ends nothing."""
    added = known = 0
    try:
        (case,) = job.source.collection.load([entry], job.source.cache)
        predictor.set_volume(case_volume(case))
        for label in evaluated_labels(case, 0, EvaluationOptions(minimum_ml=job.minimum_ml)):
            if job.structures is not None and case.structures[label] not in job.structures:
                continue
            mask = np.ascontiguousarray((case.labels == label).transpose(2, 1, 0))
            new = remember(predictor, mask, case.structures[label], "training").new
            added, known = added + new, known + (not new)
    except Exception as error:  # one case must not end a run of hours
        return Remembered(entry["id"], added, known, failure_message(error))
    return Remembered(entry["id"], added, known)


def _predictor_of(job: BuildJob) -> Predictor:
    checkpoint, predictor, _ = job.model.load()
    predictor.case_recall = open_or_create_case_recall(job.memory, checkpoint.network, layers=job.layers)
    return predictor


_worker: tuple[BuildJob, Predictor] | None = None


def _start(job: BuildJob) -> None:
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the first process decides
    _worker = (job, _predictor_of(job))


def _remember(entry: Entry) -> Remembered:
    assert _worker is not None
    return remember_case(*_worker, entry)
