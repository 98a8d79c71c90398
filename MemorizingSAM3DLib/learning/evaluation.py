"""Evaluation by simulated clicks, through the same session that the user has, and of baselines on the same clicks."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from ..engine.errors import EngineError
from ..engine.geometry import Volume
from ..engine.predictor import Predictor
from ..engine.prompts import Click
from ..engine.session import InteractiveSession
from .bare_network import BareNetwork
from .baselines import Baseline
from .case_memory_choice import EvaluatedRecall
from .cases import Case, case_volume
from .clicks import central_click
from .metrics import dice
from .scores import MODEL, OWN_CLICKS, SAME_CLICKS, ClickScore, Failure, Run, StructureResult
from .surface_dice import TOLERANCE_MM, SurfaceDice

SMALLEST_ML = 1.0

# A contender: takes one more click and gives its mask, (K, J, I) bool.
Tool = Callable[[Click], np.ndarray]


@dataclass(frozen=True)
class EvaluationOptions:
    """What is measured.

    Attributes:
        clicks: a structure. labels_per_case: at most so many structures a case, drawn with ``seed``; None: all.
        minimum_ml: smaller structures are left out. tolerance_mm: of the NSD.
        own_clicks: baselines also get clicks on their own errors, in a second run.
        bare: the network alone, on a crop around the structure (:class:`.bare_network.BareNetwork`); not the session.
    """

    clicks: int = 10
    labels_per_case: int | None = None
    seed: int = 0
    minimum_ml: float = SMALLEST_ML
    tolerance_mm: float = TOLERANCE_MM
    own_clicks: bool = False
    bare: bool = False


def evaluated_labels(case: Case, number: int, options: EvaluationOptions) -> list[int]:
    """The labels of a case that are large enough, or some of them at random.

    Args:
        number: of the case in the evaluation, from 1; with the seed it decides the draw.
    """
    voxels = options.minimum_ml * 1000 / float(np.prod(case.spacing))
    labels = [label for label in case.structures if np.count_nonzero(case.labels == label) >= voxels]
    if options.labels_per_case is not None and len(labels) > options.labels_per_case:
        rng = np.random.default_rng([options.seed, number])
        labels = sorted(rng.choice(labels, options.labels_per_case, replace=False).tolist())
    return labels


def evaluate_case(predictor: Predictor, case: Case, labels: Collection[int], options: EvaluationOptions,
                  baselines: Sequence[Baseline] = (), millimetres: bool = True,
                  ) -> Iterator[StructureResult | Failure]:  # fmt: skip
    """Evaluates structures of a case, one after another; what raises an exception becomes a failure.

    Args:
        millimetres: whether the case's are real; if not, there is no NSD.

    Yields:
        for each label its result, in which single contenders may have failed, or the failure of the whole structure.
    """
    try:
        volume = case_volume(case)
    except EngineError as error:
        yield Failure(case.name, case.dataset, None, None, str(error))
        return
    for label in labels:
        try:
            yield evaluate_structure(predictor, volume, case, label, options, baselines, millimetres)
        except Exception as error:  # one structure must not end an evaluation of hours
            yield Failure(case.name, case.dataset, label, None, failure_message(error))


def evaluate_structure(predictor: Predictor, volume: Volume, case: Case, label: int, options: EvaluationOptions,
                       baselines: Sequence[Baseline] = (), millimetres: bool = True) -> StructureResult:  # fmt: skip
    """Clicks a structure with the model, then gives the baselines exactly the clicks that the model's run made.

    Args:
        volume: of the case.
    """
    # Scans are stored (R, A, S) and shown to the session as (K, J, I).
    truth = np.ascontiguousarray((case.labels == label).transpose(2, 1, 0))
    k, j, i = volume.spacing[::-1]
    surface = SurfaceDice(truth, (k, j, i), options.tolerance_mm) if millimetres else None
    user = SimulatedUser(volume, truth, surface, options.clicks)
    if isinstance(predictor.case_recall, EvaluatedRecall):
        predictor.case_recall.clicked(case.structures[label])
    model = BareNetwork(predictor, volume, truth) if options.bare else tool_of_session(predictor, volume)
    runs = [user.correct(MODEL, SAME_CLICKS, model)]
    clicks = [Click(score.ras, bool(score.positive)) for score in runs[0].scores if score.ras is not None]
    runs += [user.repeat(baseline.name, tool_of(baseline, volume), clicks) for baseline in baselines]
    if options.own_clicks:
        runs += [user.correct(baseline.name, OWN_CLICKS, tool_of(baseline, volume)) for baseline in baselines]
    ml = float(np.count_nonzero(truth)) * volume.voxel_mm3 / 1000
    return StructureResult(case.name, case.dataset, label, case.structures[label], ml, tuple(runs))


class SimulatedUser:
    """Clicks by the published rule and scores what comes of it.

    Args:
        truth: (K, J, I) bool. surface: its NSD; None: not measured. clicks: that a run has.
    """

    def __init__(self, volume: Volume, truth: np.ndarray, surface: SurfaceDice | None, clicks: int) -> None:
        self._volume, self._truth, self._surface, self._clicks = volume, truth, surface, clicks

    def correct(self, contender: str, clicks_from: str, tool: Tool) -> Run:
        """Each click at the voxel farthest inside the larger error region of the contender's own last mask."""

        def next_click(mask: np.ndarray, _number: int) -> Click | None:
            found = central_click(mask, self._truth, self._volume.spacing[::-1])
            if found is None:
                return None
            r, a, s = self._volume.ijk_to_ras_points(found.voxel[::-1]).tolist()
            return Click((r, a, s), found.positive)

        return self._run(contender, clicks_from, tool, next_click)

    def repeat(self, contender: str, tool: Tool, clicks: Sequence[Click]) -> Run:
        """A given sequence of clicks, whatever the contender makes of them."""
        return self._run(
            contender, SAME_CLICKS, tool, lambda _mask, number: clicks[number] if number < len(clicks) else None
        )

    def _run(self, contender: str, clicks_from: str, tool: Tool,
             next_click: Callable[[np.ndarray, int], Click | None]) -> Run:  # fmt: skip
        mask = np.zeros_like(self._truth)
        dice_now, nsd_now = self._measured(mask)
        scores: list[ClickScore] = []
        failure: str | None = None
        for number in range(self._clicks):
            click = next_click(mask, number) if failure is None else None
            if click is None:
                scores.append(ClickScore(None, None, dice_now, nsd_now, None))
                continue
            start = time.perf_counter()
            try:
                mask = tool(click)
            except Exception as error:  # a contender that fails keeps its last mask, and is scored by it
                failure = failure_message(error)
                scores.append(ClickScore(click.ras, click.positive, dice_now, nsd_now, None))
                continue
            milliseconds = (time.perf_counter() - start) * 1000
            dice_now, nsd_now = self._measured(mask)
            scores.append(ClickScore(click.ras, click.positive, dice_now, nsd_now, milliseconds))
        return Run(contender, clicks_from, tuple(scores), failure)

    def _measured(self, mask: np.ndarray) -> tuple[float, float | None]:
        return dice(mask, self._truth), None if self._surface is None else self._surface.of(mask)


