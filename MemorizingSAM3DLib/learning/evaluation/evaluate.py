"""Evaluation by simulated prompts, through the session that the user has, and of baselines on the same prompts.

A network alone, as papers evaluate one: a crop around the structure is given, no rule of the session helps it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from MemorizingSAM3DLib.engine.errors import EngineError, PromptError
from MemorizingSAM3DLib.engine.geometry import Box, Volume, threshold_on_scan
from MemorizingSAM3DLib.engine.interaction_memory.bank import Interaction
from MemorizingSAM3DLib.engine.prompts import Click, Prompt, Scribble
from MemorizingSAM3DLib.engine.session.crop_policy import grid_around
from MemorizingSAM3DLib.engine.session.predictor import Predictor
from MemorizingSAM3DLib.engine.session.session import InteractiveSession

from ..data.cases import Case, case_volume
from ..simulated_user import central_click
from .baselines import Baseline
from .challenge import CVPR25, PUBLISHED, challenge_box, challenge_click
from .first_prompts import BOX, POINT, as_points, first_prompt
from .memory_options import EvaluatedRetrieval
from .metrics import TOLERANCE_MM, SurfaceDice, dice
from .results import MODEL, OWN_CLICKS, SAME_CLICKS, ClickScore, Failure, Run, StructureResult


class NetworkWithoutSession:
    """Hears one prompt after another; the mask is what the network says of its crop after the last one, and no more.

    A session holds what was clicked, and changes nothing far from a click: it remembers by itself what a network
    that is given the newest click alone forgets. Here the interaction memory alone can.

    Args:
        volume: the scan. truth: (K, J, I) bool, not empty; where the crop lies follows from its box, nothing else.
    """

    def __init__(self, predictor: Predictor, volume: Volume, truth: np.ndarray) -> None:
        predictor.set_volume(volume)
        self._predictor, self._volume = predictor, volume
        box = Box.of_mask(truth)
        low, high = np.array(box.low)[::-1] - 0.5, np.array(box.high)[::-1] - 0.5
        corners = np.array(np.meshgrid(*zip(low, high, strict=True), indexing="ij")).reshape(3, -1).T
        places = volume.ijk_to_ras_points(corners)
        self._grid = grid_around(places, predictor.spacing_range, predictor.crop_size)
        self._prompts: list[Prompt] = []
        self._logits: np.ndarray | None = None
        self._interactions: tuple[Interaction, ...] = ()
        self._mask = np.zeros(volume.shape, dtype=bool)

    def __call__(self, prompt: Prompt) -> np.ndarray:
        """The mask, (K, J, I) bool, after one more prompt; one whose middle lies outside the crop changes nothing.

        Raises:
            PromptError: the network does not know boxes and lassos.
        """
        if not isinstance(prompt, Click | Scribble) and not self._predictor.knows_regions:
            raise PromptError("This network knows points and scribbles alone.", "Choose one of version 5.")
        if not self._grid.contains(prompt.ras):
            return self._mask
        predictor, grid = self._predictor, self._grid
        self._prompts.append(prompt)
        self._logits = predictor.logits(grid, self._prompts, self._logits, self._interactions)
        if isinstance(prompt, Click):
            self._interactions = predictor.append_interaction(grid, prompt, self._logits, self._interactions)
        box, inside = threshold_on_scan(self._logits, grid, self._volume, refined=True)
        self._mask = np.zeros(self._volume.shape, dtype=bool)
        self._mask[box.slices] = inside
        return self._mask


SMALLEST_ML = 1.0
# A contender: takes one more prompt and gives its mask, (K, J, I) bool.
Tool = Callable[[Prompt], np.ndarray]


@dataclass(frozen=True)
class EvaluationOptions:
    """What is measured.

    Attributes:
        clicks: prompts a structure, the first one included.
        labels_per_case: at most so many structures a case, drawn with ``seed``; None: all.
        minimum_ml: smaller structures are left out. tolerance_mm: of the NSD.
        own_clicks: baselines also get prompts on their own errors, in a second run.
        bare: the network alone, on a crop around the structure (:class:`NetworkWithoutSession`); not the session.
        start: the kind of each structure's first prompt, of :data:`.first_prompts.STARTS`; all later ones are points.
        protocol: whose rule chooses points, of :data:`.challenge.PROTOCOLS`.
    """

    clicks: int = 10
    labels_per_case: int | None = None
    seed: int = 0
    minimum_ml: float = SMALLEST_ML
    tolerance_mm: float = TOLERANCE_MM
    own_clicks: bool = False
    bare: bool = False
    start: str = POINT
    protocol: str = PUBLISHED


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
    """Prompts the model for a structure, then gives the baselines exactly the prompts that the model's run made.

    Args:
        volume: of the case.
    """
    # Scans are stored (R, A, S) and shown to the session as (K, J, I).
    truth = np.ascontiguousarray((case.labels == label).transpose(2, 1, 0))
    k, j, i = volume.spacing[::-1]
    surface = SurfaceDice(truth, (k, j, i), options.tolerance_mm) if millimetres else None
    user = SimulatedUser(volume, truth, surface, options)
    if isinstance(predictor.case_retrieval, EvaluatedRetrieval):
        predictor.case_retrieval.clicked(case.structures[label])
    model = NetworkWithoutSession(predictor, volume, truth) if options.bare else tool_of_session(predictor, volume)
    run, prompts = user.correct(MODEL, SAME_CLICKS, model)
    runs = [run, *(user.repeat(baseline.name, tool_of(baseline, volume), prompts) for baseline in baselines)]
    if options.own_clicks:
        runs += [user.correct(baseline.name, OWN_CLICKS, tool_of(baseline, volume))[0] for baseline in baselines]
    ml = float(np.count_nonzero(truth)) * volume.voxel_mm3 / 1000
    return StructureResult(case.name, case.dataset, case.modality, label, case.structures[label], ml, tuple(runs))


class SimulatedUser:
    """Prompts by the rule of a protocol and scores what comes of it.

    Args:
        truth: (K, J, I) bool, not empty. surface: its NSD; None: not measured. options: how to begin, by whose rule to
            go on, and how often.
    """

    def __init__(self, volume: Volume, truth: np.ndarray, surface: SurfaceDice | None,
                 options: EvaluationOptions) -> None:  # fmt: skip
        self._volume, self._truth, self._surface, self._options = volume, truth, surface, options

    def correct(self, contender: str, clicks_from: str, tool: Tool) -> tuple[Run, list[Prompt]]:
        """Each point in the middle of the contender's own last errors. Gives the run and the prompts that it made."""
        made: list[Prompt] = []

        def next_prompt(mask: np.ndarray, number: int) -> Prompt | None:
            prompt = self._first() if number == 0 else self._next(mask)
            if prompt is not None:
                made.append(prompt)
            return prompt

        return self._run(contender, clicks_from, tool, next_prompt), made

    def repeat(self, contender: str, tool: Tool, prompts: Sequence[Prompt]) -> Run:
        """A given sequence of prompts, whatever the contender makes of them."""
        return self._run(
            contender, SAME_CLICKS, tool, lambda _mask, number: prompts[number] if number < len(prompts) else None
        )

    def _first(self) -> Prompt | None:
        start, protocol = self._options.start, self._options.protocol
        if start == POINT:
            return self._next(np.zeros_like(self._truth))
        if start == BOX and protocol == CVPR25:
            return challenge_box(self._volume, self._truth)
        return first_prompt(start, self._volume, self._truth)

    def _next(self, mask: np.ndarray) -> Click | None:
        if self._options.protocol == CVPR25:
            found = challenge_click(mask, self._truth)
        else:
            found = central_click(mask, self._truth, self._volume.spacing[::-1])
        if found is None:
            return None
        r, a, s = self._volume.ijk_to_ras_points(found.voxel[::-1]).tolist()
        return Click((r, a, s), found.positive)

    def _run(self, contender: str, clicks_from: str, tool: Tool,
             next_prompt: Callable[[np.ndarray, int], Prompt | None]) -> Run:  # fmt: skip
        mask = np.zeros_like(self._truth)
        dice_now, nsd_now = self._measured(mask)
        scores: list[ClickScore] = []
        failure: str | None = None
        for number in range(self._options.clicks):
            prompt = next_prompt(mask, number) if failure is None else None
            if prompt is None:
                scores.append(ClickScore(None, None, None, dice_now, nsd_now, None))
                continue
            kind = self._options.start if number == 0 else POINT
            milliseconds = None
            start = time.perf_counter()
            try:
                mask = tool(prompt)
            except Exception as error:  # a contender that fails keeps its last mask, and is scored by it
                failure = failure_message(error)
            else:
                milliseconds = (time.perf_counter() - start) * 1000
                dice_now, nsd_now = self._measured(mask)
            scores.append(ClickScore(kind, prompt.ras, prompt.positive, dice_now, nsd_now, milliseconds))
        return Run(contender, clicks_from, tuple(scores), failure)

    def _measured(self, mask: np.ndarray) -> tuple[float, float | None]:
        return dice(mask, self._truth), None if self._surface is None else self._surface.of(mask)


def tool_of_session(predictor: Predictor, volume: Volume) -> Tool:
    """The session that the user has."""
    session = InteractiveSession(predictor)
    session.set_image(volume)  # a crop that an earlier structure needed stays encoded, as for a user

    def tool(prompt: Prompt) -> np.ndarray:
        session.add_prompt(prompt)
        return session.mask

    return tool


def tool_of(baseline: Baseline, volume: Volume) -> Tool:
    """A baseline that uses one prompt after another: scribbles as their points, boxes and lassos as their centres."""
    clicks: list[Click] = []

    def tool(prompt: Prompt) -> np.ndarray:
        clicks.extend(as_points(prompt))
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
