"""A model that answers in milliseconds, for tests of everything around it."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from MemorizingSAM3DLib.engine.session.predictor import Predictor
from MemorizingSAM3DLib.scene.compute.model_choice import LoadedModel, ModelChoice
from Testing.engine.click_networks import BrightnessNetwork


@dataclass(frozen=True)
class QuickModel(ModelChoice):
    """Chooses a `BrightnessNetwork`: bright is inside, and clicks bend that around themselves.

    Args:
        memory: share of what the segment was before in what it becomes.
        gate: as long as it is not set, decoding waits: for tests of what happens meanwhile.
    """

    reach: float = 0.25
    memory: float = 0.25
    gate: threading.Event | None = None
    fails: bool = False

    def load(self) -> LoadedModel:
        if self.fails:
            raise RuntimeError("the model is broken")
        network: Any = GatedNetwork(self.gate, reach=self.reach, memory=self.memory)
        return LoadedModel(Predictor(network), "Quick", "CPU (test)", "Running on the CPU: slower.")


class GatedNetwork(BrightnessNetwork):
    """Waits at a gate before it decodes."""

    def __init__(self, gate: threading.Event | None, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.gate = gate

    def decode(self, *arguments: Any, **named: Any) -> Any:
        if self.gate is not None:
            self.gate.wait(20)
        return super().decode(*arguments, **named)
