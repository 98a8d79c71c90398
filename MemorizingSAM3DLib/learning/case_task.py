"""One case of an evaluation, as it is handed to whoever computes it: this process or a worker."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ..engine.predictor import Predictor
from .baselines import Baseline
from .collection import Collection
from .evaluation import EvaluationOptions, evaluate_case, evaluated_labels, failure_message
from .manifest import Entry, image_and_label
from .scores import Failure, StructureResult


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
class CaseTask:
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
           millimetres: bool) -> CaseTask:  # fmt: skip
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


def compute(task: CaseTask, source: CaseSource, predictor: Predictor, options: EvaluationOptions,
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
