"""A network alone, as papers evaluate one: a crop around the structure is given, no rule of the session helps it."""

from __future__ import annotations

import numpy as np

from ..engine.errors import PromptError
from ..engine.geometry import Box, Volume, paste_signs
from ..engine.memory.interaction import Interaction
from ..engine.predictor import Predictor
from ..engine.prompts import Click, Prompt, Scribble
from ..engine.zoom import grid_around


class BareNetwork:
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
            self._interactions = predictor.remember(grid, prompt, self._logits, self._interactions)
        box, inside = paste_signs(self._logits, grid, self._volume, refined=True)
        self._mask = np.zeros(self._volume.shape, dtype=bool)
        self._mask[box.slices] = inside
        return self._mask
