"""``memorizing-sam3d checkpoint``: look at models, fetch, convert and remove them."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console

if TYPE_CHECKING:
    from MemorizingSAM3DLib.engine.models.download import CachedModel
    from MemorizingSAM3DLib.engine.models.registry import ModelEntry

group = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")

_Cache = Annotated[
    Path | None,
    typer.Option(
        "--cache",
        envvar="MEMORIZING_SAM3D_CACHE",
        file_okay=False,
        help="Folder of fetched models.",
        show_default=False,
    ),
]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


def register(app: typer.Typer) -> None:
    """Adds the group to the program."""
    app.add_typer(group, name="checkpoint", help="Look at models, fetch, convert and remove them.")


@group.command("list")
def list_models(cache: _Cache = None, as_json: _Json = False) -> None:
    """List the known models, and which of them are on this computer.

    [bold]Example[/bold]

    memorizing-sam3d checkpoint list
    """
    from rich.table import Table

    from MemorizingSAM3DLib.engine.models.download import cache_folder, cached_models
    from MemorizingSAM3DLib.engine.models.registry import known_models

    cached = {model.entry.name: model for model in cached_models(cache)}
    known = list(known_models())
    sizes = {entry.name: cached[entry.name].size if entry.name in cached else entry.size for entry in known}
    states = {entry.name: _state(entry, cached.get(entry.name)) for entry in known}
    if as_json:
        models = [{**asdict(entry), "size": sizes[entry.name], "state": states[entry.name]} for entry in known]
        _print_json({"cache": str(cache_folder(cache)), "models": models})
        return
    table = Table(box=None, header_style="bold")
    table.add_column("Name", overflow="fold", min_width=max(len(entry.name) for entry in known))  # it is to be typed
    for title in ("Title", "Family", "Licence", "Size", "SHA-256", "State"):
        table.add_column(title)
    for entry in known:
        hashed = "known" if entry.sha256 else "unknown"
        size, state = _megabytes(sizes[entry.name]), states[entry.name]
        table.add_row(entry.name, entry.title, entry.family, entry.licence, size, hashed, state)
    Console().print(table)
    Console().print(f"Fetched models are in {cache_folder(cache)}", highlight=False, markup=False, soft_wrap=True)


@group.command()
def inspect(
    source: Annotated[str, typer.Argument(help="A checkpoint file, or the name of a known model.")],
    cache: _Cache = None,
    as_json: _Json = False,
) -> None:
    """Tell what a checkpoint is: family, dimensions, hash, licence, training.

    Files of other people are opened without running anything that is in them.

    [bold]Examples[/bold]

    memorizing-sam3d checkpoint inspect native-v4

    memorizing-sam3d checkpoint inspect sam_med3d_turbo.pth --json
    """
    from rich.table import Table

    from MemorizingSAM3DLib.engine.models.checkpoints import inspect as inspect_checkpoint

    with _status(f"Reading {source} ..."):
        found = inspect_checkpoint(source, cache)
    if as_json:
        _print_json(found)
        return
    config = found["config"]
    rows = {
        "File": found["path"],
        "Size": _megabytes(found["size"]),
        "SHA-256": found["sha256"],
        "Known as": found["name"] or "not a known model",
        "Licence": found["licence"] or "not known",
        "Family": f"{found['family']} ({found['kind']})",
        "Encoder": f"depth {config['depth']}, width {config['width']}, {config['heads']} heads, "
        f"attention from block {config['attention_from']}, window {config['window'] or 'none'}",
        "Crop": f"{config['image_size']}^3 voxels in patches of {config['patch_size']}^3",
        "Parameters": f"{found['parameters']:,}",
        "Precision": found["precision"],
        **({"Converted from": found["origin"].get("file", "?")} if found["origin"] else {}),
        **{f"Training: {key}": str(value) for key, value in found["training"].items()},
    }
    table = Table(box=None, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for row in rows.items():
        table.add_row(*row)
    Console(highlight=False, markup=False).print(table)


@group.command()
def convert(
    source: Annotated[Path, typer.Argument(help="A published .pth of SAM-Med3D or FastSAM3D.")],
    target: Annotated[
        Path | None,
        typer.Argument(help="The new .safetensors file; beside the source if not given.", show_default=False),
    ] = None,
    family: Annotated[
        Literal["sam_med3d", "fastsam3d"] | None,
        typer.Option(help="Only where the file does not tell.", show_default=False),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a target that is there.")] = False,
) -> None:
    """Convert a published .pth once to safetensors, with its configuration inside.

    Accepted: bare weights, model_state_dict, model, a module. prefix, whole training checkpoints, encoders alone.

    [bold]Example[/bold]

    memorizing-sam3d checkpoint convert sam_med3d_turbo.pth sam_med3d_turbo.safetensors
    """
    target = target or source.with_suffix(".safetensors")
    if target.exists() and not force:
        raise typer.BadParameter(f"{target} is there already; give another name, or --force.", param_hint="TARGET")
    from MemorizingSAM3DLib.engine.models.checkpoints import convert_published

    with _status(f"Converting {source} ..."):
        convert_published(source, target, family)
    typer.echo(f"Wrote {target} ({_megabytes(target.stat().st_size)}).")


@group.command()
def download(
    name: Annotated[str, typer.Argument(help="Name of a known model (see: checkpoint list).")],
    cache: _Cache = None,
    allow_unverified: Annotated[
        bool, typer.Option("--allow-unverified", help="Fetch also a model whose authors publish no SHA-256.")
    ] = False,
) -> None:
    """Fetch a known model into the cache folder, verified; an interrupted download goes on where it stopped.

    Without a network: copy the file from elsewhere, and give its path wherever a model is asked for.

    [bold]Example[/bold]

    memorizing-sam3d checkpoint download sam-med3d-turbo
    """
    from MemorizingSAM3DLib.engine.models.registry import known_models

    entry = known_models().find(name)
    if not entry.shipped:
        typer.echo(f"{entry.title}, licence {entry.licence}, from {entry.url}", err=True)
    path = _fetch_with_bar(entry, cache, allow_unverified)
    typer.echo(f"{name} is in {path}")


@group.command()
def remove(
    name: Annotated[str, typer.Argument(help="Name of a fetched model.")],
    cache: _Cache = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove a fetched model, its parts and what was converted from it.

    [bold]Example[/bold]

    memorizing-sam3d checkpoint remove sam-med3d-turbo
    """
    from MemorizingSAM3DLib.engine.models.download import remove as remove_model
    from MemorizingSAM3DLib.engine.models.registry import known_models

    entry = known_models().find(name)
    if not yes and not entry.shipped:
        typer.confirm(f"Remove {entry.title} from this computer?", abort=True)
    typer.echo(f"Removed {name}: {_megabytes(remove_model(entry, cache))} freed.")


