"""A quick model whose crops can be told apart and remembered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from MemorizingSAM3DLib.engine.networks.image_encoder import ImageFeatures
from MemorizingSAM3DLib.engine.session.predictor import Predictor
from MemorizingSAM3DLib.scene.compute.model_choice import LoadedModel
from Testing.scene.quick_model import GatedNetwork, QuickModel


@dataclass(frozen=True)
class RememberingModel(QuickModel):
    """Chooses a network that all but keeps the mask it is given, so that a first click shows what was remembered.

    Args:
        number: another number is another model, to which the memory of this one means nothing.
    """

    memory: float = 0.9
    number: int = 0

    def load(self) -> LoadedModel:
        network: Any = RememberingNetwork(self.number, self.gate, reach=self.reach, memory=self.memory)
        return LoadedModel(Predictor(network), f"Quick {self.number}", "CPU (test)", None)


class RememberingNetwork(GatedNetwork):
    """Has an image encoder, by whose weights a memory knows it."""

    def __init__(self, number: int, gate: Any, **arguments: Any) -> None:
        super().__init__(gate, **arguments)
        self.image_encoder = nn.Linear(1, 1)
        nn.init.constant_(self.image_encoder.weight, number)
        nn.init.zeros_(self.image_encoder.bias)

    def encode(self, image: Tensor) -> ImageFeatures:
        """What is bright tells crops apart, blurred, so that a place beside another is like it."""
        field = super().encode(image).embedding
        blind = tuple(torch.zeros(1, channels, 2, 2, 2) for channels in self.config.upscale_channels)
        blurred = field.clamp(min=0)
        for edge in (13, 9):  # little by little, which takes a fraction of the time
            blurred = functional.avg_pool3d(blurred, edge, 1, edge // 2)
        return ImageFeatures(blurred, blind, field)

    def decode(self, features: ImageFeatures, *arguments: Any, **named: Any) -> Any:
        return super().decode(ImageFeatures(features.image), *arguments, **named)
