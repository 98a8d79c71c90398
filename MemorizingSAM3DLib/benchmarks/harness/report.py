"""What a table says of a contender: medians, quartiles, ratios, floors, whether a target is met.

The report of a benchmark: JSON with everything, a CSV line for each row, a Markdown table, a picture.

The picture of a report: bars with quartiles, or curves where a group grows with something.
"""

from __future__ import annotations

import csv
import io
import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from MemorizingSAM3DLib.engine.errors import OutputError
from MemorizingSAM3DLib.learning.evaluation.report import replacing, require_matplotlib

from .benchmark_case import Group, Part, Wanted
from .process import Finding, State


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
    reference = next((f for f in findings if f.benchmark_case.name == group.reference), None)
    rows = []
    for finding in findings:
        for lap in finding.milliseconds or [""]:
            name = f"{finding.benchmark_case.name}: {lap}" if lap else finding.benchmark_case.name
            times = finding.milliseconds.get(lap, [])
            against = reference.milliseconds.get(lap, []) if reference is not None else []
            time = Spread.of(times) if times else None
            both = list(zip(times, against, strict=False))
            ratio = Spread.of([mine / its for mine, its in both]) if both else None
            floor = ceiling.floor_ms(finding.facts) if ceiling is not None else None
            wanted = group.wanted.get(name)
            row = Row(
                group.title,
                name,
                finding.benchmark_case.x,
                finding.state,
                finding.reason,
                tuple(times),
                time,
                ratio,
                floor,
                time.median / floor if time is not None and floor else None,
                finding.memory,
                _words(wanted, group.reference),
                _met(wanted, time, ratio, finding.memory),
                finding.facts,
            )
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


COLUMNS = (
    "part", "group", "contender", "x", "median_ms", "quartile1_ms", "quartile3_ms", "least_ms", "rounds", "ratio",
    "ratio_quartile1", "ratio_quartile3", "reference", "floor_ms", "times_floor", "operations", "bytes", "peak_bytes",
    "beyond_torch_bytes", "added_bytes", "gpu_bytes", "wanted", "met", "state", "reason",
)  # fmt: skip
_DETAILS = ("floor, ms", "peak, MB", "added, MB")


@dataclass
class Report:
    """What one part found.

    Attributes:
        machine: facts. tables: each group with its rows. ceiling: of the device, if the part measured it.
    """

    part: Part
    machine: Mapping[str, Any]
    tables: list[tuple[Group, list[Row]]] = field(default_factory=list)
    ceiling: Ceiling | None = None

    @property
    def rows(self) -> list[Row]:
        """Of all groups."""
        return [row for _, rows in self.tables for row in rows]

    @property
    def failures(self) -> list[Row]:
        """Rows of contenders that failed; one that is merely not available is none."""
        return [row for row in self.rows if row.state == "failed"]


def document(report: Report) -> dict[str, Any]:
    """For the JSON file."""
    groups = [
        {
            "title": group.title,
            "reference": group.reference,
            "remark": group.remark,
            "rows": [asdict(row) | {"time": _spread(row.time), "ratio": _spread(row.ratio)} for row in rows],
        }
        for group, rows in report.tables
    ]
    ceiling = None if report.ceiling is None else asdict(report.ceiling)
    named = {"part": report.part.name, "title": report.part.title}
    return {**named, "machine": dict(report.machine), "ceiling": ceiling, "groups": groups}


