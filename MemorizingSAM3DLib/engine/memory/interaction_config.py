"""The configuration of an interaction memory: it travels inside every file of its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from ..errors import CheckpointError

Kinds = Literal["both", "sparse", "dense"]

DEFAULT_CAPACITY = 60
MAXIMAL_CAPACITY = 256


@dataclass(frozen=True)
class InteractionConfig:
    """Architecture of a memory attention.

    Attributes:
        channels: of the image embedding. grid: edge of the token grid.
        heads: of every attention; they divide the channels.
        capacity: entries of the temporal tables: memories older than that look as old as the oldest entry.
        kinds: memories of clicks (``sparse``), of masks (``dense``), or ``both``.
    """

    channels: int
    grid: int
    heads: int = 8
    capacity: int = DEFAULT_CAPACITY
    kinds: Kinds = "both"

    def __post_init__(self) -> None:
        ranges = {"channels": (8, 4096), "grid": (1, 32), "heads": (1, 64), "capacity": (1, MAXIMAL_CAPACITY)}
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                raise _not_ours(f"{name} = {value!r}, not {low} to {high}")
        if self.channels % self.heads:
            raise _not_ours(f"{self.channels} channels, which are no multiple of its {self.heads} heads")
        if self.kinds not in get_args(Kinds):
            raise _not_ours(f"kinds = {self.kinds!r}, not one of {', '.join(get_args(Kinds))}")

    @property
    def hidden(self) -> int:
        """Width inside the feed-forward network: 10/3 of the channels, as a multiple of 8 (1280 for 384)."""
        return 8 * round(self.channels * 10 / 24)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> InteractionConfig:
        """The inverse of :meth:`to_dict`.

        Raises:
            CheckpointError: a field is missing, unknown, or has a value out of range.
        """
        known = {field.name for field in fields(cls)}
        if set(values) != known:
            raise _not_ours(f"other fields: {', '.join(sorted(known ^ set(values)))}")
        return cls(**values)


def _not_ours(what: str) -> CheckpointError:
    return CheckpointError(
        f"The interaction memory's configuration has {what}.",
        "The file is damaged or of another version: take another copy.",
    )
