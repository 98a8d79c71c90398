"""What each ablation of the model compares: trainings from scratch that differ in one thing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from studies.mais import Dice

STEM, ATTENTION, SYNTHETIC, TOKENS, DISTILLED = "stem", "attention", "synthetic", "tokens", "distilled"
TABLES = (STEM, ATTENTION, SYNTHETIC, TOKENS, DISTILLED)
TITLES = {
    STEM: "The skip stem",
    ATTENTION: "Dense against sparse attention",
    SYNTHETIC: "Synthetic volumes among the training crops",
    TOKENS: "A loss on the transformer's tokens",
    DISTILLED: "Distilled against trained directly",
}
_TEACHER_DEPTH = 12


@dataclass(frozen=True)
class ModelPlan:
    """A training. Two arms with equal plans share one.

    Attributes:
        name: of its folder. changes: of the network, as ``train --set`` takes them.
        synthetic: share of synthetic volumes. token_loss: weight of the loss on tokens.
        teacher: the training whose network is distilled; None: trained directly.
    """

    name: str
    changes: tuple[str, ...] = ()
    synthetic: float = 0.3
    token_loss: float = 0.0
    teacher: ModelPlan | None = None

    def folder(self, seed: int) -> str:
        """Its name among the trainings."""
        return f"{self.name}-seed-{seed}"


@dataclass(frozen=True)
class ModelVariant:
    """A line of a table, a curve of its picture; ``against`` as in :class:`.mais.Line`."""

    title: str
    training: ModelPlan
    against: str | None = None


def model_variants(table: str) -> list[ModelVariant]:
    """The arms of a table, the one that the others are measured against first.

    The plain network has the shipped one's design: skip stem, dense attention, 30 % synthetic volumes, no token loss.
    """
    plain = ModelPlan("plain")
    if table == STEM:
        pair = ("with stem", plain), ("without stem", ModelPlan("no-stem", ("stem_channels=[]",)))
    elif table == ATTENTION:
        pair = ("dense", plain), ("sparse", ModelPlan("sparse", ("attention=sparse",)))
    elif table == SYNTHETIC:
        pair = ("with synthetic volumes", plain), ("without", ModelPlan("no-synthetic", synthetic=0.0))
    elif table == TOKENS:
        pair = ("without token loss", plain), ("with token loss", ModelPlan("token-loss", token_loss=0.5))
    else:
        teacher = ModelPlan("teacher", (f"depth={_TEACHER_DEPTH}",))
        pair = ("trained directly", plain), ("distilled", ModelPlan("distilled", teacher=teacher))
    (first, reference), (second, other) = pair
    return [ModelVariant(first, reference), ModelVariant(second, other, against=first)]


def mean_over_seeds(dice: Sequence[Dice]) -> Dice:
    """Dice of each structure, the mean over trainings; structures that not every training has are left out."""
    shared = set.intersection(*(set(one) for one in dice))
    return {key: np.mean([one[key] for one in dice], axis=0).tolist() for key in sorted(shared)}


def spread_over_seeds(dice: Mapping[str, Sequence[Dice]], click: int) -> dict[str, float]:
    """By arm: how much its mean over structures after so many clicks differs from seed to seed (standard deviation)."""
    found = {}
    for title, trainings in dice.items():
        means = [float(np.mean([curve[click - 1] for curve in one.values()])) for one in trainings]
        found[title] = float(np.std(means, ddof=1)) if len(means) > 1 else float("nan")
    return found
