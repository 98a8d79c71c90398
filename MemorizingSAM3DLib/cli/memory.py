"""``memorizing-sam3d memory``: look at memories of cases, thin them out, bring them together, copy and check them.

``memorizing-sam3d memory build`` and ``memory add``: what a case memory is filled with.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from .options import layers_of
from .scan_options import FormChoice, Modality, SeriesChoice, VolumeChoice, open_scan

if TYPE_CHECKING:
    from MemorizingSAM3DLib.engine.case_memory.memory import CaseMemory

group = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")
_Memory = Annotated[Path, typer.Argument(help="A memory: its folder, or a single file that was exported.")]
_Folder = Annotated[Path, typer.Argument(help="The folder of a memory.")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
_Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
_SHORT = 12  # digits of an id or a hash that are shown, and enough to name a case


def register(app: typer.Typer) -> None:
    """Adds the group to the program."""
    app.add_typer(group, name="memory", help="Look at memories of cases, fill, copy and check them.")


@group.command()
def info(path: _Memory, as_json: _Json = False) -> None:
    """Tell what a memory is: how many cases of which structures, its encoder, what it keeps, its size.

    [bold]Example[/bold]

    memorizing-sam3d memory info my_memory
    """
    from collections import Counter

    from rich.table import Table

    memory = _open(path)
    structures = Counter(case.facts.structure for case in memory.cases)
    modalities = Counter(case.facts.modality for case in memory.cases)
    if as_json:
        _print_json(
            {
                "path": str(memory.path),
                "read_only": memory.read_only,
                "encoder": memory.encoder,
                "cases": len(memory),
                "structures": dict(sorted(structures.items())),
                "modalities": dict(sorted(modalities.items())),
                "size": memory.size_bytes,
                "budget": memory.budget_bytes,
                "layout": memory.layout.as_json(),
                "warnings": list(memory.warnings),
            }
        )
        return
    days = sorted(case.facts.created for case in memory.cases)
    budget = "read only" if memory.read_only else f"of {_megabytes(memory.budget_bytes)} that it may have"
    rows = {
        "Memory": str(memory.path),
        "Cases": f"{len(memory):,}",
        "Structures": _counted(structures),
        "Modalities": _counted(modalities),
        "Remembered": f"{days[0]} to {days[-1]}" if days else "-",
        "Size": f"{_megabytes(memory.size_bytes)}, {budget}",
        "Encoder": memory.encoder,
        "Keeps of a case": ", ".join(f"{name} {spec.dtype} {list(spec.shape)}" for name, spec in memory.layout.items()),
        "Left out": f"{len(memory.warnings)} (see: memory verify)" if memory.warnings else "nothing",
    }
    table = Table(box=None, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for row in rows.items():
        table.add_row(*row)
    Console(highlight=False, markup=False).print(table)


@group.command("list")
def list_cases(
    path: _Memory,
    structure: Annotated[str | None, typer.Option(help="Only cases of this structure.", show_default=False)] = None,
    modality: Annotated[str | None, typer.Option(help="Only cases of CT, MR, PET or US.", show_default=False)] = None,
    as_json: _Json = False,
) -> None:
    """List the cases of a memory, the oldest first.

    [bold]Example[/bold]

    memorizing-sam3d memory list my_memory --structure liver
    """
    from rich.markup import escape
    from rich.table import Table

    memory = _open(path)
    wanted = memory.matching(structure, modality)
    cases = [case for case, matches in zip(memory.cases, wanted, strict=True) if matches]
    cases.sort(key=lambda case: (case.facts.created, case.id))
    if as_json:
        found = [{"id": case.id, **case.facts.as_json(), "size": case.size_bytes} for case in cases]
        _print_json({"path": str(memory.path), "cases": found, "warnings": list(memory.warnings)})
        return
    table = Table("Case", "Structure", "Modality", "Remembered", "From", "Size", box=None, header_style="bold")
    for case in cases:
        facts, size = case.facts, f"{case.size_bytes / 1e3:,.0f} kB"
        table.add_row(
            case.id[:_SHORT], escape(facts.structure) or "-", facts.modality or "-", facts.created, facts.source, size
        )
    console = Console(highlight=False)
    console.print(table)
    console.print(f"{len(cases):,} of {len(memory):,} cases")
    _warn(memory)


@group.command()
def remove(
    path: _Folder,
    cases: Annotated[
        list[str] | None, typer.Argument(help="Ids of cases, or their first digits.", show_default=False)
    ] = None,
    structure: Annotated[str | None, typer.Option(help="All cases of this structure.", show_default=False)] = None,
    damaged: Annotated[bool, typer.Option("--damaged", help="All cases whose files are damaged or foreign.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="All cases.")] = False,
    yes: _Yes = False,
) -> None:
    """Remove cases from a memory.

    [bold]Examples[/bold]

    memorizing-sam3d memory remove my_memory 3f0c9a

    memorizing-sam3d memory remove my_memory --structure liver --yes
    """
    memory = _open(path)
    chosen = [_case(memory, start) for start in cases or []]
    if structure is not None:
        chosen += [case for case, matches in zip(memory.ids, memory.matching(structure), strict=True) if matches]
    if damaged:
        chosen += _damaged(memory)
    if everything:
        chosen += [*memory.ids, *memory.damaged]
    if not chosen:
        if not (damaged or everything or structure is not None):
            raise typer.BadParameter("Name cases, or give --structure, --damaged or --all.", param_hint="CASES")
        typer.echo("There is nothing to remove.")
        return
    chosen = list(dict.fromkeys(chosen))
    if not yes:
        typer.confirm(f"Remove {len(chosen):,} of {len(memory):,} cases from {path}?", abort=True)
    for case in chosen:
        memory.remove(case)
    typer.echo(f"Removed {len(chosen):,}; {len(memory):,} cases are left.")


@group.command()
def merge(
    path: _Folder,
    others: Annotated[list[Path], typer.Argument(help="Other memories of the same encoder: folders or single files.")],
) -> None:
    """Take the cases of other memories over into this one; the others stay as they are.

    [bold]Example[/bold]

    memorizing-sam3d memory merge my_memory from_my_colleague.safetensors
    """
    memory = _open(path)
    sources = [_open(other) for other in others]
    for source in sources:  # all before anything is taken over
        memory.require_encoder(source.encoder)
        memory.require_layout(source.layout)
    for source in sources:
        _merge(memory, source)


@group.command("import")
def import_file(
    path: _Folder,
    file: Annotated[Path, typer.Argument(help="A single file that was exported.")],
) -> None:
    """Take the cases of a single file over into a memory, which is made if there is none.

    [bold]Example[/bold]

    memorizing-sam3d memory import my_memory from_my_colleague.safetensors
    """
    from MemorizingSAM3DLib.engine.case_memory.memory import CaseMemory
    from MemorizingSAM3DLib.engine.case_memory.store import DEFAULT_BUDGET

    source = _open(file)
    if path.exists():
        memory = _open(path)
    else:
        budget = max(DEFAULT_BUDGET, 2 * source.size_bytes)
        memory = CaseMemory.create(path, source.layout, source.encoder, budget)
    _merge(memory, source)


@group.command()
def export(
    path: _Memory,
    file: Annotated[Path, typer.Argument(help="The new file, .safetensors.")],
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write all cases into a single file, to copy it. Memories are patient data, though they name nobody.

    [bold]Example[/bold]

    memorizing-sam3d memory export my_memory my_memory.safetensors
    """
    from MemorizingSAM3DLib.engine.scans.outputs import check_output

    check_output(file, [path], force, make_folder=True)
    memory = _open(path)
    with _status(f"Writing {file} ..."):
        memory.export(file)
    _warn(memory)
    typer.echo(f"Wrote {len(memory):,} cases to {file} ({_megabytes(file.stat().st_size)}).")


