"""The report of a benchmark: JSON with everything, a CSV line for each row, a Markdown table, a picture."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..engine.errors import OutputError
from ..learning.report import replacing
from .contender import Group, Part
from .rows import Ceiling, Row

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
    from .pictures import draw

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
