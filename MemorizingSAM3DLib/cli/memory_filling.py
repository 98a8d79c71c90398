"""``memorizing-sam3d memory build`` and ``memory add``: what a case memory is filled with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from .case_memory_options import layers_of
from .memory import group
from .scan_options import FormChoice, Modality, SeriesChoice, VolumeChoice, open_scan

_Memory = Annotated[Path, typer.Argument(help="The folder of the memory; made if it is not there.")]
_SHOWN_FAILURES = 5


def register(app: typer.Typer) -> None:
    """The commands join those of ``memory``, which is in the program already."""


@group.command()
def build(
    path: _Memory,
    manifest: Annotated[Path, typer.Option(help="manifest.json beside the cases, or a training pack.")],
    split: Annotated[str, typer.Option(help="train or val.")] = "train",
    datasets: Annotated[str | None, typer.Option(help="Only these, separated by commas.")] = None,
    structures: Annotated[str | None, typer.Option(help="Only these structures, separated by commas.")] = None,
    cases: Annotated[str | None, typer.Option(help="So many cases of each dataset: 3, or 10%.")] = None,
    seed: Annotated[int, typer.Option(help="For the choice of cases.")] = 0,
    minimum_ml: Annotated[float, typer.Option(min=0, help="Smaller structures are left out.")] = 1.0,
    include_nc: Annotated[bool, typer.Option(help="Also datasets whose licence is not commercial.")] = True,
    model: Annotated[str | None, typer.Option(help="A registered model or a file. Default: the shipped one.")] = None,
    device: Annotated[str, typer.Option(help="auto, cuda or cpu.")] = "auto",
    workers: Annotated[int, typer.Option(min=1, help="Processes; each loads the model.")] = 1,
    attention_layers: Annotated[
        str | None, typer.Option(help="Keep keys and values of these encoder blocks, too: 4.", show_default="none")
    ] = None,
) -> None:
    """Remember every structure of a dataset's cases. Interrupted, the same command goes on where it was.

    [bold]Example[/bold]

    memorizing-sam3d memory build my_memory --manifest data/manifest.json --datasets openkbp --workers 2
    """
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from ..engine.download import cache_folder
    from ..learning.case_memory_building import BuildJob, BuildProgress
    from ..learning.case_memory_building import build as build_memory
    from ..learning.case_task import CaseSource
    from ..learning.collection import Collection
    from ..learning.evaluation_workers import ModelSource
    from ..learning.manifest import DataError, select, some_of_each_dataset
    from ..learning.memory_choice import OFF, MemoryChoice

    console = Console(highlight=False)
    collection = Collection.open(manifest)
    chosen = datasets.split(",") if datasets else None
    entries = some_of_each_dataset(select(collection.entries, split, chosen, not include_nc), cases, seed)
    if not entries:
        raise DataError(f"No case of {manifest} matches.", "Check --split and --datasets.")
    done = BuildProgress(path)
    missing = done.missing(entries)
    source = CaseSource(collection, cache_folder() / "packs")
    wanted = frozenset(structures.split(",")) if structures else None
    threads = None if workers == 1 else 1
    chosen_model = ModelSource(model, device, threads, MemoryChoice(OFF))
    job = BuildJob(chosen_model, path, source, minimum_ml, wanted, layers_of(attention_layers))
    added = known = 0
    failures = []
    columns = (TextColumn("Remembering"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("cases", total=len(entries), completed=len(entries) - len(missing))
        for result in build_memory(job, missing, workers):
            added, known = added + result.added, known + result.known
            if result.failure is None:
                done.note(result.entry)
            else:
                failures.append(result)
            progress.advance(bar)
    console.print(f"{path}: {added} structures are new, {known} were there already.", markup=False, soft_wrap=True)
    for result in failures[:_SHOWN_FAILURES]:
        console.print(f"[red]{escape(f'{result.entry}: {result.failure}')}[/red]", soft_wrap=True)
    if failures:
        console.print(f"{len(failures)} of {len(entries)} cases failed.")
        raise typer.Exit(1)
    done.finish()


@group.command()
def add(
    path: _Memory,
    scan: Annotated[Path, typer.Option(help="The scan.")],
    mask: Annotated[Path, typer.Option(help="Its label map or binary mask, on the same grid.")],
    structure: Annotated[str, typer.Option(help="The structure's name. Nothing of the patient belongs into it.")] = "",
    label: Annotated[int | None, typer.Option(help="Of a label map. Default: everything that is not zero.")] = None,
    modality: Modality = None,
    series: SeriesChoice = None,
    volume: VolumeChoice = None,
    form: FormChoice = None,
    model: Annotated[str | None, typer.Option(help="A registered model or a file. Default: the shipped one.")] = None,
    device: Annotated[str, typer.Option(help="auto, cuda or cpu.")] = "auto",
) -> None:
    """Remember one finished structure.

    [bold]Example[/bold]

    memorizing-sam3d memory add my_memory --scan ct.nii.gz --mask liver.nii.gz --structure liver
    """
    from ..engine.errors import VolumeError
    from ..engine.geometry import Volume
    from ..engine.recall.opening import open_or_create_case_recall
    from ..engine.recall.remembering import remember
    from .predictors import load_predictor

    console = Console(highlight=False)
    opened, labels = open_scan(scan, console, modality, series, volume, form), Volume.from_file(mask)
    if not labels.is_on_grid_of(opened):
        raise VolumeError(
            f"{mask} lies on another grid than {scan}.",
            "Resample it to the scan (in Slicer: Resample Scalar/Vector/DWI Volume, nearest neighbour).",
        )
    predictor = load_predictor(model, device, console)
    predictor.case_recall = open_or_create_case_recall(path, predictor.network)
    predictor.set_volume(opened)
    chosen = labels.array != 0 if label is None else labels.array == label
    done = remember(predictor, chosen, structure)
    told = f"{path}: {'remembered' if done.new else 'was there already'} ({done.id[:12]})."
    console.print(told, markup=False, soft_wrap=True)


@group.command()
def calibrate(
    out: Annotated[Path, typer.Argument(help="The file to write: Resources/Models/case_recall_v4.safetensors.")],
    manifest: Annotated[Path, typer.Option(help="manifest.json beside the cases, or a training pack.")],
    cases: Annotated[str, typer.Option(help="So many cases of each dataset: 12, or 10%.")] = "12",
    datasets: Annotated[str | None, typer.Option(help="Only these, separated by commas.")] = None,
    seed: Annotated[int, typer.Option(help="For the choice of cases.")] = 0,
    model: Annotated[str | None, typer.Option(help="A registered model or a file. Default: the shipped one.")] = None,
    device: Annotated[str, typer.Option(help="auto, cuda or cpu.")] = "auto",
    force: Annotated[bool, typer.Option("--force", help="Replace an output that is there.")] = False,
) -> None:
    """Measure, on training cases, how alike the crops of one structure are to a model; once a model.

    [bold]Example[/bold]

    memorizing-sam3d memory calibrate recall.safetensors --manifest data/manifest.json
    """
    from rich.progress import Progress

    from ..engine.download import cache_folder
    from ..engine.fingerprint import encoder_fingerprint
    from ..engine.outputs import check_output
    from ..learning.case_task import CaseSource
    from ..learning.collection import Collection
    from ..learning.manifest import select, some_of_each_dataset
    from ..learning.recall_calibration import calibrate as measure
    from .predictors import load_predictor

    console = Console(highlight=False)
    check_output(out, [manifest], force, make_folder=True)
    collection = Collection.open(manifest)
    chosen = datasets.split(",") if datasets else None
    entries = some_of_each_dataset(select(collection.entries, "train", chosen), cases, seed)
    predictor = load_predictor(model, device, console)
    source = CaseSource(collection, cache_folder() / "packs")
    with Progress(console=console) as progress:
        bar = progress.add_task("Looking at cases", total=len(entries))
        found = measure(predictor, encoder_fingerprint(predictor.network), source, entries,
                        progress=lambda done, _: progress.update(bar, completed=done))  # fmt: skip
    found.calibration.save(out)
    console.print(f"{found.places} places. A structure that is remembered is heard at {found.heard:.0%} of them; one "
                  f"that is not is taken for another at {found.misled:.0%}. Written: {out}")  # fmt: skip