@group.command()
def verify(path: _Memory, as_json: _Json = False) -> None:
    """Read every byte of a memory, and compare it with what was written. Exit code 1 if anything is wrong.

    [bold]Example[/bold]

    memorizing-sam3d memory verify my_memory
    """
    from rich.markup import escape
    from rich.table import Table

    memory = _open(path)
    with _status(f"Reading {path} ..."):
        problems = memory.verify()
    if as_json:
        _print_json([{"file": found.file, "case": found.case, "problem": found.problem} for found in problems])
    elif not problems:
        typer.echo(f"{path} is sound: {len(memory):,} cases.")
    else:
        table = Table("File", "Problem", box=None, header_style="bold")
        for found in problems:
            table.add_row(escape(found.file), escape(found.problem))
        Console(highlight=False).print(table)
        if any(found.case and found.damaged for found in problems):
            typer.echo(f"Damaged cases are left out. To remove them: memorizing-sam3d memory remove {path} --damaged")
    if problems:
        raise typer.Exit(1)


def _open(path: Path) -> CaseMemory:
    from MemorizingSAM3DLib.engine.case_memory.memory import CaseMemory

    return CaseMemory.open(path)


def _case(memory: CaseMemory, start: str) -> str:
    """The id that begins so."""
    found = [case for case in (*memory.ids, *memory.damaged) if case.startswith(start.lower())]
    if len(found) == 1:
        return found[0]
    problem = f"{len(found)} cases begin with {start}" if found else f"No case begins with {start}"
    raise typer.BadParameter(f"{problem}; see: memorizing-sam3d memory list", param_hint="CASES")


