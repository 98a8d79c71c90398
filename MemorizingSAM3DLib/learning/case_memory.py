"""A case memory from a dataset: every structure of every case, in parallel, and resumed where it was stopped.

The calibration of a case memory's recall, measured on labelled cases.
"""

from __future__ import annotations

import json
import multiprocessing
import signal
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

from MemorizingSAM3DLib.engine.case_memory.descriptor import DIRECTIONS, Calibration, CropFacts
from MemorizingSAM3DLib.engine.case_memory.shape_prior import StructureShape
from MemorizingSAM3DLib.engine.files import atomic_file
from MemorizingSAM3DLib.engine.session.crop_policy import first_grid
from MemorizingSAM3DLib.engine.session.predictor import Predictor
from MemorizingSAM3DLib.engine.session.remember_case import open_or_create_case_retrieval, remember

from .data.cases import case_volume
from .data.manifest import DataError, Entry
from .evaluation.evaluate import EvaluationOptions, evaluated_labels, failure_message
from .evaluation.run import CaseSource, ModelSource, WorkerError


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
    predictor.case_retrieval = open_or_create_case_retrieval(job.memory, checkpoint.network, layers=job.layers)
    return predictor


_worker: tuple[BuildJob, Predictor] | None = None


def _start(job: BuildJob) -> None:
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the first process decides
    _worker = (job, _predictor_of(job))


def _remember(entry: Entry) -> Remembered:
    assert _worker is not None
    return remember_case(*_worker, entry)


_PLACES = 2  # a structure: the deepest, and one far from it
# Of places whose structure is not remembered so many may be taken for another one. Where that happened, a first click
# lost up to 0.15 of Dice; where the right structure was used it gained a tenth and more.
_MISLED = 0.1
_SLOPES = 1.0, 1e5
_FOLDS = 4
_PRIOR = 1e-3


class _Place(NamedTuple):
    facts: CropFacts
    dataset: str
    case: str
    structure: str
    anchor: int


class CalibrationFigures(NamedTuple):
    """What was found.

    Attributes:
        calibration: to be saved. places: how many were looked at. attended, misled: the share of places whose own
            structure is remembered and heard, and of places whose structure is not remembered and another one is used.
    """

    calibration: Calibration
    places: int
    attended: float
    misled: float


def calibrate(predictor: Predictor, encoder: str, source: CaseSource, entries: Sequence[Entry],
              minimum_ml: float = 1.0, progress: Callable[[int, int], None] | None = None,
              ) -> CalibrationFigures:  # fmt: skip
    """Looks at places of every structure and compares them with those of other cases.

    Args:
        encoder: fingerprint of the predictor's.
        entries: at least two cases, some of which share structures.
        progress: (done, total) after each case.

    Raises:
        DataError: no structure occurs in two cases.
    """
    places: list[_Place] = []
    for number, entry in enumerate(entries, 1):
        (case,) = source.collection.load([entry], source.cache)
        volume = case_volume(case)
        predictor.set_volume(volume)
        for label in evaluated_labels(case, 0, EvaluationOptions(minimum_ml=minimum_ml)):
            shape, centre = StructureShape.of(volume, (case.labels == label).transpose(2, 1, 0))
            for which, anchor in enumerate(shape.anchors[:_PLACES]):
                r, a, s = (centre + anchor).tolist()
                grid = first_grid(volume, (r, a, s), predictor.spacing_range, predictor.crop_size)
                facts = CropFacts.of(predictor.multi_scale_features(grid))
                places.append(_Place(facts, case.dataset, case.name, case.structures[label], which))
        if progress:
            progress(number, len(entries))
    return _measured(places, encoder)


