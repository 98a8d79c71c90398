"""``memorizing-sam3d data``: manifests made from folders, and training packs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

group = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")
_SHOWN = 5  # faults and files without a partner


def register(app: typer.Typer) -> None:
    """Adds the group to the program."""
    app.add_typer(group, name="data", help="Prepare labelled scans for training and evaluation.")


@group.callback()
def _group() -> None:
    """Prepare labelled scans for training and evaluation."""


@group.command()
def manifest(
    folder: Annotated[Path, typer.Argument(help="Images with label maps: nnU-Net's layout, or pairs by name.")],
    out: Annotated[Path, typer.Option(help="The manifest to write, JSON.")],
    licence: Annotated[
        str, typer.Option(help="Of the data. What says NC or non-commercial is left out by train.")
    ] = "unknown",
    dataset: Annotated[str | None, typer.Option(help="Name of the dataset.", show_default="the folder's")] = None,
    modality: Annotated[
        str | None, typer.Option(help="CT, MR, PET, ...", show_default="what dataset.json says, else a guess")
    ] = None,
    label: Annotated[list[str] | None, typer.Option(help="Name a label: 1=liver. Can be repeated.")] = None,
    channel: Annotated[int, typer.Option(min=0, help="Of nnU-Net's images with several channels.")] = 0,
    val_share: Annotated[float, typer.Option(min=0, max=1, help="Share of the cases kept for validation.")] = 0.2,
    seed: Annotated[int, typer.Option(help="Of the split.")] = 0,
    skip_faulty: Annotated[bool, typer.Option("--skip-faulty", help="Leave out cases that cannot be used.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an output that is there.")] = False,
) -> None:
    """List the cases of a folder in a manifest, with their labels, modality, licence and split.

    Every file is read: grids that differ, labels without voxels and files that cannot be read are told.

    [bold]Example[/bold]

    memorizing-sam3d data manifest nnUNet_raw/Dataset009_Spleen --licence "CC BY-SA 4.0" --out spleen.json
    """
    from MemorizingSAM3DLib.engine.scans.outputs import check_output
    from MemorizingSAM3DLib.learning.data.make_manifest import (
        ManifestOptions,
        make_manifest,
        read_folder,
        write_manifest,
    )
    from MemorizingSAM3DLib.learning.data.manifest import DataError

    from .training_run import progress_of

    console = Console(highlight=False, soft_wrap=True)
    options = ManifestOptions(licence, dataset, modality, _names(label or []), val_share, seed)
    found = read_folder(folder, channel)
    files = [path for pair in found.pairs for path in (pair.image, pair.label)]
    check_output(out, files, force, make_folder=True)
    with progress_of(console) as progress:
        task = progress.add_task("Reading cases", total=len(found.pairs))
        entries, faults = make_manifest(found, out, options, lambda done, _: progress.update(task, completed=done))
    for fault in faults[:_SHOWN]:
        console.print(f"{fault.problem} {fault.remedy}", markup=False)
    if faults and (not skip_faulty or not entries):
        more = f" (the first {_SHOWN} are above)" if len(faults) > _SHOWN else ""
        raise DataError(
            f"{len(faults)} of {len(found.pairs)} cases cannot be used{more}.", "Mend them, or give --skip-faulty."
        )
    write_manifest(out, entries)
    if found.left_out:
        names = ", ".join(path.name for path in found.left_out[:_SHOWN])
        more = f" and {len(found.left_out) - _SHOWN} more" if len(found.left_out) > _SHOWN else ""
        console.print(f"Left out, without a partner: {names}{more}.", markup=False)
    counts = {split: sum(e["split"] == split for e in entries) for split in ("train", "val", "test")}
    told = ", ".join(f"{count} {split}" for split, count in counts.items() if count)
    console.print(f"Wrote {out}: {told}; {', '.join(sorted({e['modality'] for e in entries}))}.", markup=False)


@group.command()
def pack(
    manifest: Annotated[Path, typer.Option(help="manifest.json beside the cases.")],
    out: Annotated[Path, typer.Option(help="The pack to write.")],
    split: Annotated[str, typer.Option(help="train, val, or both separated by a comma.")] = "train",
    datasets: Annotated[str | None, typer.Option(help="Only these, separated by commas.")] = None,
    include_nc: Annotated[bool, typer.Option(help="Also datasets whose licence is not commercial.")] = False,
    noise_steps: Annotated[
        float, typer.Option(min=0.1, max=8, help="Size of an intensity step, in deviations of the scan's noise.")
    ] = 1.0,
    force: Annotated[bool, typer.Option("--force", help="Replace an output that is there.")] = False,
) -> None:
    """Pack cases into one small file that train takes in place of a manifest, for a machine elsewhere.

    Scans are cropped to the body; intensities take a byte in steps about as large as their noise.

    [bold]Example[/bold]

    memorizing-sam3d data pack --manifest data/manifest.json --out train.pack
    """
    from MemorizingSAM3DLib.engine.scans.outputs import check_output
    from MemorizingSAM3DLib.learning.data.manifest import DataError, image_and_label, read_manifest, select
    from MemorizingSAM3DLib.learning.data.pack import write_pack

    from .training_run import progress_of

    console = Console(highlight=False, soft_wrap=True)
    wanted = datasets.split(",") if datasets else None
    listed = read_manifest(manifest)
    entries = [e for name in split.split(",") for e in select(listed, name, wanted, permissive_only=not include_nc)]
    if not entries:
        raise DataError(f"No case of {manifest} matches.", "Check --split, --datasets and --include-nc.")
    files = [path for entry in entries for path in image_and_label(manifest.parent, entry)]
    check_output(out, [manifest, *files], force, make_folder=True)
    with progress_of(console) as progress:
        task = progress.add_task("Packing", total=len(entries))
        write_pack(
            manifest.parent, entries, out, noise_steps, lambda done, _: progress.update(task, completed=done)
        )  # fmt: skip
    console.print(f"Wrote {out}: {len(entries)} cases, {out.stat().st_size / 1e6:.1f} MB.", markup=False)


def _names(labels: list[str]) -> dict[int, str]:
    names = {}
    for text in labels:
        value, equals, name = text.partition("=")
        if not (equals and name and value.isdecimal()):
            raise typer.BadParameter(f"{text} is not like 1=liver.", param_hint="--label")
        names[int(value)] = name
    return names
