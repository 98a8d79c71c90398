"""Case memories of a network that is known in advance: what it encodes is the crop itself, made coarser."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from MemorizingSAM3DLib.engine.case_memory.descriptor import Calibration
from MemorizingSAM3DLib.engine.case_memory.memory import CaseMemory
from MemorizingSAM3DLib.engine.case_memory.retrieval import CaseRetrieval
from MemorizingSAM3DLib.engine.geometry import Volume
from MemorizingSAM3DLib.engine.networks.config import sam_med3d_config
from MemorizingSAM3DLib.engine.networks.image_encoder import ImageFeatures
from MemorizingSAM3DLib.engine.runtime.device import Runtime
from MemorizingSAM3DLib.engine.session.predictor import Predictor
from MemorizingSAM3DLib.engine.session.remember_case import case_layout, remember
from Testing.engine.click_networks import BrightnessNetwork

ENCODER = "ab" * 32
CONFIG = sam_med3d_config().with_(image_size=64, patch_size=8)  # logits of 32 cells
CPU = Runtime(torch.device("cpu"), "float32", "CPU")


class BlindNetwork(BrightnessNetwork):
    """Told nothing but the click, it finds a ball of 2 cells; told what came before, it believes that."""

    def __init__(self) -> None:
        super().__init__(CONFIG, push=0)

    def decode(self, features, coords, labels, logits=None):
        if logits is not None:
            return logits
        size = self.config.output_size
        steps = torch.arange(size, dtype=torch.float32)
        place = (coords[0, -1] + 0.5) * (size / self.config.image_size) - 0.5
        r, a, s = ((steps - centre) ** 2 for centre in place)
        return (4 - (r[:, None, None] + a[:, None] + s))[None, None]


def a_calibration(slope: float = 40.0, middle: float = 0.6) -> Calibration:
    return Calibration(np.zeros(1, np.float32), np.zeros(0, np.float32), np.ones(0, np.float32), slope, middle)


def a_memory(folder: Path) -> CaseMemory:
    return CaseMemory.create(folder / "memory", case_layout(CONFIG), ENCODER)


def a_predictor(folder: Path, network: BrightnessNetwork | None = None, **changes) -> Predictor:
    """With an empty case memory."""
    predictor = Predictor(network or BlindNetwork(), CPU)
    predictor.case_retrieval = CaseRetrieval(a_memory(folder), a_calibration(**changes))
    return predictor


def remember_in(predictor: Predictor, volume: Volume, mask: np.ndarray, structure: str = "") -> None:
    predictor.set_volume(volume)
    remember(predictor, mask, structure)


def features_of(predictor: Predictor, volume: Volume, ras: tuple[float, float, float]) -> ImageFeatures:
    from MemorizingSAM3DLib.engine.session.crop_policy import first_grid

    predictor.set_volume(volume)
    return predictor.multi_scale_features(first_grid(volume, ras, predictor.spacing_range, predictor.crop_size))
