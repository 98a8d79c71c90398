"""Runs a part of the benchmark from its contenders to its report.

All parts of the benchmark, and one table of what they found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from .harness.benchmark_case import Part, Setting
from .harness.process import Progress, measure_group
from .harness.report import Report, machine_line, markdown, rows_of, table_csv, write_texts
from .harness.roofline import ceiling_of
from .parts.click import click_part
from .parts.encode import encode_part
from .parts.memories import memory_part
from .parts.scaling import knn_part, scaling_part
from .parts.session import session_part, start_part
from .parts.write import writing_part


def measure_part(part: Part, setting: Setting, repeats: int, machine: Mapping[str, Any],
                 progress: Progress = lambda: None, starts: Callable[[str], None] = lambda title: None,
                 ) -> Report:  # fmt: skip
    """Measures group after group.

    Args:
        repeats: rounds that count. machine: of :func:`.machine.machine_facts`.
        progress: called at most :meth:`.Part.turns` times. starts: told each group's title.
    """
    report = Report(part, machine)
    for group in part.groups:
        starts(group.title)
        findings = measure_group(group, setting, repeats, progress)
        report.ceiling = ceiling_of(findings) or report.ceiling
        report.tables.append((group, rows_of(group, findings, report.ceiling)))
    return report


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