def tool_of_session(predictor: Predictor, volume: Volume) -> Tool:
    """The session that the user has."""
    session = InteractiveSession(predictor)
    session.set_image(volume)  # a crop that an earlier structure needed stays encoded, as for a user

    def tool(click: Click) -> np.ndarray:
        session.add_click(click)
        return session.mask

    return tool


def tool_of(baseline: Baseline, volume: Volume) -> Tool:
    """A baseline that hears one click after another."""
    clicks: list[Click] = []

    def tool(click: Click) -> np.ndarray:
        clicks.append(click)
        return baseline.segment(volume, clicks)

    return tool


def warm_up(predictor: Predictor, baselines: Sequence[Baseline] = ()) -> None:
    """Two clicks that are not measured, on noise: nobody's first click then pays for imports and kernels."""
    noise = np.random.default_rng(0).integers(0, 1000, (24, 24, 24)).astype(np.int16)
    volume = Volume(noise, np.eye(4), modality="MR")
    clicks = [Click((12.0, 12.0, 12.0)), Click((20.0, 12.0, 12.0), positive=False)]
    with suppress(Exception):  # whatever fails here fails again, and is then recorded
        session = InteractiveSession(predictor)
        session.set_image(volume)
        for click in clicks:
            session.add_click(click)
    for baseline in baselines:
        with suppress(Exception):
            baseline.segment(volume, clicks)


def failure_message(error: Exception) -> str:
    """What to write down about an exception; its kind, where the text is not meant for users."""
    return str(error) if isinstance(error, EngineError) else f"{type(error).__name__}: {error}"
