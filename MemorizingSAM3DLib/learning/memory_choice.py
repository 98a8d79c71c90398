"""Which interaction memory an evaluation hears, and how it is told of."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from ..engine.memory.interaction_weights import (
    InteractionMemory,
    load_default_interaction_memory,
    load_interaction_memory,
)
from ..engine.networks.sam3d import SAM3D
from ..engine.predictor import Predictor
from ..engine.runtime import Runtime
from .distributed import TrainingError

ON, OFF = "on", "off"


@dataclass(frozen=True)
class MemoryChoice:
    """An interaction memory as the command line names it; workers load their own.

    Attributes:
        which: ``on`` (that which comes with the model), ``off``, a file, or None: on where there is one.
        heard: whether past interactions are heard; if not, the prompt encoder and the decoder that were trained along
            still take the place of the model's own, so that the memory alone makes the difference.
        bank_size: how many past interactions are heard, 1 to 256; None: as many as in its training.
    """

    which: str | None = None
    heard: bool = True
    bank_size: int | None = None

    def memory_for(self, network: SAM3D) -> InteractionMemory | None:
        """The memory for a network, or None.

        Raises:
            TrainingError: ``on``, and none comes with the model. CheckpointError: a file that is none, or of another
            model.
        """
        if self.which == OFF:
            return None
        if self.which not in (None, ON):
            return load_interaction_memory(Path(str(self.which)), network)
        memory = load_default_interaction_memory(network)
        if memory is None and self.which == ON:
            raise TrainingError(
                "No interaction memory comes with this model.",
                "Give the file of one, or train one: memorizing-sam3d train-memory",
            )
        return memory

    def predictor(self, network: SAM3D, runtime: Runtime) -> tuple[Predictor, dict[str, Any] | None]:
        """A predictor that hears it, and facts about it for results.json (None: there is no memory).

        Raises:
            as :meth:`memory_for`.
        """
        memory = self.memory_for(network)
        if memory is None:
            return Predictor(network, runtime), None
        size = self.bank_size or memory.config.capacity
        facts = {
            "file": Path(self.which).name if self.which not in (None, ON) else "shipped",
            "digest": _digest(memory),
            "kinds": memory.config.kinds,
            "heard": self.heard,
            "bank_size": size,
            "parameters": sum(parameter.numel() for parameter in memory.attention.parameters()),
            "tuned_decoder": memory.mask_decoder is not None,
            "from_first_click": memory.from_first_click,
            "modalities": list(memory.modalities),
        }
        if not self.heard:
            return Predictor(memory.decoding_network(network), runtime), facts
        return Predictor(network, runtime, interaction_memory=memory, bank_size=size), facts


def _digest(memory: InteractionMemory) -> str:
    """SHA-256 of all its numbers."""
    digest = hashlib.sha256()
    parts: tuple[Mapping[str, Tensor] | None, ...] = (
        memory.attention.state_dict(),
        memory.prompt_encoder,
        memory.mask_decoder,
    )
    for part in parts:
        for name, tensor in sorted((part or {}).items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
