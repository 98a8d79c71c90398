"""A whole evaluation: many cases, in this process or in several, continued where it was interrupted.

Worker processes for an evaluation: each has its own copy of the model and takes one case after another.

One case of an evaluation, as it is handed to whoever computes it: this process or a worker.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import queue
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from MemorizingSAM3DLib import __version__
from MemorizingSAM3DLib.engine.errors import EngineError
from MemorizingSAM3DLib.engine.models.checkpoints import Checkpoint, load, load_default
from MemorizingSAM3DLib.engine.runtime.device import choose_runtime
from MemorizingSAM3DLib.engine.session.predictor import Predictor

from ..data.manifest import Entry, image_and_label
from ..data.pack import Collection
from .baselines import Baseline
from .evaluate import EvaluationOptions, evaluate_case, evaluated_labels, failure_message, warm_up
from .memory_options import CaseMemoryChoice, MemoryChoice
from .results import Failure, ResumeLog, StructureResult


class LabelsOfCase(NamedTuple):
    """The labels that a case is evaluated for: known once it has been read."""

    labels: tuple[int, ...]


Finding = LabelsOfCase | StructureResult | Failure


@dataclass(frozen=True)
class CaseSource:
    """Where cases come from: a manifest or a training pack, and the folder into which a pack is expanded."""

    collection: Collection
    cache: Path

    def files_of(self, entry: Entry) -> tuple[Path, ...]:
        """The files that a case is read from."""
        path = self.collection.path
        return (path,) if self.collection.packed else image_and_label(path.parent, entry)


@dataclass(frozen=True)
class WorkItem:
    """A case to evaluate.

    Attributes:
        number: in the evaluation, from 1; with the seed it decides which labels are drawn.
        key: changes whenever the case would give other results.
        millimetres: whether the case's are real. done: labels that need not be computed again.
    """

    number: int
    entry: Entry
    key: str
    millimetres: bool
    done: frozenset[int] = frozenset()

    @classmethod
    def of(cls, source: CaseSource, number: int, entry: Entry, options: EvaluationOptions,
           millimetres: bool) -> WorkItem:  # fmt: skip
        """The task for an entry; its key follows from the entry and from its files' sizes and times."""
        facts: list[object] = [entry, millimetres, number if options.labels_per_case is not None else None]
        for path in source.files_of(entry):
            about = path.stat() if path.exists() else None
            facts.append([about.st_size, about.st_mtime_ns] if about else None)
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
        return cls(number, entry, f"{entry['id']}:{digest[:16]}", millimetres)

    def expected_structures(self, options: EvaluationOptions) -> int:
        """How many structures the manifest promises."""
        labels = self.entry["labels"].values()
        large = sum(about.get("ml", options.minimum_ml) >= options.minimum_ml for about in labels)
        return large if options.labels_per_case is None else min(large, options.labels_per_case)


def compute(task: WorkItem, source: CaseSource, predictor: Predictor, options: EvaluationOptions,
            baselines: Sequence[Baseline]) -> Iterator[Finding]:  # fmt: skip
    """Reads a case and evaluates what is not done yet; a case that cannot be read becomes a failure.

    Yields:
        the labels first, then each result or failure as it comes.
    """
    entry = task.entry
    try:
        (case,) = source.collection.load([entry], source.cache)
        labels = evaluated_labels(case, task.number, options)
    except Exception as error:  # one case must not end an evaluation of hours
        yield Failure(entry["id"], entry["dataset"], None, None, failure_message(error))
        return
    yield LabelsOfCase(tuple(labels))
    missing = [label for label in labels if label not in task.done]
    yield from evaluate_case(predictor, case, missing, options, baselines, task.millimetres)


_POLL_SECONDS = 0.2


class WorkerError(EngineError):
    """A worker process died."""


@dataclass(frozen=True)
class ModelSource:
    """A model that any process can load.

    Args:
        model: a registered name or a file; None: the shipped one. device: auto, cuda or cpu.
        threads: of PyTorch on the CPU; None: its own choice. memory: of past interactions. cases: that are remembered;
            None: none.
    """

    model: str | None
    device: str
    threads: int | None = None
    memory: MemoryChoice = MemoryChoice()
    cases: CaseMemoryChoice | None = None

    def load(self) -> tuple[Checkpoint, Predictor, dict[str, Any] | None]:
        """The model, a predictor with it, and facts about its interaction memory (None: it has none).

        Raises:
            CheckpointError or DeviceError: it cannot be loaded. TrainingError: there is no such interaction memory.
            CaseMemoryError: the case memory cannot be used.
        """
        checkpoint, predictor, memory, _ = self.load_with_cases()
        return checkpoint, predictor, memory

    def load_with_cases(self) -> tuple[Checkpoint, Predictor, dict[str, Any] | None, dict[str, Any] | None]:
        """:meth:`load`, and facts about the case memory (None: there is none)."""
        import torch

        if self.threads is not None:
            torch.set_num_threads(self.threads)
        checkpoint = load(self.model) if self.model else load_default()
        predictor, memory = self.memory.predictor(checkpoint.network, choose_runtime(self.device))
        return checkpoint, predictor, memory, None if self.cases is None else self.cases.attach(predictor)


@dataclass(frozen=True)
class Job:
    """What every worker needs to know."""

    model: ModelSource
    source: CaseSource
    options: EvaluationOptions
    baselines: Sequence[Baseline]


