"""Masks of prompts: every state follows from a starting mask and clicks in order, and is computed once."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from functools import partial

from ..geometry import Volume
from ..geometry.packed_mask import PackedMask
from ..prompts import Prompts
from .predictor import Predictor
from .refinement import ClickRefiner, KeptShapePriors, MaskState

STATES_KEPT = 128


class Replay:
    """The mask of any prompts on one scan. Several segments of a scan share one: they share its crops too.

    States are kept, the least recently used go first (each holds its logits, 1 MB for the shipped model), so that one
    more click costs one click, and going back costs nothing. What has gone is computed again, with the memories as they
    were: the same prompts lead to the same mask, whatever was remembered or forgotten since.

    Args:
        predictor: it may serve other scans between two calls.
        volume: the scan.
        starts: the masks that prompts may start from, on the scan's grid, by their numbers; more may be appended at
            any time. Number 0 is empty.
    """

    def __init__(self, predictor: Predictor, volume: Volume, starts: list[PackedMask] | None = None) -> None:
        self.predictor, self.volume = predictor, volume
        self.starts = [PackedMask()] if starts is None else starts
        self._refiner = ClickRefiner(predictor)
        self._states: OrderedDict[Prompts, MaskState] = OrderedDict()
        self._shape_priors = KeptShapePriors()

    def add_start(self, mask: PackedMask) -> int:
        """Keeps a mask to start from; the number is for :class:`Prompts`."""
        if mask.is_empty:
            return 0
        self.starts.append(mask)
        return len(self.starts) - 1

    def mask_of(self, prompts: Prompts) -> PackedMask:
        """The mask that the prompts lead to.

        Raises:
            ClickError: a click lies outside the scan. MemoryExhaustedError: there is too little memory.
        """
        return self.state_of(prompts).mask

    def state_of(self, prompts: Prompts) -> MaskState:
        """The mask that the prompts lead to, with what the next click builds on. Raises as :meth:`mask_of`."""
        self.predictor.set_volume(self.volume)
        if not prompts.memory_settings:
            prompts = replace(prompts, memory_settings=(self.predictor.settings,) * len(prompts.clicks))
        known = len(prompts.clicks)
        while known > 0 and prompts.first(known) not in self._states:
            known -= 1
        state = MaskState(self.starts[prompts.start])
        if known:
            state = self._states[prompts.first(known)]
            self._states.move_to_end(prompts.first(known))
        for number in range(known, len(prompts.clicks)):
            key = prompts.first(number + 1)
            retrieve_shape_prior = partial(self._shape_priors.of, key, self.predictor.retrieve_shape_prior)
            with self.predictor.memory_settings(prompts.memory_settings[number]):
                refine = partial(self._refiner.refine, state, prompts.clicks[number], retrieve_shape_prior)
                state = self.predictor.fallback.run(refine)
            self._states[key] = state
            while len(self._states) > STATES_KEPT:
                self._states.popitem(last=False)
        return state