def _damaged(memory: CaseMemory) -> list[str]:
    with _status(f"Reading {memory.path} ..."):
        return [found.case for found in memory.verify() if found.case and found.damaged]


def _merge(memory: CaseMemory, source: CaseMemory) -> None:
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"Taking over {source.path.name}", total=len(source))
        done = memory.merge(source, lambda: bar.advance(task))
    typer.echo(f"{source.path}: {done.added:,} cases taken over, {done.known:,} were there already.")
    if done.evicted:
        typer.echo(f"{done.evicted:,} cases that were of no use for longest made room.")
    if done.damaged:
        typer.echo(f"{done.damaged:,} damaged cases were left out.")


def _warn(memory: CaseMemory) -> None:
    from rich.markup import escape

    for warning in memory.warnings:
        Console(stderr=True, highlight=False).print(f"[yellow]Left out:[/yellow] {escape(warning)}", soft_wrap=True)


def _counted(counts: dict[str, int]) -> str:
    named = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name or 'not named'} ({count:,})" for name, count in named) or "-"


def _status(text: str) -> Any:
    return Console(stderr=True, highlight=False, markup=False).status(text)


def _print_json(value: Any) -> None:
    import json

    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


_NewMemory = Annotated[Path, typer.Argument(help="The folder of the memory; made if it is not there.")]
_SHOWN_FAILURES = 5


@group.command()
def build(
    path: _NewMemory,
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

    from MemorizingSAM3DLib.engine.models.download import cache_folder
    from MemorizingSAM3DLib.learning.case_memory import BuildJob, BuildProgress
    from MemorizingSAM3DLib.learning.case_memory import build as build_memory
    from MemorizingSAM3DLib.learning.data.manifest import DataError, select, some_of_each_dataset
    from MemorizingSAM3DLib.learning.data.pack import Collection
    from MemorizingSAM3DLib.learning.evaluation.memory_options import OFF, MemoryChoice
    from MemorizingSAM3DLib.learning.evaluation.run import CaseSource, ModelSource

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
    path: _NewMemory,
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
    from MemorizingSAM3DLib.engine.session.remember_case import open_or_create_case_retrieval, remember

    from ..engine.errors import VolumeError
    from ..engine.geometry import Volume
    from .options import load_predictor

    console = Console(highlight=False)
    opened, labels = open_scan(scan, console, modality, series, volume, form), Volume.from_file(mask)
    if not labels.is_on_grid_of(opened):
        raise VolumeError(
            f"{mask} lies on another grid than {scan}.",
            "Resample it to the scan (in Slicer: Resample Scalar/Vector/DWI Volume, nearest neighbour).",
        )
    predictor = load_predictor(model, device, console)
    predictor.case_retrieval = open_or_create_case_retrieval(path, predictor.network)
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

    from MemorizingSAM3DLib.engine.models.download import cache_folder
    from MemorizingSAM3DLib.engine.models.weights_file import encoder_fingerprint
    from MemorizingSAM3DLib.engine.scans.outputs import check_output
    from MemorizingSAM3DLib.learning.case_memory import calibrate as measure
    from MemorizingSAM3DLib.learning.data.manifest import select, some_of_each_dataset
    from MemorizingSAM3DLib.learning.data.pack import Collection
    from MemorizingSAM3DLib.learning.evaluation.run import CaseSource

    from .options import load_predictor

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
    console.print(f"{found.places} places. A structure that is remembered is used at {found.attended:.0%} of them; one "
                  f"that is not is taken for another at {found.misled:.0%}. Written: {out}")  # fmt: skip
