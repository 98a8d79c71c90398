"""What the experiments have in common: their budgets, lists of numbers as options, and parts that are done once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

_DONE = "done.json"


@dataclass(frozen=True)
class Budget:
    """What every training and every evaluation of an experiment has in common, named as the command's options.

    Attributes:
        clicks: the most that are made.
    """

    manifest: Path
    datasets: str | None
    include_nc: bool
    steps: int
    batch: int
    clicks: int
    val_cases: str | None
    labels_per_case: int | None
    minimum_ml: float
    device: str
    threads: int | None
    training_workers: int
    workers: int
    cache: Path | None


def numbers_of(text: str, option: str, most: int) -> list[int]:
    """Numbers of 1 to `most`, in order, each once.

    Raises:
        typer.BadParameter: they are none.
    """
    try:
        numbers = sorted({int(part) for part in text.split(",")})
    except ValueError:
        numbers = [0]
    if numbers[0] < 1 or numbers[-1] > most:
        raise typer.BadParameter(f"{text} are no numbers of 1 to {most}, separated by commas.", param_hint=option)
    return numbers


def finished(folder: Path, plan: dict[str, Any]) -> bool:
    """Whether a part is done; refuses a folder where it was done in another way.

    Raises:
        DataError: other options.
    """
    from MemorizingSAM3DLib.learning.data.manifest import DataError

    path = folder / _DONE
    if not path.exists():
        return False
    if json.loads(path.read_text(encoding="utf-8")) != json.loads(json.dumps(plan, default=str)):
        raise DataError(f"{folder} was made with other options.", "Give the same ones as before, or another --out.")
    return True


def note_done(folder: Path, plan: dict[str, Any]) -> None:
    """Notes that a part is done, and how."""
    from MemorizingSAM3DLib.learning.evaluation.report import replacing

    with replacing(folder / _DONE) as partial:
        partial.write_text(json.dumps(plan, indent=1, default=str) + "\n", encoding="utf-8")
