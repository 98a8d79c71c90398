"""``memorizing-sam3d benchmark``: how long things take here, how much memory, and against what.

Runs parts of the benchmark with a bar, shows their tables and writes their files.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from .options import Device, Model, Out, Repeats, Threads

if TYPE_CHECKING:
    from MemorizingSAM3DLib.benchmarks.harness.benchmark_case import Part, Setting
    from MemorizingSAM3DLib.benchmarks.harness.report import Report

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

    from MemorizingSAM3DLib.benchmarks.harness.machine import machine_facts
    from MemorizingSAM3DLib.benchmarks.harness.report import write_report
    from MemorizingSAM3DLib.benchmarks.run import measure_part
    from MemorizingSAM3DLib.learning.evaluation.report import require_matplotlib

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

    from MemorizingSAM3DLib.benchmarks.harness.benchmark_case import Setting
    from MemorizingSAM3DLib.engine.runtime.device import choose_runtime

    if threads is not None:
        torch.set_num_threads(threads)
    runtime = choose_runtime(device)
    return Setting(str(runtime.device), torch.get_num_threads(), model), runtime.description


def show(report: Report) -> None:
    """Prints the tables."""
    from rich.markup import escape
    from rich.table import Table

    from MemorizingSAM3DLib.benchmarks.harness.report import machine_line, table_cells

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


group = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")


def register(app: typer.Typer) -> None:
    """Adds the group to the program."""
    app.add_typer(group, name="benchmark", help="Measure times and memory on this computer.")


@group.callback()
def _group() -> None:
    """Measure times and memory on this computer.

    Every contender has a process of its own; they are asked in turn, so that a busy computer slows all alike: compare
    within one table. Times are medians of warm runs, a GPU synchronised; ratios are taken within each round. Floor:
    the least time for the operations and bytes that are counted, at the rates that this device showed in the same run.
    """


@group.command()
def encode(repeats: Repeats = 5, threads: Threads = None, device: Device = "auto", out: Out = None) -> None:
    """Time the encoders: each size, dense and sparse attention, each backend, and the literal published arithmetic.

    Weights are random, no checkpoint is needed. It takes a few minutes and 5 GB of memory.

    [bold]Example[/bold]

    memorizing-sam3d benchmark encode --repeats 7 --out runs/speed
    """
    from MemorizingSAM3DLib.benchmarks.parts.encode import encode_part

    run_part(encode_part, repeats, device, threads, None, out)


@group.command()
def click(repeats: Repeats = 12, threads: Threads = None, device: Device = "auto", model: Model = None,
          out: Out = None) -> None:  # fmt: skip
    """Time a click on a cached crop: in the network, in the engine, and in a real scene of 512 x 512 x 200 voxels.

    Beside it: encoding at every click, the published way, and classic tools (Grow from seeds, random walker) on the
    same clicks.

    [bold]Example[/bold]

    memorizing-sam3d benchmark click --repeats 20
    """
    from MemorizingSAM3DLib.benchmarks.parts.click import click_part

    run_part(click_part, repeats, device, threads, model, out)


@group.command()
def session(repeats: Repeats = 3, threads: Threads = None, device: Device = "auto", model: Model = None,
            out: Out = None) -> None:  # fmt: skip
    """Time sessions of 10 clicks against the published way, which encodes at every click; and one of 150 clicks.

    [bold]Example[/bold]

    memorizing-sam3d benchmark session --threads 2 --out runs/speed
    """
    from MemorizingSAM3DLib.benchmarks.parts.session import session_part

    run_part(session_part, repeats, device, threads, model, out)


@group.command()
def memory(repeats: Repeats = 7, threads: Threads = None, device: Device = "auto", model: Model = None,
           out: Out = None) -> None:  # fmt: skip
    """Time memories: attention to 1, 10 and 60 remembered clicks, to remembered cases, and asking 10 to 1000 cases.

    [bold]Example[/bold]

    memorizing-sam3d benchmark memory --device cpu --out runs/speed
    """
    from MemorizingSAM3DLib.benchmarks.parts.memories import memory_part

    run_part(memory_part, repeats, device, threads, model, out)


@group.command()
def knn(
    vectors: Annotated[
        list[int] | None, typer.Option(min=1, help="How many; may be given repeatedly.", show_default="1e3, 1e5, 1e6")
    ] = None,
    width: Annotated[int, typer.Option(min=2, help="Numbers of a vector.")] = 768,
    queries: Annotated[int, typer.Option(min=1, help="Vectors looked up in one call.")] = 1,
    neighbours: Annotated[int, typer.Option("--neighbours", "-k", min=1, help="Neighbours wanted.")] = 10,
    repeats: Repeats = 7,
    threads: Threads = None,
    device: Device = "cpu",
    out: Out = None,
) -> None:
    """Time the search for the nearest remembered cases, with PyTorch and faiss on the same vectors.

    A million vectors of 768 numbers take 3 GB of memory in each of two processes.

    [bold]Example[/bold]

    memorizing-sam3d benchmark knn --vectors 1000 --vectors 100000 --width 256
    """
    from MemorizingSAM3DLib.benchmarks.parts.scaling import knn_part

    sizes = vectors or [1_000, 100_000, 1_000_000]
    make = partial(knn_part, sizes=sizes, width=width, queries=queries, k=neighbours)
    run_part(make, repeats, device, threads, None, out)


@group.command()
def writing(repeats: Repeats = 9, threads: Threads = None, out: Out = None) -> None:
    """Time what comes after the network, on the CPU: logits to the scan's grid, and the mask into the scene.

    [bold]Example[/bold]

    memorizing-sam3d benchmark writing --threads 2
    """
    from MemorizingSAM3DLib.benchmarks.parts.write import writing_part

    run_part(writing_part, repeats, "cpu", threads, None, out)


@group.command()
def start(repeats: Repeats = 3, threads: Threads = None, device: Device = "auto", model: Model = None,
          out: Out = None) -> None:  # fmt: skip
    """Time a cold start, in a fresh process each time: imports, the model, the first click on a new scan.

    [bold]Example[/bold]

    memorizing-sam3d benchmark start --repeats 5
    """
    from MemorizingSAM3DLib.benchmarks.parts.session import start_part

    run_part(start_part, repeats, device, threads, model, out)


@group.command()
def scaling(
    clicks: Annotated[int, typer.Option(min=2, max=1000, help="Of the longest session.")] = 1000,
    largest: Annotated[
        int, typer.Option(min=1, help="Millions of voxels of the largest scan; what does not fit is left out.")
    ] = 839,
    repeats: Repeats = 3,
    threads: Threads = None,
    device: Device = "auto",
    model: Model = None,
    out: Out = None,
) -> None:
    """Time what may grow: a click with the clicks before it, a scan's steps with its size, a question with the cases.

    Scans of 64^3 to 1024 x 1024 x 800 voxels; the largest needs 5 GB of memory.

    [bold]Example[/bold]

    memorizing-sam3d benchmark scaling --clicks 100 --largest 134
    """
    from MemorizingSAM3DLib.benchmarks.parts.scaling import SCANS, scaling_part

    scans = [shape for shape in SCANS if shape[0] * shape[1] * shape[2] <= largest * 1_000_000]
    run_part(partial(scaling_part, most_clicks=clicks, scans=scans), repeats, device, threads, model, out)


@group.command("all")
def everything(
    out: Annotated[Path, typer.Option("--out", file_okay=False, help="Folder for the reports and benchmark.md.")],
    repeats: Annotated[
        int | None, typer.Option(min=1, help="Timed turns of everything.", show_default="3 to 7, by the part")
    ] = None,
    threads: Threads = None,
    device: Device = "auto",
    model: Model = None,
) -> None:
    """Run every part with few repeats, and write one table of all: about twenty minutes on two cores.

    What fails is reported, and the rest is measured all the same.

    [bold]Example[/bold]

    memorizing-sam3d benchmark all --threads 2 --out runs/speed
    """
    from MemorizingSAM3DLib.benchmarks.run import TABLE, all_parts, write_table

    reports = [measured(make, repeats or usual, device, threads, model, out) for make, usual in all_parts()]
    write_table(out, reports)
    Console(highlight=False).print(f"Wrote {TABLE} to {out}.", markup=False, soft_wrap=True)
    if any(report.failures for report in reports):
        raise typer.Exit(1)
