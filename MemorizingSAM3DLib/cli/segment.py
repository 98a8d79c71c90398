"""``memorizing-sam3d segment``: a scan and points in, a segmentation out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from .points import parse_point


def register(app: typer.Typer) -> None:
    """Adds the command to the program."""
    app.command("segment")(segment)


def segment(
    scan: Annotated[Path, typer.Argument(help="NIfTI, NRRD, MetaImage, or a folder with one DICOM series.")],
    output: Annotated[Path, typer.Option("--output", "-o", help=".seg.nrrd for Slicer, or a label map .nii.gz.")],
    point: Annotated[
        list[str] | None,
        typer.Option("--point", "-p", help="R,A,S in mm; ',-' behind it makes it negative. Repeat it for more points."),
    ] = None,
    case_memory: Annotated[Path | None, typer.Option(help="Remembered cases take part in the first point.")] = None,
    propose: Annotated[
        str | None, typer.Option(help="Begin where this structure of the case memory is recognised, without a point.")
    ] = None,
    ijk: Annotated[bool, typer.Option("--ijk", help="Points are voxel numbers I,J,K instead.")] = False,
    model: Annotated[str | None, typer.Option(help="A registered model or a file. Default: the shipped one.")] = None,
    device: Annotated[str, typer.Option(help="auto, cuda or cpu.")] = "auto",
    modality: Annotated[str | None, typer.Option(help="CT, MR, ... when the file does not say it.")] = None,
    name: Annotated[str, typer.Option(help="Name of the segment.")] = "Segment",
) -> None:
    """Segment the structure under one or more points.

    [bold]Examples[/bold]

    memorizing-sam3d segment ct.nii.gz --point 42,-18,105 --output liver.seg.nrrd

    memorizing-sam3d segment mr.nrrd -p 10,22,31 -p 14,40,31,- -o tumour.nii.gz

    memorizing-sam3d segment ct.nii.gz --case-memory my_memory --propose liver --output liver.seg.nrrd

    A point is in RAS millimetres, as Slicer shows it. The points count in the order given, as clicks do.
    """
    from rich.progress import Progress

    from ..engine.errors import EngineError
    from ..engine.geometry import Volume
    from ..engine.mask_files import check_mask_file, write_mask
    from ..engine.prompts import Click
    from ..engine.recall.opening import open_case_recall
    from ..engine.session import InteractiveSession
    from .predictors import load_predictor

    console = Console(stderr=True)
    points = [parse_point(text) for text in point or ()]
    if not points and propose is None:
        raise typer.BadParameter("Give at least one.", param_hint="--point")
    if propose is not None and case_memory is None:
        raise typer.BadParameter("--propose needs it.", param_hint="--case-memory")
    check_mask_file(output)
    volume = Volume.from_file(scan, modality)
    clicks = [
        Click(_ras(volume.ijk_to_ras_points(place)) if ijk else place, positive) for place, positive in points
    ]  # fmt: skip
    for click in clicks:
        volume.nearest_voxel(click.ras)  # a point outside is said before anything is computed
    predictor = load_predictor(model, device, console)
    if case_memory is not None:
        predictor.case_recall = open_case_recall(case_memory, predictor.network)
    session = InteractiveSession(predictor)
    session.set_image(volume)
    if propose is not None:
        with Progress(console=console, transient=True) as progress:
            looking = progress.add_task(f"Looking for {propose}", total=1.0)
            found = session.propose(propose, lambda part: progress.update(looking, completed=part))
        if found is None:
            raise EngineError(f"'{propose}' was not recognised in this scan.", "Give a --point inside it.")
        place = ",".join(f"{value:.1f}" for value in found.ras)
        console.print(f"'{found.structure}' was recognised at {place} (probability {found.probability:.2f}).")
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("Segmenting", total=len(clicks))
        for click in clicks:
            session.add_click(click)
            progress.advance(task)
    write_mask(session.mask, volume, output, name)
    millilitres = session.mask.sum() * volume.voxel_mm3 / 1000
    console.print(f"{output}: {session.mask.sum()} voxels, {millilitres:.1f} ml, {len(session.clicks)} points.")


def _ras(values: object) -> tuple[float, float, float]:
    r, a, s = (float(value) for value in values)  # type: ignore[attr-defined]
    return r, a, s
