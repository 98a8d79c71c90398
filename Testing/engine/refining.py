"""A click on a state of a made-up scan, with networks whose answers are known."""

from __future__ import annotations

import numpy as np
import torch

from MemorizingSAM3DLib.engine.geometry import Box, CropGrid, Volume
from MemorizingSAM3DLib.engine.prompts import Click
from MemorizingSAM3DLib.engine.runtime.device import choose_runtime
from MemorizingSAM3DLib.engine.session.predictor import Predictor
from MemorizingSAM3DLib.engine.session.refinement import ClickRefiner, MaskState
from Testing.engine.click_networks import SMALL_CROP, BrightnessNetwork

ORIGIN = (0.0, 0.0, 0.0)


class ScriptedNetwork(BrightnessNetwork):
    """Answers with formulas in RAS, one a decode, whatever the scan and the clicks are."""

    def __init__(self, *shapes, grid: CropGrid):
        super().__init__(SMALL_CROP)
        ras = grid.coarser(32).index_to_ras(np.stack(np.indices((32,) * 3), -1))
        self.answers = [np.where(shape(ras), 4.0, -4.0).astype(np.float32) for shape in shapes]

    def decode(self, features, coords, labels, logits=None):
        self.decodes += 1
        return torch.from_numpy(self.answers[self.decodes - 1])[None, None].clone()


def a_refiner(volume: Volume, network: BrightnessNetwork) -> ClickRefiner:
    predictor = Predictor(network, choose_runtime("cpu"))
    predictor.set_volume(volume)
    return ClickRefiner(predictor)


def after(refiner: ClickRefiner, *clicks: Click, start: MaskState | None = None) -> MaskState:
    state = start or MaskState()
    for click in clicks:
        state = refiner.refine(state, click)
    return state


def mask_of(state: MaskState, volume: Volume) -> np.ndarray:
    return state.mask.within(Box.whole(volume.shape))


def middle_of(volume: Volume) -> Click:
    r, a, s = volume.ijk_to_ras_points((np.array(volume.shape[::-1]) - 1) / 2).tolist()
    return Click((r, a, s))
