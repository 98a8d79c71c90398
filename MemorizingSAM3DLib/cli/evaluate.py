"""``memorizing-sam3d evaluate``: how well a model segments by simulated clicks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console


def register(app: typer.Typer) -> None:
    """Adds the command to the program."""
    app.command("evaluate")(evaluate)


def evaluate(
    manifest: Annotated[Path, typer.Option(help="manifest.json beside the cases.")],
    out: Annotated[Path, typer.Option(help="Folder for results.json and cases.csv.")],
    split: Annotated[str, typer.Option(help="train or val.")] = "val",
    datasets: Annotated[str | None, typer.Option(help="Only these, separated by commas.")] = None,
    labels_per_case: Annotated[int | None, typer.Option(min=1, help="At most so many structures a case.")] = None,
    clicks: Annotated[int, typer.Option(min=1, max=150)] = 10,
    seed: Annotated[int, typer.Option(help="For the choice of structures.")] = 0,
    model: Annotated[str | None, typer.Option(help="A registered model or a file. Default: the shipped one.")] = None,
    device: Annotated[str, typer.Option(help="auto, cuda or cpu.")] = "auto",
    include_nc: Annotated[bool, typer.Option(help="Also datasets whose licence is not commercial.")] = True,
) -> None:
    """Click every structure as the published evaluation does and measure Dice after each click.

    [bold]Example[/bold]

    memorizing-sam3d evaluate --manifest data/manifest.json --split val --clicks 5 --out results
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from ..engine.mask_files import check_folder
    from ..learning.cases import DataError, read_manifest, select
    from ..learning.evaluation import evaluate as run
    from ..learning.evaluation import summarise, write_results
    from .predictors import load_predictor

    console = Console()
    entries = select(read_manifest(manifest), split, datasets.split(",") if datasets else None, not include_nc)
    if not entries:
        raise DataError(f"No case of {manifest} matches.", "Check --split and --datasets.")
    out.mkdir(parents=True, exist_ok=True)
    check_folder(out)
    predictor = load_predictor(model, device, console)
    columns = (TextColumn("Evaluating"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    results = []
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("cases", total=len(entries))
        for result in run(
            predictor, manifest.parent, entries, clicks, labels_per_case, seed,
            lambda done, _: progress.update(task, completed=done),
        ):  # fmt: skip
            results.append(result)
    summary = summarise(results, clicks)
    facts = {
        "model": model or "shipped", "device": predictor.runtime.description, "split": split, "clicks": clicks,
        "labels_per_case": labels_per_case, "seed": seed,
    }  # fmt: skip
    write_results(out, summary, results, facts)
    shown = list(summary["mean"]["dice"])
    console.print(f"{'dataset':<20}{'labels':>7}" + "".join(f"{'Dice@' + n:>9}" for n in shown))
    for name, values in summary["datasets"].items():
        console.print(f"{name:<20}{values['labels']:>7}" + "".join(f"{values['dice'][n]:>9.3f}" for n in shown))
    console.print(f"{'mean over datasets':<27}" + "".join(f"{summary['mean']['dice'][n]:>9.3f}" for n in shown))
