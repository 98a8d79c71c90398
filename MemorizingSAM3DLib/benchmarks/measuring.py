"""Runs a part of the benchmark from its contenders to its report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .alternation import Progress, measure_group
from .contender import Part, Setting
from .report import Report
from .roofline import ceiling_of
from .rows import rows_of


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
