"""``memorizing-sam3d benchmark``: how long things take here, and how much memory."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

group = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")


def register(app: typer.Typer) -> None:
    """Adds the group to the program."""
    app.add_typer(group, name="benchmark", help="Measure times and memory on this computer.")


@group.callback()
def _group() -> None:
    """Measure times and memory on this computer."""


@group.command()
def encode(
    repeats: Annotated[int, typer.Option(min=1, help="Timed runs of everything.")] = 5,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of PyTorch.", show_default="its own")] = None,
    out: Annotated[Path | None, typer.Option("--out", dir_okay=False, help="Write the report here, as JSON.")] = None,
) -> None:
    """Time the encoders and decoders on the CPU, and the teacher against the literal published arithmetic.

    All are run in turn, so that a busy computer slows them alike: compare figures within one run. Weights are random,
    no checkpoint is needed. It takes a minute or two and 3 GB of memory.

    [bold]Example[/bold]

    memorizing-sam3d benchmark encode --repeats 7 --out encode.json
    """
    import torch
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from ..benchmarks.encoding import measure_encoding, stages

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Measuring", total=stages(repeats))
        report = measure_encoding(repeats, threads or torch.get_num_threads(), lambda: bar.advance(task))
    _show(report)
    if out is not None:
        _write(out, report)


@group.command()
def click(
    clicks: Annotated[int, typer.Option(min=2, max=150, help="Points after the first.")] = 12,
    model: Annotated[str | None, typer.Option(help="A registered model or a file. Default: the shipped one.")] = None,
    device: Annotated[str, typer.Option(help="auto, cuda or cpu.")] = "auto",
    out: Annotated[Path | None, typer.Option("--out", dir_okay=False, help="Write the report here, as JSON.")] = None,
) -> None:
    """Time a point until its segment is written in a real scene, on a scan of 512 x 512 x 200 voxels.

    [bold]Example[/bold]

    memorizing-sam3d benchmark click --clicks 20
    """
    from rich.progress import Progress

    from ..benchmarks.clicking import measure_clicking
    from .predictors import load_predictor

    console = Console(highlight=False)
    predictor = load_predictor(model, device, console)
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Clicking", total=clicks + 1)
        report = measure_clicking(predictor, clicks, lambda: bar.advance(task))
    bars = report["bars"]
    console.print(
        f"First point, the scan taken over included: {report['first_ms']:.0f} ms with {report['first_encodes']} crops "
        f"encoded (under {bars['first_ms']:.0f} is wanted)"
    )
    if report["cached_clicks"]:
        console.print(
            f"{report['cached_clicks']} points on a cached crop: median {report['cached_median_ms']:.0f} ms, worst "
            f"{report['cached_worst_ms']:.0f} ms (a median under {bars['cached_median_ms']:.0f} is wanted)"
        )
    if out is not None:
        _write(out, report)


@group.command()
def knn(
    vectors: Annotated[
        list[int] | None, typer.Option(min=1, help="How many; may be given repeatedly.", show_default="1e3, 1e5, 1e6")
    ] = None,
    width: Annotated[int, typer.Option(min=2, help="Numbers of a vector.")] = 768,
    queries: Annotated[int, typer.Option(min=1, help="Vectors looked up in one call.")] = 1,
    neighbours: Annotated[int, typer.Option("--neighbours", "-k", min=1, help="Neighbours wanted.")] = 10,
    repeats: Annotated[int, typer.Option(min=1, help="Timed calls of everything.")] = 7,
    device: Annotated[str, typer.Option(help="PyTorch's: cpu, cuda.")] = "cpu",
    inverted: Annotated[
        bool, typer.Option("--inverted", help="Also faiss's approximate index, which takes minutes to build.")
    ] = False,
    out: Annotated[Path | None, typer.Option("--out", dir_okay=False, help="Write the report here, as JSON.")] = None,
) -> None:
    """Time the search for the nearest remembered cases, with PyTorch and faiss on the same vectors.

    A million vectors of 768 numbers take 3 GB of memory, as much again with --inverted.

    [bold]Example[/bold]

    memorizing-sam3d benchmark knn --vectors 1000 --vectors 100000 --width 256 --inverted
    """
    from rich.progress import Progress

    from ..benchmarks.retrieval import measure_retrieval, stages

    sizes = vectors or [1_000, 100_000, 1_000_000]
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Searching", total=stages(sizes, repeats))
        report = measure_retrieval(
            sizes, width, queries, neighbours, repeats, device, inverted, lambda: bar.advance(task)
        )
    _show_searches(report)
    if out is not None:
        _write(out, report)


def _show(report: dict[str, Any]) -> None:
    from rich.table import Table

    system, bars, added = report["system"], report["bars"], report["added_bytes"]
    table = Table("Job", "Median, ms", box=None, header_style="bold")
    table.columns[1].justify = "right"
    for name, milliseconds in report["milliseconds"].items():
        table.add_row(name, f"{milliseconds:.1f}")
    console = Console(highlight=False)
    console.print(f"PyTorch {system['torch']}, {system['threads']} threads, {system['processor']}")
    console.print(table)
    console.print(
        f"Teacher: {report['speed_up']:.2f} times as fast as the literal arithmetic "
        f"(at least {bars['least_speed_up']} is wanted), largest difference {report['largest_difference']:.1e}"
    )
    console.print(
        f"One encode of the teacher adds {_megabytes(added['ours'])} to the process "
        f"(less than {_megabytes(bars['most_added_bytes'])} is wanted), the literal one {_megabytes(added['literal'])}"
    )


def _show_searches(report: dict[str, Any]) -> None:
    from rich.table import Table

    console = Console(highlight=False)
    system = report["system"]
    console.print(f"PyTorch {system['torch']}, {system['threads']} threads, {system['processor']}")
    console.print(f"{report['k']} neighbours of {report['queries']} vectors of {report['width']} numbers a call")
    table = Table("Vectors", "Search", "On", "Median, ms", "Ratio", "Recall", "Built, s", box=None, header_style="bold")
    for run in report["runs"]:
        for name, milliseconds in run["milliseconds"].items():
            table.add_row(
                f"{run['vectors']:,}",
                name,
                run["device"][name],
                f"{milliseconds:.3f}",
                f"{run['ratio'][name]:.2f}",
                f"{run['recall'][name]:.3f}",
                f"{run['built_seconds'][name]:.1f}",
            )
    console.print(table)
    if all("faiss" not in run["milliseconds"] for run in report["runs"]):
        console.print("faiss is not installed: PyTorch alone was measured.")


def _write(path: Path, report: dict[str, Any]) -> None:
    import json

    from ..engine.errors import OutputError

    try:
        path.write_text(json.dumps(report, indent=2), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path} cannot be written ({error}).", "Choose a folder that you may write to.") from error


def _megabytes(size: int | None) -> str:
    return "an unknown amount" if size is None else f"{size / 1e6:.0f} MB"
