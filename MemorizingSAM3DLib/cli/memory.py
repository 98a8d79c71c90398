"""``memorizing-sam3d memory``: look at memories of cases, thin them out, bring them together, copy and check them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

if TYPE_CHECKING:
    from ..engine.memory.case_memory import CaseMemory

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
    from ..engine.memory.case_memory import DEFAULT_BUDGET, CaseMemory

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
    from ..engine.outputs import check_output

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
    from ..engine.memory.case_memory import CaseMemory

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
