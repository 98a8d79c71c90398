"""The registry of known models: what they are, where they come from, and the hash that proves it."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema

from ..errors import CheckpointError
from ..files import resource_path


@dataclass(frozen=True)
class ModelEntry:
    """A known model. The fields are described in ``Resources/Models/registry.schema.json``."""

    name: str
    title: str
    family: str
    licence: str
    url: str | None
    file: str
    size: int | None
    sha256: str | None
    description: str
    citation: str

    @property
    def shipped(self) -> bool:
        """Whether the file comes with this package."""
        return self.url is None


class FileFacts(NamedTuple):
    """What identifies a file: its size in bytes and its SHA-256 (hexadecimal, lower case)."""

    size: int
    sha256: str


class Registry:
    """The known models, in the order of the file.

    Args:
        entries: models with names of their own.

    Raises:
        CheckpointError: two models have the same name.
    """

    def __init__(self, entries: tuple[ModelEntry, ...]) -> None:
        names = [entry.name for entry in entries]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise _invalid(f"names a model twice: {', '.join(twice)}")
        self._entries = {entry.name: entry for entry in entries}

    @classmethod
    def from_file(cls, path: Path) -> Registry:
        """A registry file, checked against the schema.

        Raises:
            CheckpointError: the file cannot be read, or does not follow the schema.
        """
        return cls(tuple(ModelEntry(**model) for model in _validated(path)["models"]))

    def __iter__(self) -> Iterator[ModelEntry]:
        return iter(self._entries.values())

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def find(self, name: str) -> ModelEntry:
        """The model of this name.

        Raises:
            CheckpointError: there is none; the message names the nearest ones.
        """
        if name in self._entries:
            return self._entries[name]
        near = difflib.get_close_matches(name, self._entries, n=1)
        raise CheckpointError(
            f"No model is called {name}.",
            f"Did you mean {near[0]}?" if near else f"Known models: {', '.join(self._entries)}.",
        )

    def with_hash(self, sha256: str) -> ModelEntry | None:
        """The model whose file has this SHA-256."""
        return next((entry for entry in self if entry.sha256 == sha256), None)


@cache
def known_models() -> Registry:
    """The registry that comes with this package."""
    return Registry.from_file(resource_path("Models", "registry.json"))


def describe_file(path: Path) -> FileFacts:
    """Size and SHA-256 of a file.

    Raises:
        CheckpointError: the file cannot be read.
    """
    digest = hashlib.sha256()
    size = 0
    try:
        with open(path, "rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
                size += len(chunk)
    except OSError as error:
        raise CheckpointError(
            f"The file {path} cannot be read ({error.strerror}).", "Check the path and the permissions."
        ) from error
    return FileFacts(size, digest.hexdigest())


def record_facts(registry: Path, name: str, path: Path) -> FileFacts:
    """Writes size and SHA-256 of `path` into the entry `name` of a registry file, and returns them.

    Raises:
        CheckpointError: no such entry, or the entry names another file.
    """
    document = _validated(registry)
    entry = Registry.from_file(registry).find(name)
    if entry.file != path.name:
        raise CheckpointError(
            f"The registry's entry {name} is for {entry.file}, not for {path.name}.",
            "Rename the file, or change the entry.",
        )
    facts = describe_file(path)
    for model in document["models"]:
        if model["name"] == name:
            model.update(facts._asdict())
    registry.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return facts


def _validated(path: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _invalid(f"cannot be read: {error}") from error
    schema = json.loads(resource_path("Models", "registry.schema.json").read_text(encoding="utf-8"))
    fault = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema).iter_errors(document))
    if fault is not None:
        raise _invalid(f"is not valid at {fault.json_path}: {fault.message}")
    return document


def _invalid(problem: str) -> CheckpointError:
    return CheckpointError(f"The registry of models {problem}.", "Install MemorizingSAM3D again, or mend the file.")
