"""What each experiment on the interaction memory compares: its trainings, and what is heard in its evaluations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..engine.memory.interaction_config import DEFAULT_CAPACITY, Kinds

FRACTIONS, BANK_SIZES, KINDS, COST = "fractions", "bank-sizes", "kinds", "cost"
TABLES = (FRACTIONS, BANK_SIZES, KINDS, COST)


@dataclass(frozen=True)
class TrainingPlan:
    """A training. Two arms with equal plans share one.

    Attributes:
        cases: of each dataset, as a number or in per cent. kinds: of memories; None: trained without memory.
        capacity: interactions that are remembered in training.
    """

    cases: str
    kinds: Kinds | None
    capacity: int = DEFAULT_CAPACITY

    @property
    def folder(self) -> str:
        """Its name among the trainings."""
        cases = self.cases.replace("%", "pc")
        return f"cases-{cases}-without" if self.kinds is None else f"cases-{cases}-{self.kinds}-{self.capacity}"


@dataclass(frozen=True)
class Arm:
    """A line of a table, a curve of its picture.

    Attributes:
        title: of it. training: that it follows from. heard: interactions that are heard in its evaluation.
        against: the title of the arm that its gain is measured against; None: it is one to measure against.
    """

    title: str
    training: TrainingPlan
    heard: int = DEFAULT_CAPACITY
    against: str | None = None

    @property
    def folder(self) -> str:
        """Its name among the evaluations."""
        return self.training.folder if self.training.kinds is None else f"{self.training.folder}-heard-{self.heard}"


def arms_of(table: str, fractions: Sequence[str], bank_sizes: Sequence[int], cases: str,
            train_each: bool = False) -> list[Arm]:  # fmt: skip
    """The arms of a table.

    Args:
        table: ``fractions``, ``bank-sizes`` or ``kinds``.
        fractions: amounts of cases to train on (``fractions``). cases: the amount for the other tables.
        bank_sizes: N (``bank-sizes``). train_each: a training for each N; else one for the largest hears each N.
    """
    if table == FRACTIONS:
        pairs = [
            (
                Arm(f"{_cases(amount)}, without", TrainingPlan(amount, None)),
                Arm(f"{_cases(amount)}, memory", TrainingPlan(amount, "both"), against=f"{_cases(amount)}, without"),
            )
            for amount in fractions
        ]
        return [arm for pair in pairs for arm in pair]
    without = Arm("without", TrainingPlan(cases, None))
    arm = Arm("", TrainingPlan(cases, "both"), against=without.title)
    if table == BANK_SIZES:
        trained = [TrainingPlan(cases, "both", size if train_each else max(bank_sizes)) for size in bank_sizes]
        return [
            without,
            *(
                replace(arm, title=f"N = {size}", training=training, heard=size)
                for size, training in zip(bank_sizes, trained, strict=True)
            ),
        ]
    kinds: tuple[Kinds, ...] = ("sparse", "dense", "both")
    return [without, *(replace(arm, title=kind, training=TrainingPlan(cases, kind)) for kind in kinds)]


def _cases(amount: str) -> str:
    if amount.endswith("%"):
        return amount.replace("%", " %")
    return "1 case" if amount == "1" else f"{amount} cases"