@group.command("register", hidden=True)
def register_weights(
    name: Annotated[str, typer.Argument(help="Name of an entry of the registry.")],
    file: Annotated[Path, typer.Argument(help="The file that is shipped under this name.", exists=True)],
    registry: Annotated[
        Path | None,
        typer.Option(help="The registry file.", show_default="Resources/Models/registry.json"),
    ] = None,
) -> None:
    """For maintainers: write a shipped file's size and SHA-256 into the registry."""
    from MemorizingSAM3DLib.engine.files import resource_path
    from MemorizingSAM3DLib.engine.models.registry import record_facts

    facts = record_facts(registry or resource_path("Models", "registry.json"), name, file)
    typer.echo(f"{name}: {facts.size} bytes, SHA-256 {facts.sha256}")


@group.command()
def pack(
    run: Annotated[Path, typer.Argument(help="Folder of a finished training.")],
    out: Annotated[Path, typer.Argument(help="The file to write.")],
    rounding: Annotated[
        list[str] | None, typer.Option("--levels", help="BEGINNING=N: integers -N..N where names begin so.")
    ] = None,
    start: Annotated[
        str, typer.Option("--from", help="Of a train-memory run: the model that it began with.")
    ] = "native-v4",
    modalities: Annotated[
        list[str] | None,
        typer.Option("--modality", help="Of a train-memory run: scans that it is used in. Default: all."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an output that is there.")] = False,
) -> None:
    """For maintainers: a training's model in int8, with fewer levels where they do, so that git packs it smaller.

    Of a run of train-memory, its interaction memory.

    [bold]Example[/bold]

    memorizing-sam3d checkpoint pack runs/mine mine.safetensors --levels image_encoder.blocks=15 --levels =63
    """
    from MemorizingSAM3DLib.engine.interaction_memory.conditioning import (
        load_interaction_memory,
        save_interaction_memory,
    )
    from MemorizingSAM3DLib.engine.models.checkpoints import load, save_native
    from MemorizingSAM3DLib.engine.scans.outputs import check_output
    from MemorizingSAM3DLib.learning.training.trainer import STATE, averaged_network

    from .train_memory import MEMORY_FILE, trained_memory

    check_output(out, [run / STATE, run / MEMORY_FILE, run / "model.safetensors"], force, make_folder=True)
    levels = {}
    for text in rounding or []:
        beginning, _, number = text.rpartition("=")
        if not number.isdigit() or not 1 <= int(number) <= 127:
            raise typer.BadParameter(f"{text} is no BEGINNING=N with N of 1 to 127.", param_hint="--levels")
        levels[beginning] = int(number)
    if (run / MEMORY_FILE).exists():
        network = load(start).network
        facts = dict(load_interaction_memory(run / MEMORY_FILE, network).facts)
        memory = replace(trained_memory(run / STATE, facts), modalities=tuple(modalities or ()))
        save_interaction_memory(out, memory, network, "int8", levels)
    else:
        training = load(str(run / "model.safetensors")).training
        save_native(averaged_network(run / STATE)[0], out, training, "int8", levels)
    typer.echo(f"Wrote {out}.")


def _state(entry: ModelEntry, cached: CachedModel | None) -> str:
    if entry.shipped:
        return "shipped"
    if cached is None:
        return "not here"
    return "here" if cached.complete else "partly here"


def _fetch_with_bar(entry: ModelEntry, cache: Path | None, allow_unverified: bool) -> Path:
    from rich import progress

    from MemorizingSAM3DLib.engine.models.download import fetch

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(entry.title, total=entry.size)
        return fetch(entry, cache, lambda have, total: bar.update(task, completed=have, total=total), allow_unverified)


def _status(text: str) -> Any:
    return Console(stderr=True, highlight=False).status(text)


def _print_json(value: Any) -> None:
    import json

    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def _megabytes(size: int | None) -> str:
    return "?" if size is None else f"{size / 1e6:.1f} MB"
