"""A whole evaluation: many cases, in this process or in several, continued where it was interrupted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from .. import __version__
from ..engine.predictor import Predictor
from .baselines import Baseline
from .case_task import CaseSource, CaseTask, Finding, LabelsOfCase, compute
from .evaluation import EvaluationOptions, warm_up
from .evaluation_workers import Job, compute_in_workers
from .finished_structures import FinishedStructures
from .manifest import Entry
from .scores import Failure, StructureResult

FORMAT_VERSION = 2
# Datasets whose voxel size is not known; a manifest says so of any other one by "nominal_spacing": true.
NOMINAL_SPACING = ("acdc",)


class Outcome(NamedTuple):
    """results: in the order of the manifest. failures: of cases, structures and contenders. resumed: results that
    an earlier call had computed."""

    results: list[StructureResult]
    failures: list[Failure]
    resumed: int


def case_tasks(source: CaseSource, entries: Sequence[Entry], options: EvaluationOptions,
               dice_only: Sequence[str] = NOMINAL_SPACING) -> list[CaseTask]:  # fmt: skip
    """A task for each entry.

    Args:
        dice_only: datasets whose millimetres are not real.
    """
    return [
        CaseTask.of(
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


def run_evaluation(job: Job, predictor: Predictor, tasks: Sequence[CaseTask], finished: FinishedStructures,
                   workers: int = 1, progress: Callable[[int, int], None] | None = None) -> Outcome:  # fmt: skip
    """Computes what is missing, notes it at once, and gives everything.

    Args:
        predictor: of the job's model; workers load their own.
        workers: processes; 1 computes in this one.
        progress: hears how many structures are done, and of how many; the latter is an estimate until cases are read.

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
            waiting.append(CaseTask(task.number, task.entry, task.key, task.millimetres, done))
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


def _findings(job: Job, predictor: Predictor, tasks: Sequence[CaseTask],
              workers: int) -> Iterator[tuple[CaseTask, Finding]]:  # fmt: skip
    if workers > 1 and len(tasks) > 1:
        yield from compute_in_workers(job, tasks, min(workers, len(tasks)))
        return
    if tasks:
        warm_up(predictor, job.baselines)
    for task in tasks:
        for finding in compute(task, job.source, predictor, job.options, job.baselines):
            yield task, finding
