"""Which interaction memory an evaluation uses, and how it is told of.

Which remembered cases an evaluation listens to, how, and how it is told of.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from MemorizingSAM3DLib.engine.case_memory.attention import DEFAULT_ATTENDED
from MemorizingSAM3DLib.engine.case_memory.retrieval import DEFAULT_NEIGHBOURS, CaseRetrieval
from MemorizingSAM3DLib.engine.interaction_memory.conditioning import (
    InteractionMemory,
    load_default_interaction_memory,
    load_interaction_memory,
)
from MemorizingSAM3DLib.engine.networks.memorizing_attention import PAPER_RATIO
from MemorizingSAM3DLib.engine.networks.sam3d import SAM3D
from MemorizingSAM3DLib.engine.runtime.device import Runtime
from MemorizingSAM3DLib.engine.session.predictor import Predictor
from MemorizingSAM3DLib.engine.session.remember_case import attention_to, open_case_retrieval

from ..processes import TrainingError

ON, OFF = "on", "off"


@dataclass(frozen=True)
class MemoryChoice:
    """An interaction memory as the command line names it; workers load their own.

    Attributes:
        which: ``on`` (that which comes with the model), ``off``, a file, or None: on where there is one.
        attended: whether past interactions are used; if not, the prompt encoder and the decoder that were trained along
            still take the place of the model's own, so that the memory alone makes the difference.
        bank_size: how many past interactions are used, 1 to 256; None: as many as in its training.
    """

    which: str | None = None
    attended: bool = True
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
        """A predictor that uses it, and facts about it for results.json (None: there is no memory).

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
            "heard": self.attended,
            "bank_size": size,
            "parameters": sum(parameter.numel() for parameter in memory.attention.parameters()),
            "tuned_decoder": memory.mask_decoder is not None,
            "from_first_click": memory.from_first_click,
            "modalities": list(memory.modalities),
        }
        if not self.attended:
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


# all: nobody says which structure is clicked. known: only cases named like it are asked. absent: only the others are,
# as if it had never been remembered.
Names = Literal["all", "known", "absent"]


class EvaluatedRetrieval(CaseRetrieval):
    """A recall that is told which structure is clicked, and makes of it what it may.

    Attributes:
        names: see :data:`Names`.
    """

    names: Names = "all"

    def clicked(self, structure: str) -> None:
        """From now on, this structure is clicked."""
        self.structure = structure if self.names == "known" else None
        self.excluded = structure if self.names == "absent" else None


@dataclass(frozen=True)
class CaseMemoryChoice:
    """A case memory as the command line names it; workers open their own.

    Attributes:
        path: of the memory. neighbours: cases that are listened to; None: as many as by default.
        retrieval: whether it is asked where the clicked structure was. names: what is known of the clicked structure.
        layers: encoder blocks that attend to its cases; none by default. ratio: of their local attention.
    """

    path: Path
    neighbours: int | None = None
    retrieval: bool = True
    names: Names = "all"
    layers: tuple[int, ...] = ()
    ratio: float = PAPER_RATIO

    def attach(self, predictor: Predictor) -> dict[str, Any]:
        """Lets a predictor listen; gives facts about the memory for results.json.

        Raises:
            CaseMemoryError: it is missing, damaged, of another encoder, or lacks what is asked for.
        """
        opened = open_case_retrieval(self.path, predictor.network)
        memory, attended = opened.memory, self.neighbours or DEFAULT_ATTENDED
        retrieval = EvaluatedRetrieval(memory, opened.calibration, self.neighbours or DEFAULT_NEIGHBOURS)
        retrieval.names = self.names
        if self.retrieval:
            predictor.case_retrieval = retrieval
        if self.layers:
            predictor.case_attention = attention_to(memory, predictor.network, self.layers, self.ratio, attended)
        attention = {"layers": list(self.layers), "local_ratio": self.ratio, "fusion": "ratio", "neighbours": attended}
        return {
            "file": self.path.name,
            "digest": hashlib.sha256("".join(memory.ids).encode()).hexdigest(),
            "cases": len(memory),
            "recall": {"names": self.names, "neighbours": retrieval.neighbours} if self.retrieval else None,
            "attention": attention if self.layers else None,
        }
