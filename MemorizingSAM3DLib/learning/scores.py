"""What an evaluation measures: scores after each prompt, of each contender, on each structure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

MODEL = "model"
SAME_CLICKS, OWN_CLICKS = "model", "own"


@dataclass(frozen=True)
class ClickScore:
    """After one prompt.

    Attributes:
        kind: point, box, flat-box, scribble or lasso; None: nothing was wrong any more (or the contender had failed
            before), no prompt was made and the scores are those of before.
        ras: where it was, mm, in the frame whose origin is the scan's corner; the middle of what is no point.
        positive: its sign. dice: of the mask. nsd: of the mask, None where millimetres are not real.
        milliseconds: that the contender took for it, the mask on the scan's grid included; None: it failed, or none was
            made.
    """

    kind: str | None
    ras: tuple[float, float, float] | None
    positive: bool | None
    dice: float
    nsd: float | None
    milliseconds: float | None


@dataclass(frozen=True)
class Run:
    """One contender on one structure.

    Attributes:
        contender: ``model`` or the name of a baseline.
        clicks_from: whose errors the clicks correct: the ``model``'s, or the contender's ``own``.
        scores: after each prompt, always as many as were asked for.
        failure: the message, when a prompt failed; the mask of before then counts for it and for all later ones.
    """

    contender: str
    clicks_from: str
    scores: tuple[ClickScore, ...]
    failure: str | None = None

    @property
    def dice(self) -> list[float]:
        """After each prompt."""
        return [score.dice for score in self.scores]

    @property
    def nsd(self) -> list[float] | None:
        """After each prompt; None where millimetres are not real."""
        values = [score.nsd for score in self.scores if score.nsd is not None]
        return values if len(values) == len(self.scores) else None


@dataclass(frozen=True)
class StructureResult:
    """One structure of one case, with every contender's run; the model's comes first.

    Attributes:
        modality: of the scan, such as CT. label: its value in the label map. name: the structure's.
    """

    case: str
    dataset: str
    modality: str
    label: int
    name: str
    millilitres: float
    runs: tuple[Run, ...]

    def run(self, contender: str, clicks_from: str) -> Run:
        """The run of a contender."""
        return next(r for r in self.runs if r.contender == contender and r.clicks_from == clicks_from)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> StructureResult:
        """The inverse of :meth:`to_dict`, also after a way through JSON."""
        runs = tuple(
            Run(run["contender"], run["clicks_from"], tuple(_click_score(s) for s in run["scores"]), run["failure"])
            for run in values["runs"]
        )
        return cls(**{**values, "runs": runs})


@dataclass(frozen=True)
class Failure:
    """What could not be evaluated, or not to the end.

    Attributes:
        label, contender: None when the whole case, or the whole structure, is concerned.
    """

    case: str
    dataset: str
    label: int | None
    contender: str | None
    message: str


def _click_score(values: Mapping[str, Any]) -> ClickScore:
    return ClickScore(**{**values, "ras": None if values["ras"] is None else tuple(values["ras"])})