def table_csv(reports: Sequence[Report]) -> str:
    """One line a row."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for report in reports:
        for group, rows in report.tables:
            for row in rows:
                writer.writerow(_csv_line(report.part.name, group, row))
    return text.getvalue()


def markdown(report: Report, level: int = 1) -> str:
    """The tables, under headings."""
    lines = [f"{'#' * level} {report.part.title}", "", machine_line(report.machine), ""]
    for group, rows in report.tables:
        lines += [f"{'#' * (level + 1)} {group.title}", ""]
        lines += [group.remark, ""] if group.remark else []
        header, cells = table_cells(group, rows)
        lines += [f"| {' | '.join(header)} |", "|---" + "|---:" * (len(header) - 1) + "|"]
        lines += [f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in cells]
        lines.append("")
    return "\n".join(lines)


def machine_line(machine: Mapping[str, Any]) -> str:
    """One sentence or two on where this was measured."""
    busy = f" The computer was busy (load {machine['load_before']}): compare ratios only." if machine["busy"] else ""
    return (
        f"{machine['device']}; {machine['processor']}, {machine['cores']} cores; PyTorch "
        f"{machine['versions']['torch']}; {machine['started'][:10]}.{busy}"
    )


def table_cells(group: Group, rows: Sequence[Row], brief: bool = False) -> tuple[list[str], list[list[str]]]:
    """Header and lines for people; columns in which nothing stands are left out, ``brief`` leaves out more."""
    columns = {
        "": [row.name for row in rows],
        "median, ms": [_time(row) for row in rows],
        "quartiles": ["" if row.time is None else f"{number(row.time.low)}-{number(row.time.high)}" for row in rows],
        f"over {group.reference}": ["" if row.ratio is None else f"{row.ratio.median:.2f}" for row in rows],
        "floor, ms": ["" if row.floor_ms is None else number(row.floor_ms) for row in rows],
        "over floor": ["" if row.distance is None else f"{row.distance:.1f}" for row in rows],
        "peak, MB": [_megabytes(row, "peak_bytes") for row in rows],
        "beyond torch, MB": [_megabytes(row, "beyond_torch_bytes") for row in rows],
        "added, MB": [_megabytes(row, "added_bytes") for row in rows],
        "GPU, MB": [_megabytes(row, "gpu_bytes") for row in rows],
        "wanted": [_wanted(row) for row in rows],
        "note": [row.reason or str(row.facts.get("note", "")) for row in rows],
    }
    for title in _DETAILS if brief else ():
        del columns[title]
    kept = {title: cells for title, cells in columns.items() if any(cells)}
    return list(kept), [list(line) for line in zip(*kept.values(), strict=True)]


def number(milliseconds: float) -> str:
    """With three digits that count."""
    digits = 3 if milliseconds < 1 else 2 if milliseconds < 10 else 1 if milliseconds < 100 else 0
    return f"{milliseconds:.{digits}f}"


def write_report(folder: Path, report: Report) -> list[Path]:
    """Writes NAME.json, NAME.csv, NAME.md and NAME.png; each whole or not at all.

    Raises:
        OutputError: they cannot be written. CurveError: matplotlib is not installed.
    """

    name = report.part.name
    texts = {
        f"{name}.json": json.dumps(document(report), indent=1, ensure_ascii=False, allow_nan=False) + "\n",
        f"{name}.csv": table_csv([report]),
        f"{name}.md": markdown(report),
    }
    write_texts(folder, texts)
    draw(folder / f"{name}.png", report)
    return [folder / file for file in (*texts, f"{name}.png")]


def write_texts(folder: Path, texts: Mapping[str, str]) -> None:
    """Files of a folder, which is made if need be. Raises OutputError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be made ({error}).", "Choose a folder that you may write to.") from error
    for name, text in texts.items():
        with replacing(folder / name) as partial:
            partial.write_text(text, encoding="utf-8", newline="")


def _csv_line(part: str, group: Group, row: Row) -> dict[str, Any]:
    memory = {name: row.memory.get(name) for name in ("peak_bytes", "beyond_torch_bytes", "added_bytes", "gpu_bytes")}
    times = _spread(row.time, "median_ms", "quartile1_ms", "quartile3_ms") or {}
    ratios = _spread(row.ratio, "ratio", "ratio_quartile1", "ratio_quartile3") or {}
    return {
        "part": part, "group": group.title, "contender": row.name, "x": row.x, **times,
        "least_ms": min(row.milliseconds, default=None), "rounds": len(row.milliseconds), **ratios,
        "reference": group.reference, "floor_ms": row.floor_ms, "times_floor": row.distance,
        "operations": row.facts.get("operations"), "bytes": row.facts.get("bytes"), **memory, "wanted": row.wanted,
        "met": row.met, "state": row.state, "reason": row.reason,
    }  # fmt: skip


def _spread(spread: Any, *names: str) -> dict[str, float] | None:
    if spread is None:
        return None
    return dict(zip(names or ("median", "quartile1", "quartile3"), spread, strict=True))


def _time(row: Row) -> str:
    if row.time is not None:
        return number(row.time.median)
    return "failed" if row.state == "failed" else "not measured"