def _measured(places: Sequence[_Place], encoder: str) -> CalibrationFigures:
    datasets = sorted({place.dataset for place in places})
    means = [np.mean([p.facts.layout for p in places if p.dataset == name], axis=0) for name in datasets]
    local = np.array([place.facts.local for place in places])
    # As they are stored, so that the figures hold for the file.
    mean = np.mean(means, axis=0).astype(np.float16).astype(np.float32)
    raw = Calibration(mean, local.mean(0), local.std(0) + 1e-6, 1.0, 0.0, encoder)
    vectors = np.array([raw.describe_facts(place.facts) for place in places])
    structures = sorted({(place.dataset, place.structure) for place in places})
    own: list[float] = []
    foreign: list[float] = []
    for fold in range(min(_FOLDS, len(structures))):
        # Measured on structures that the damping was not: a user's are new to it as well.
        asked = set(structures[fold::_FOLDS])
        damped = _within(vectors, places, asked).of(vectors)
        _compare(damped, places, asked, own, foreign)
    if not own:
        raise DataError("No structure occurs in two cases.", "Give more cases.")
    middle = float(np.quantile(foreign, 1 - _MISLED))
    slope = _slope(np.array(own), np.array(foreign), middle)
    directions, damping = _within(vectors, places)
    calibration = replace(raw, slope=slope, middle=middle, directions=directions, damping=damping)
    return CalibrationFigures(calibration, len(places), float(np.mean(np.array(own) >= middle)),
                              float(np.mean(np.array(foreign) >= middle)))  # fmt: skip


class _Damping(NamedTuple):
    """As :attr:`Calibration.directions` and :attr:`Calibration.damping`."""

    directions: np.ndarray
    damping: np.ndarray

    def of(self, vectors: np.ndarray) -> np.ndarray:
        """The vectors, damped, at length 1."""
        damped = vectors - (vectors @ self.directions * self.damping) @ self.directions.T
        return damped / np.linalg.norm(damped, axis=1, keepdims=True)


def _within(vectors: np.ndarray, places: Sequence[_Place], leave_out: Collection[tuple[str, str]] = ()) -> _Damping:
    """The directions in which vectors of one place differ between cases, and how much of each to take away.

    Args:
        leave_out: structures (dataset and name) that do not count.
    """
    groups: dict[tuple[str, str, int], list[int]] = {}
    for number, place in enumerate(places):
        if (place.dataset, place.structure) not in leave_out:
            groups.setdefault((place.dataset, place.structure, place.anchor), []).append(number)
    parts = [vectors[group] - vectors[group].mean(0) for group in groups.values() if len(group) > 1]
    width = vectors.shape[1]
    directions, damping = np.zeros((width, DIRECTIONS), np.float32), np.zeros(DIRECTIONS, np.float32)
    if parts:
        differences = np.concatenate(parts)
        _, scales, rows = np.linalg.svd(differences / np.sqrt(len(differences)), full_matrices=False)
        count = min(DIRECTIONS, len(scales))
        variances = scales**2
        mean = float(variances.sum()) / width
        directions[:, :count] = rows[:count].T
        if mean > 0:
            damping[:count] = 1 - np.sqrt(mean / (variances[:count] + mean))
    # As they are stored.
    return _Damping(directions.astype(np.float16).astype(np.float32), damping)


def _compare(vectors: np.ndarray, places: Sequence[_Place], asked: Collection[tuple[str, str]], own: list[float],
             foreign: list[float]) -> None:  # fmt: skip
    """Notes, for each place of some structures, the likest of its own structure and of any other, in other cases."""
    cosines = vectors @ vectors.T
    names = [(place.dataset, place.structure) for place in places]
    for number, place in enumerate(places):
        if names[number] not in asked:
            continue
        others = np.array([other.case != place.case for other in places])
        same = np.array([name == names[number] for name in names])
        if (others & same).any() and (others & ~same).any():
            own.append(float(cosines[number][others & same].max()))
            foreign.append(float(cosines[number][others & ~same].max()))


def _slope(own: np.ndarray, foreign: np.ndarray, middle: float) -> float:
    """How fast the probability that a cosine is one of `own` rises around the middle (logistic, with a weak prior)."""
    x = np.concatenate([own, foreign]) - middle
    y = np.concatenate([np.ones(len(own)), np.zeros(len(foreign))])

    def gradient(slope: float) -> float:
        return float(x @ (y - expit(slope * x))) - _PRIOR * slope

    # It falls as the slope rises. Newton's method, without a bracket, oscillates where nothing overlaps.
    return float(brentq(gradient, *_SLOPES)) if gradient(_SLOPES[0]) > 0 else _SLOPES[0]
