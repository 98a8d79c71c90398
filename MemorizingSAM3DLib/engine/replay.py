"""Masks of prompts: every state follows from a starting mask and clicks in order, and is computed once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import replace

from .geometry import Volume
from .packed_mask import PackedMask
from .predictor import Predictor
from .prompts import Prompts
from .refinement import ClickRefiner, MaskState

STATES_KEPT = 128


class Replay:
    """The mask of any prompts on one scan. Several segments of a scan share one: they share its crops too.

    States are kept, the least recently used go first (each holds its logits, 1 MB for the shipped model), so that one
    more click costs one click, and going back costs nothing. What has gone is computed again.

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
        self._states: OrderedDict[tuple[Hashable, Prompts], MaskState] = OrderedDict()

    def add_start(self, mask: PackedMask) -> int:
        """Keeps a mask to start from; the number is for :class:`Prompts`."""
        if mask.is_empty:
            return 0
        self.starts.append(mask)
        return len(self.starts) - 1

    def mask_of(self, prompts: Prompts) -> PackedMask:
        """The mask that the prompts lead to.

        Raises:
            ClickError: a click lies outside the scan.
        """
        self.predictor.set_volume(self.volume)
        return self._state_of(prompts).mask

    def _state_of(self, prompts: Prompts) -> MaskState:
        known = len(prompts.clicks)
        while known > 0 and self._key(prompts, known) not in self._states:
            known -= 1
        state = MaskState(self.starts[prompts.start])
        if known:
            state = self._states[self._key(prompts, known)]
            self._states.move_to_end(self._key(prompts, known))
        for number in range(known, len(prompts.clicks)):
            state = self._refiner.refine(state, prompts.clicks[number])
            self._states[self._key(prompts, number + 1)] = state
            while len(self._states) > STATES_KEPT:
                self._states.popitem(last=False)
        return state

    def _key(self, prompts: Prompts, clicks: int) -> tuple[Hashable, Prompts]:
        # Under other settings the same prompts are another state; none is lost when a setting is changed and back.
        return self.predictor.settings, replace(prompts, clicks=prompts.clicks[:clicks])
