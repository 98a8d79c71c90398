"""Which remembered cases an evaluation listens to, how, and how it is told of."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..engine.memory.memorizing_attention import PAPER_RATIO
from ..engine.predictor import Predictor
from ..engine.recall.case_attention import DEFAULT_HEARD
from ..engine.recall.case_recall import DEFAULT_NEIGHBOURS, CaseRecall
from ..engine.recall.opening import attention_to, open_case_recall

# all: nobody says which structure is clicked. known: only cases named like it are asked. absent: only the others are,
# as if it had never been remembered.
Names = Literal["all", "known", "absent"]


class EvaluatedRecall(CaseRecall):
    """A recall that is told which structure is clicked, and makes of it what it may.

    Attributes:
        names: see :data:`Names`.
    """

    names: Names = "all"

    def clicked(self, structure: str) -> None:
        """From now on, this structure is clicked."""
        self.structure = structure if self.names == "known" else None
        self.unheard = structure if self.names == "absent" else None


@dataclass(frozen=True)
class CaseMemoryChoice:
    """A case memory as the command line names it; workers open their own.

    Attributes:
        path: of the memory. neighbours: cases that are listened to; None: as many as by default.
        recall: whether it is asked where the clicked structure was. names: what is known of the clicked structure.
        layers: encoder blocks that attend to its cases; none by default. ratio: of their local attention.
    """

    path: Path
    neighbours: int | None = None
    recall: bool = True
    names: Names = "all"
    layers: tuple[int, ...] = ()
    ratio: float = PAPER_RATIO

    def attach(self, predictor: Predictor) -> dict[str, Any]:
        """Lets a predictor listen; gives facts about the memory for results.json.

        Raises:
            CaseMemoryError: it is missing, damaged, of another encoder, or lacks what is asked for.
        """
        opened = open_case_recall(self.path, predictor.network)
        memory, heard = opened.memory, self.neighbours or DEFAULT_HEARD
        recall = EvaluatedRecall(memory, opened.calibration, self.neighbours or DEFAULT_NEIGHBOURS)
        recall.names = self.names
        if self.recall:
            predictor.case_recall = recall
        if self.layers:
            predictor.case_attention = attention_to(memory, predictor.network, self.layers, self.ratio, heard)
        attention = {"layers": list(self.layers), "local_ratio": self.ratio, "fusion": "ratio", "neighbours": heard}
        return {
            "file": self.path.name,
            "digest": hashlib.sha256("".join(memory.ids).encode()).hexdigest(),
            "cases": len(memory),
            "recall": {"names": self.names, "neighbours": recall.neighbours} if self.recall else None,
            "attention": attention if self.layers else None,
        }
