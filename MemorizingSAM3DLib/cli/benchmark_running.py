"""Runs parts of the benchmark with a bar, shows their tables and writes their files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console

if TYPE_CHECKING:
    from ..benchmarks.contender import Part, Setting
    from ..benchmarks.report import Report

MakePart = Callable[["Setting"], "Part"]


def run_part(make: MakePart, repeats: int, device: str, threads: int | None, model: str | None,
             out: Path | None) -> Report:  # fmt: skip
    """Measures a part, shows it, and writes it if a folder is given; ends the program if a contender failed.

    Raises:
        DeviceError: the device cannot compute. OutputError: the folder cannot be written to. CurveError: there is
            nothing to draw with.
    """
    report = measured(make, repeats, device, threads, model, out)
    if report.failures:
        raise typer.Exit(1)
    return report


def measured(make: MakePart, repeats: int, device: str, threads: int | None, model: str | None,
             out: Path | None) -> Report:  # fmt: skip
    """As :func:`run_part`, but a contender that fails is only shown."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from ..benchmarks.machine import machine_facts
    from ..benchmarks.measuring import measure_part
    from ..benchmarks.report import write_report
    from ..learning.curves import require_matplotlib

    if out is not None:
        require_matplotlib()
    setting, description = the_setting(device, threads, model)
    machine, part = machine_facts(setting, description), make(setting)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(part.title, total=part.turns(repeats))

        def starts(title: str) -> None:
            bar.update(task, description=title)

        report = measure_part(part, setting, repeats, machine, lambda: bar.advance(task), starts)
    show(report)
    if out is not None:
        files = write_report(out, report)
        Console(highlight=False).print(
            f"Wrote {', '.join(file.name for file in files)} to {out}.", markup=False, soft_wrap=True
        )
    return report


def the_setting(device: str, threads: int | None, model: str | None) -> tuple[Setting, str]:
    """The setting of a run, and the device in words.

    Raises:
        DeviceError: the device cannot compute.
    """
    import torch

    from ..benchmarks.contender import Setting
    from ..engine.runtime import choose_runtime

    if threads is not None:
        torch.set_num_threads(threads)
    runtime = choose_runtime(device)
    return Setting(str(runtime.device), torch.get_num_threads(), model), runtime.description


def show(report: Report) -> None:
    """Prints the tables."""
    from rich.markup import escape
    from rich.table import Table

    from ..benchmarks.report import machine_line, table_cells

    console = Console(highlight=False)
    console.print(f"[bold]{report.part.title}[/bold]")
    console.print(machine_line(report.machine))
    for group, rows in report.tables:
        header, lines = table_cells(group, rows, brief=True)
        table = Table(*header, title=escape(group.title), title_justify="left", box=None, header_style="bold")
        for column in table.columns[1:]:
            if column.header not in ("wanted", "note"):
                column.justify, column.no_wrap = "right", True
        for row, cells in zip(rows, lines, strict=True):
            style = "red" if row.state == "failed" or row.met is False else "dim" if row.state != "measured" else None
            table.add_row(*map(escape, cells), style=style)
        console.print()
        console.print(table)
        if group.remark:
            console.print(group.remark, style="dim")
