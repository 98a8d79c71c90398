"""What each experiment on the case memory compares: how many cases are remembered, and how they are heard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..engine.memory.memorizing_attention import PAPER_RATIO
from ..engine.recall.case_attention import DEFAULT_HEARD
from .case_memory_choice import Names

GROWTH, ABSENT, ATTENTION, PROPOSED, OVERHEAD = "growth", "absent", "attention", "proposed", "overhead"
TUNED = "tuned"
TABLES = (GROWTH, ABSENT, ATTENTION, TUNED, PROPOSED, OVERHEAD)
WITHOUT = "without memory"
AS_IT_IS, FINE_TUNED = "as it is", "fine-tuned"  # the model, in the table ``tuned``


@dataclass(frozen=True)
class CaseArm:
    """A line of a table. Arms that differ in their titles alone share one evaluation.

    Attributes:
        title: of it. remembered: cases of each dataset; 0: there is no memory.
        names: what is known of the clicked structure, when it is asked where it was.
        block: of the encoder, that attends to cases; None: remembered structures are asked instead.
        neighbours: cases that a block attends to. ratio: of its local attention.
        against: the title of the arm that its gain is measured against; None: it is one to measure against.
    """

    title: str
    remembered: int
    names: Names = "all"
    block: int | None = None
    neighbours: int = DEFAULT_HEARD
    ratio: float = PAPER_RATIO
    against: str | None = WITHOUT

    @property
    def folder(self) -> str:
        """Its name among the evaluations."""
        if not self.remembered:
            return "without"
        if self.block is None:
            return f"n-{self.remembered}-names-{self.names}"
        how = f"ratio-{self.ratio:g}"
        return f"n-{self.remembered}-block-{self.block}-k-{self.neighbours}-{how}"


@dataclass(frozen=True)
class Ablations:
    """What is tried.

    Attributes:
        sizes: cases of each dataset that are remembered. blocks: of the encoder, that attend.
        neighbours: cases that are attended to. ratios: of the local attention.
        known: whether cases of the clicked structure alone are asked, too.
    """

    sizes: Sequence[int]
    blocks: Sequence[int] = (4,)
    neighbours: Sequence[int] = (1, 3, 5, 10)
    ratios: Sequence[float] = (0.0, 0.3, 0.5, 0.7, 0.9, 1.0)
    known: bool = False


def arms_of(table: str, tried: Ablations) -> list[CaseArm]:
    """The arms of a table (not of ``proposed`` and ``overhead``), the one without memory first."""
    without = CaseArm(WITHOUT, 0, against=None)
    most = max(tried.sizes)
    if table == GROWTH:
        arms = [CaseArm(f"n = {size}", size) for size in tried.sizes]
        if tried.known:
            arms += [CaseArm(f"n = {size}, name known", size, "known") for size in tried.sizes]
        return [without, *arms]
    if table == ABSENT:
        return [without, CaseArm(f"n = {most}, none of the clicked structure", most, "absent")]
    usual = CaseArm("", most, block=tried.blocks[0])
    if table == TUNED:
        return [
            arm
            for model in (AS_IT_IS, FINE_TUNED)
            for arm in (
                CaseArm(model, 0, against=None),
                replace(usual, title=f"{model}, attention to cases", against=model),
                CaseArm(f"{model}, asked where it was", most, against=model),
            )
        ]
    return [
        without,
        *(replace(usual, title=f"k = {k}", neighbours=k) for k in tried.neighbours),
        *(replace(usual, title=f"local ratio {ratio:g}", ratio=ratio) for ratio in tried.ratios),
        *(replace(usual, title=f"block {block}", block=block) for block in tried.blocks),
        *(replace(usual, title=f"n = {size}", remembered=size) for size in tried.sizes),
    ]