def compute_in_workers(job: Job, tasks: Sequence[WorkItem], workers: int) -> Iterator[tuple[WorkItem, Finding]]:
    """Computes tasks in processes of their own and gives what they find as it comes, in any order.

    Leaving early (an interruption, an error) lets every worker finish its present structure and no more.

    Raises:
        WorkerError: a worker died, which is what the system does to it when memory runs out.
    """
    context = multiprocessing.get_context("spawn")
    findings: Any = context.Queue()
    stop: Any = context.Event()
    pool = ProcessPoolExecutor(workers, context, _start, (job, findings, stop))
    try:
        futures: set[Future[None]] = {pool.submit(_compute, number, task) for number, task in enumerate(tasks)}
        told = 0
        while futures or told < len(tasks):
            for future in [future for future in futures if future.done()]:
                future.result()
                futures.remove(future)
            try:
                number, finding = findings.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                continue
            if finding is None:
                told += 1
            else:
                yield tasks[number], finding
    except BrokenProcessPool as error:
        raise WorkerError(
            "A worker process died; most often memory ran out.",
            "Run the same command with fewer --workers: what is finished is kept.",
        ) from error
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)
        findings.close()


_worker: tuple[Job, Predictor, Any, Any] | None = None


def _start(job: Job, findings: Any, stop: Any) -> None:
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the first process decides
    _, predictor, _ = job.model.load()
    warm_up(predictor, job.baselines)
    _worker = (job, predictor, findings, stop)


def _compute(number: int, task: WorkItem) -> None:
    assert _worker is not None
    job, predictor, findings, stop = _worker

    for finding in compute(task, job.source, predictor, job.options, job.baselines):
        findings.put((number, finding))
        if stop.is_set():
            break
    findings.put((number, None))


FORMAT_VERSION = 2
# Datasets whose voxel size is not known; a manifest says so of any other one by "nominal_spacing": true.
NOMINAL_SPACING = ("acdc",)


class Outcome(NamedTuple):
    """results: in the order of the manifest. failures: of cases, structures and contenders. resumed: results that
    an earlier call had computed."""

    results: list[StructureResult]
    failures: list[Failure]
    resumed: int


def work_items(source: CaseSource, entries: Sequence[Entry], options: EvaluationOptions,
               dice_only: Sequence[str] = NOMINAL_SPACING) -> list[WorkItem]:  # fmt: skip
    """A task for each entry.

    Args:
        dice_only: datasets whose millimetres are not real.
    """
    return [
        WorkItem.of(
            source, number, entry, options, not entry.get("nominal_spacing", entry["dataset"] in dice_only)
        )
        for number, entry in enumerate(entries, 1)
    ]  # fmt: skip


def identity(sha256: str, predictor: Predictor, options: EvaluationOptions,
             baselines: Sequence[Baseline], memory: dict[str, Any] | None = None,
             cases: dict[str, Any] | None = None) -> dict[str, Any]:  # fmt: skip
    """Everything that results depend on beside the case: only those of the same identity are used again.

    Args:
        sha256: of the model's file. memory, cases: facts about the interaction memory and the case memory.
    """
    return {
        "version": FORMAT_VERSION,
        "program": __version__,
        "model": sha256,
        "device": predictor.runtime.device.type,
        "precision": predictor.runtime.precision,
        "options": asdict(options),
        "baselines": {baseline.name: dict(baseline.parameters) for baseline in baselines},
        **({} if memory is None else {"interaction_memory": memory}),
        **({} if cases is None else {"case_memory": cases}),
    }


def run_evaluation(job: Job, predictor: Predictor, tasks: Sequence[WorkItem], finished: ResumeLog,
                   workers: int = 1, progress: Callable[[int, int], None] | None = None) -> Outcome:  # fmt: skip
    """Computes what is missing, notes it at once, and gives everything.

    Args:
        predictor: of the job's model; workers load their own.
        workers: processes; 1 computes in this one.
        progress: uses how many structures are done, and of how many; the latter is an estimate until cases are read.

    Raises:
        OutputError: results cannot be written. WorkerError: a worker died. What was finished is kept.
    """
    expected = {task.key: task.expected_structures(job.options) for task in tasks}
    failures: list[Failure] = []
    waiting = []
    for task in tasks:
        labels = finished.labels(task.key)
        if labels is None or finished.missing(task.key, labels):
            done = frozenset(result.label for result in finished.results(task.key))
            waiting.append(WorkItem(task.number, task.entry, task.key, task.millimetres, done))
        if labels is not None:
            expected[task.key] = len(labels)
    resumed = done_count = sum(len(finished.results(task.key)) for task in tasks)
    if progress:
        progress(done_count, sum(expected.values()))
    for task, finding in _findings(job, predictor, waiting, workers):
        if isinstance(finding, LabelsOfCase):
            expected[task.key] = len(finding.labels)
            finished.begin(task.key, finding.labels)
        elif isinstance(finding, StructureResult):
            finished.add(task.key, finding)
            done_count += 1
        else:
            failures.append(finding)
            expected[task.key] -= 1 if finding.label is not None else expected[task.key]
        if progress:
            progress(done_count, sum(expected.values()))
    results = [result for task in tasks for result in finished.results(task.key)]
    failures += [
        Failure(result.case, result.dataset, result.label, run.contender, run.failure)
        for result in results
        for run in result.runs
        if run.failure is not None
    ]
    return Outcome(results, failures, resumed)


def _findings(job: Job, predictor: Predictor, tasks: Sequence[WorkItem],
              workers: int) -> Iterator[tuple[WorkItem, Finding]]:  # fmt: skip
    if workers > 1 and len(tasks) > 1:
        yield from compute_in_workers(job, tasks, min(workers, len(tasks)))
        return
    if tasks:
        warm_up(predictor, job.baselines)
    for task in tasks:
        for finding in compute(task, job.source, predictor, job.options, job.baselines):
            yield task, finding
