"""What a table says of a contender: medians, quartiles, ratios, floors, whether a target is met."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from .alternation import Finding, State
from .contender import Group, Wanted


class Spread(NamedTuple):
    """A median with its quartiles."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of at least one value."""
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, low, high)


@dataclass(frozen=True)
class Ceiling:
    """What the device can do, measured in the same run.

    Attributes:
        operations: a second, by precision. bytes: read and written, a second.
    """

    operations: Mapping[str, float]
    bytes: float

    def floor_ms(self, facts: Mapping[str, Any]) -> float | None:
        """The least time for so many operations and bytes; None if they were not counted.

        Args:
            facts: ``operations``, ``bytes`` and ``precision``.
        """
        rate = self.operations.get(facts.get("precision", "float32"))
        if "operations" not in facts or not rate:
            return None
        return 1000 * max(facts["operations"] / rate, facts.get("bytes", 0) / self.bytes)


@dataclass(frozen=True)
class Row:
    """One line. ``ratio``: its time over the reference's, the median over the rounds; ``distance``: over the floor.

    Attributes:
        milliseconds: of every round. wanted: in words. met: None if nothing is wanted, or nothing was measured.
    """

    group: str
    name: str
    x: float | None
    state: State
    reason: str
    milliseconds: tuple[float, ...]
    time: Spread | None
    ratio: Spread | None
    floor_ms: float | None
    distance: float | None
    memory: Mapping[str, int | None]
    wanted: str
    met: bool | None
    facts: Mapping[str, Any]


def rows_of(group: Group, findings: Sequence[Finding], ceiling: Ceiling | None = None) -> list[Row]:
    """The lines of a group, one for each lap of each contender.

    A ratio is taken within each round, so that what slows both does not change it.
    """
    reference = next((f for f in findings if f.contender.name == group.reference), None)
    rows = []
    for finding in findings:
        for lap in finding.milliseconds or [""]:
            name = f"{finding.contender.name}: {lap}" if lap else finding.contender.name
            times = finding.milliseconds.get(lap, [])
            against = reference.milliseconds.get(lap, []) if reference is not None else []
            time = Spread.of(times) if times else None
            both = list(zip(times, against, strict=False))
            ratio = Spread.of([mine / its for mine, its in both]) if both else None
            floor = ceiling.floor_ms(finding.facts) if ceiling is not None else None
            wanted = group.wanted.get(name)
            row = Row(
                group.title, name, finding.contender.x, finding.state, finding.reason, tuple(times), time, ratio, floor,
                time.median / floor if time is not None and floor else None, finding.memory,
                _words(wanted, group.reference), _met(wanted, time, ratio, finding.memory), finding.facts,
            )  # fmt: skip
            rows.append(row)
    return rows


def _words(wanted: Wanted | None, reference: str | None) -> str:
    if wanted is None:
        return ""
    parts = [
        "" if wanted.most_ms is None else f"at most {wanted.most_ms:g} ms",
        "" if wanted.least_ratio is None else f"at least {wanted.least_ratio:g} times {reference}",
        "" if wanted.most_bytes_beyond_torch is None else f"at most {wanted.most_bytes_beyond_torch / 1e6:g} MB",
        "" if wanted.most_gpu_bytes is None else f"at most {wanted.most_gpu_bytes / 1e6:g} MB of the GPU",
    ]
    return ", ".join(part for part in parts if part)


def _met(wanted: Wanted | None, time: Spread | None, ratio: Spread | None,
         memory: Mapping[str, int | None]) -> bool | None:  # fmt: skip
    if wanted is None or time is None:
        return None
    found = []
    if wanted.most_ms is not None:
        found.append(time.median <= wanted.most_ms)
    if wanted.least_ratio is not None and ratio is not None:
        found.append(ratio.median >= wanted.least_ratio)
    budgets = {"beyond_torch_bytes": wanted.most_bytes_beyond_torch, "gpu_bytes": wanted.most_gpu_bytes}
    for name, most in budgets.items():
        held = memory.get(name)
        if most is not None and held is not None:
            found.append(held <= most)
    return all(found) if found else None
