"""What an evaluation measures: scores after each prompt, of each contender, on each structure.

What an interrupted evaluation had finished: a file with one JSON line a structure, so that it can go on.

What a model was trained on, as its own record tells.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from MemorizingSAM3DLib.engine.errors import OutputError

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


FILE_NAME = "finished.jsonl"


class ResumeLog:
    """Results kept line by line as they come.

    A line that was cut off (a crash, a full disk) is dropped. Results of another evaluation (other options, another
    model) are not used: the file begins anew.

    Args:
        folder: of the evaluation.
        identity: JSON-ready; everything that the results depend on beside the case.
        restart: forget what is there.

    Attributes:
        replaced: there were results of another evaluation.

    Raises:
        OutputError: the file cannot be written.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any], restart: bool = False) -> None:
        self.path = folder / FILE_NAME
        self._identity = json.loads(json.dumps(identity))
        self._results: dict[str, dict[int, StructureResult]] = {}
        self._labels: dict[str, list[int]] = {}
        lines = [] if restart else list(_lines(self.path))
        same = bool(lines) and lines[0].get("identity") == self._identity
        self.replaced = bool(lines) and not same
        kept = lines[1:] if same else []
        for line in kept:
            self._take(line)
        self._rewrite([{"identity": self._identity}, *kept])

    def labels(self, key: str) -> list[int] | None:
        """The labels that a case is evaluated for, if it was begun.

        Args:
            key: of the case: its entry, its files.
        """
        return self._labels.get(key)

    def results(self, key: str) -> list[StructureResult]:
        """Of a case, in the order of its labels."""
        return [result for _, result in sorted(self._results.get(key, {}).items())]

    def missing(self, key: str, labels: Iterable[int]) -> list[int]:
        """The labels of a case that have no result yet."""
        return [label for label in labels if label not in self._results.get(key, {})]

    def begin(self, key: str, labels: Iterable[int]) -> None:
        """Notes which labels a case is evaluated for. Raises OutputError as :meth:`add` does."""
        self._append({"key": key, "labels": list(labels)})

    def add(self, key: str, result: StructureResult) -> None:
        """Notes a result, at once on the disk.

        Raises:
            OutputError: it cannot be written; what was written before stays.
        """
        self._append({"key": key, "result": result.to_dict()})

    def _append(self, line: dict[str, Any]) -> None:
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise _unwritable(self.path, error) from error
        self._take(line)

    def _take(self, line: Mapping[str, Any]) -> None:
        key = line["key"]
        if "labels" in line:
            self._labels[key] = list(line["labels"])
        else:
            result = StructureResult.from_dict(line["result"])
            self._results.setdefault(key, {})[result.label] = result

    def _rewrite(self, lines: Iterable[Mapping[str, Any]]) -> None:
        partial = self.path.with_name(self.path.name + ".part")
        try:
            partial.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
            os.replace(partial, self.path)
        except OSError as error:
            raise _unwritable(self.path, error) from error


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """The whole lines of a file, up to the first that is none."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise _unwritable(path, error) from error
    for line in text.splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            return
        if not isinstance(value, dict):
            return
        yield value


def _unwritable(path: Path, error: Exception) -> OutputError:
    reason = getattr(error, "strerror", None) or error
    return OutputError(
        f"{path} cannot be used ({reason}).",
        "Check the free space and the permissions; the same command then goes on where it was.",
    )


_ANCESTORS = ("from", "teacher")


def trained_datasets(record: Mapping[str, Any]) -> set[str] | None:
    """The datasets that a model learned from, those of the models that it was trained from or by included.

    Args:
        record: ``training`` of a checkpoint.

    Returns:
        None when the record names none: then nothing is known.
    """
    named = record.get("datasets")
    found = set(named) if isinstance(named, list | tuple) else None
    for key in _ANCESTORS:
        ancestor = record.get(key)
        earlier = ancestor.get("training") if isinstance(ancestor, Mapping) else None
        known = trained_datasets(earlier) if isinstance(earlier, Mapping) else None
        found = found if known is None else (found or set()) | known
    return found


def never_trained_on(record: Mapping[str, Any], datasets: Sequence[str]) -> list[str] | None:
    """Those of some datasets that a model never learned from; None when its record does not say what it did."""
    trained = trained_datasets(record)
    return None if trained is None else [name for name in datasets if name not in trained]
