"""What an interrupted evaluation had finished: a file with one JSON line a structure, so that it can go on."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..engine.errors import OutputError
from .scores import StructureResult

FILE_NAME = "finished.jsonl"


class FinishedStructures:
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