def _megabytes(row: Row, name: str) -> str:
    size = row.memory.get(name)
    return "" if size is None else f"{size / 1e6:.0f}"


def _wanted(row: Row) -> str:
    met = {True: " (met)", False: " (missed)", None: ""}[row.met]
    return row.wanted + met if row.wanted else ""


# Okabe and Ito's colours, which people with any colour vision tell apart.
_REFERENCE, _OTHER, _FLOOR = "#0072B2", "#999999", "#D55E00"
_LINES = (("#0072B2", "o"), ("#D55E00", "s"), ("#009E73", "^"), ("#CC79A7", "D"), ("#E69F00", "v"), ("#56B4E9", "P"))


def draw(path: Path, report: Report) -> None:
    """Draws a report's groups below each other.

    Raises:
        OutputError: it cannot be written. CurveError: matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    tables = [(group, [row for row in rows if row.time is not None]) for group, rows in report.tables]
    tables = [(group, rows) for group, rows in tables if rows]
    heights = [2.6 if group.x_title else 0.6 + 0.32 * len(rows) for group, rows in tables] or [1.0]
    figure = Figure(figsize=(9, sum(heights) + 0.6 + 0.4 * len(heights)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (group, rows) in zip(panels, tables, strict=False):
        (_curves if group.x_title else _bars)(axes, group, rows)
        axes.set_title(group.title, fontsize=10, loc="left")
        axes.grid(alpha=0.25)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    if not tables:
        panels[0].set_axis_off()
    figure.suptitle(f"{report.part.title}, {report.machine['device']}, {report.machine['started'][:10]}", fontsize=11)
    with replacing(path) as partial:
        figure.savefig(partial, dpi=130)


def _bars(axes: Any, group: Group, rows: Sequence[Row]) -> None:
    places = range(len(rows))
    times = [row.time for row in rows if row.time is not None]
    medians = [time.median for time in times]
    spread = [[time.median - time.low for time in times], [time.high - time.median for time in times]]
    colours = [_REFERENCE if row.name == group.reference else _OTHER for row in rows]
    axes.barh(places, medians, xerr=spread, color=colours, error_kw={"linewidth": 1})
    for place, row, time in zip(places, rows, times, strict=True):
        ratio = "" if row.ratio is None or row.name == group.reference else f"  (x {row.ratio.median:.2f})"
        axes.annotate(
            f"{number(time.median)} ms{ratio}", (time.high, place), xytext=(4, 0), textcoords="offset points",
            va="center", fontsize=8,
        )  # fmt: skip
        if row.floor_ms is not None:
            axes.plot([row.floor_ms] * 2, [place - 0.4, place + 0.4], color=_FLOOR, linewidth=2)
    axes.set_yticks(places, [row.name for row in rows], fontsize=8)
    axes.invert_yaxis()
    if max(medians) > 20 * min(medians):
        axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.set_xlim(low, high * (4 if axes.get_xscale() == "log" else 1.25))
    axes.set_xlabel("ms, median and quartiles" + (", floor" if any(row.floor_ms for row in rows) else ""), fontsize=8)


def _curves(axes: Any, group: Group, rows: Sequence[Row]) -> None:
    lines: dict[str, list[Row]] = {}
    for row in rows:
        lines.setdefault(_line_of(row), []).append(row)
    for (title, line), (colour, marker) in zip(lines.items(), _LINES * len(lines), strict=False):
        points = sorted((row.x, row.time) for row in line if row.x is not None and row.time is not None)
        x, times = [place for place, _ in points], [time for _, time in points]
        axes.plot(x, [time.median for time in times], color=colour, marker=marker, markersize=4, label=title)
        axes.fill_between(x, [t.low for t in times], [t.high for t in times], color=colour, alpha=0.15, linewidth=0)
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel(group.x_title, fontsize=8)
    axes.set_ylabel("ms", fontsize=8)
    if len(lines) > 1:
        axes.legend(fontsize=8, frameon=False)


def _line_of(row: Row) -> str:
    """The lap, or what stands before a comma: contenders of a curve are called ``what, at which x``."""
    _, _, lap = row.name.partition(": ")
    return lap or row.name.partition(",")[0]
