"""All parts of the benchmark, and one table of what they found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from .clicking import click_part
from .contender import Part, Setting
from .encoding import encode_part
from .remembering import memory_part
from .report import Report, machine_line, markdown, table_csv, write_texts
from .retrieval import knn_part
from .scaling import scaling_part
from .sessions import session_part
from .starting import start_part
from .writing import writing_part

TABLE, CSV = "benchmark.md", "benchmark.csv"


def all_parts() -> list[tuple[Callable[[Setting], Part], int]]:
    """Each part, and how often it repeats everything when all are run."""
    knn = partial(knn_part, sizes=(1_000, 100_000, 1_000_000), width=768, queries=1, k=10)
    return [
        (encode_part, 3), (click_part, 7), (session_part, 1), (memory_part, 5), (knn, 5), (writing_part, 7),
        (start_part, 3), (scaling_part, 3),
    ]  # fmt: skip


def write_table(folder: Path, reports: Sequence[Report]) -> list[Path]:
    """Writes benchmark.md and benchmark.csv, with the rows of all reports. Raises OutputError."""
    targets = [row for report in reports for row in report.rows if row.met is not None]
    met = sum(row.met is True for row in targets)
    lines = ["# Benchmark", "", machine_line(reports[0].machine), ""]
    lines += [f"{met} of {len(targets)} targets are met.", ""] if targets else []
    failed = [f"- failed: {row.group}, {row.name}: {row.reason}" for report in reports for row in report.failures]
    lines += [*failed, ""] if failed else []
    text = "\n".join([*lines, *(markdown(report, level=2) for report in reports)])
    write_texts(folder, {TABLE: text, CSV: table_csv(reports)})
    return [folder / TABLE, folder / CSV]
