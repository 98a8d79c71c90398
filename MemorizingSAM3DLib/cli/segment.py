"""``memorizing-sam3d segment``: a scan and points in, a segmentation out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from .options import parse_point, ras_of_voxel
from .scan_options import FormChoice, Modality, SeriesChoice, VolumeChoice, open_scan


def register(app: typer.Typer) -> None:
    """Adds the command to the program."""
    app.command("segment")(segment)


def segment(
    scan: Annotated[Path, typer.Argument(help="NIfTI, NRRD, MetaImage, MGH, a DICOM folder, file or DICOMDIR.")],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help=".seg.nrrd for Slicer, a label map .nii.gz, or .dcm (DICOM segmentation)."),
    ],
    point: Annotated[
        list[str] | None,
        typer.Option("--point", "-p", help="R,A,S in mm; ',-' behind it makes it negative. Repeat it for more points."),
    ] = None,
    case_memory: Annotated[Path | None, typer.Option(help="Remembered cases take part in the first point.")] = None,
    propose: Annotated[
        str | None, typer.Option(help="Begin where this structure of the case memory is recognised, without a point.")
    ] = None,
    ijk: Annotated[
        bool,
        typer.Option(
            "--ijk", help="Points are voxel numbers I,J,K from 0, as Slicer from 5.8 and the file count them."
        ),
    ] = False,
    model: Annotated[str | None, typer.Option(help="A registered model or a file. Default: the shipped one.")] = None,
    device: Annotated[str, typer.Option(help="auto, cuda or cpu.")] = "auto",
    modality: Modality = None,
    series: SeriesChoice = None,
    volume: VolumeChoice = None,
    form: FormChoice = None,
    name: Annotated[str, typer.Option(help="Name of the segment.")] = "Segment",
    force: Annotated[bool, typer.Option("--force", help="Replace an output that is there.")] = False,
) -> None:
    """Segment the structure under one or more points.

    [bold]Examples[/bold]

    memorizing-sam3d segment ct.nii.gz --point 42,-18,105 --output liver.seg.nrrd

    memorizing-sam3d segment mr.nrrd -p 10,22,31 -p 14,40,31,- -o tumour.nii.gz

    memorizing-sam3d segment dicom_folder -p 42,-18,105 --name liver -o liver.dcm

    memorizing-sam3d segment ct.nii.gz --case-memory my_memory --propose liver --output liver.seg.nrrd

    A point is in RAS millimetres, as Slicer shows it. The points count in the order given, as clicks do. A folder with
    several DICOM series is answered with their list; choose one with --series.
    """
    from rich.markup import escape
    from rich.progress import Progress

    from MemorizingSAM3DLib.engine.scans.dicom_seg import check_dicom_seg
    from MemorizingSAM3DLib.engine.scans.mask_files import check_mask_file, write_mask
    from MemorizingSAM3DLib.engine.scans.outputs import refuse_inputs
    from MemorizingSAM3DLib.engine.session.remember_case import open_case_retrieval
    from MemorizingSAM3DLib.engine.session.session import InteractiveSession

    from ..engine.errors import EngineError
    from ..engine.prompts import Click
    from .options import load_predictor

    console = Console(stderr=True)
    points = [parse_point(text) for text in point or ()]
    if not points and propose is None:
        raise typer.BadParameter("Give at least one.", param_hint="--point")
    if propose is not None and case_memory is None:
        raise typer.BadParameter("--propose needs it.", param_hint="--case-memory")
    check_mask_file(output, [scan, *([case_memory] if case_memory else [])], replace=force)
    opened = open_scan(scan, console, modality, series, volume, form)
    refuse_inputs(output, opened.source.dicom_files)
    if output.name.lower().endswith(".dcm"):
        check_dicom_seg(opened)
    clicks = [Click(ras_of_voxel(opened, place) if ijk else place, positive) for place, positive in points]
    for click in clicks:
        opened.nearest_voxel(click.ras)  # a point outside is said before anything is computed
    predictor = load_predictor(model, device, console)
    if case_memory is not None:
        predictor.case_retrieval = open_case_retrieval(case_memory, predictor.network)
    session = InteractiveSession(predictor)
    session.set_image(opened)
    if propose is not None:
        with Progress(console=console, transient=True) as progress:
            looking = progress.add_task(f"Looking for {escape(propose)}", total=1.0)
            found = session.propose(propose, lambda part: progress.update(looking, completed=part))
        if found is None:
            raise EngineError(f"'{propose}' was not recognised in this scan.", "Give a --point inside it.")
        place = ",".join(f"{value:.1f}" for value in found.ras)
        told = f"'{found.structure}' was recognised at {place} (probability {found.probability:.2f})."
        console.print(told, markup=False)
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("Segmenting", total=len(clicks))
        for click in clicks:
            session.add_click(click)
            progress.advance(task)
    write_mask(session.mask, opened, output, name)
    millilitres = session.mask.sum() * opened.voxel_mm3 / 1000
    told = f"{output}: {session.mask.sum()} voxels, {millilitres:.3g} ml, {len(session.clicks)} points."
    console.print(told, markup=False, soft_wrap=True)
