"""``memorizing-sam3d demo``: the main job, headless, on a real scan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from .options import parse_point

if TYPE_CHECKING:
    from MemorizingSAM3DLib.scene.headless.demonstration import ClickReport


def register(app: typer.Typer) -> None:
    """Adds the command to the program."""
    app.command("demo")(demo)


def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", file_okay=False, help="Folder of the results; made if need be.")
    ] = Path("demo-output"),
    scan: Annotated[Path | None, typer.Option(help="Your own scan. Default: the MNI152 brain out of nilearn.")] = None,
    point: Annotated[
        list[str] | None, typer.Option("--point", "-p", help="With --scan: R,A,S in mm, ',-' behind it for a negative.")
    ] = None,
    clicks: Annotated[int, typer.Option(min=1, max=150, help="Points to place on the MNI152 brain.")] = 5,
    model: Annotated[str | None, typer.Option(help="A registered model or a file. Default: the shipped one.")] = None,
    device: Annotated[str, typer.Option(help="auto, cuda or cpu.")] = "auto",
    force: Annotated[bool, typer.Option("--force", help="Replace results that are there.")] = False,
) -> None:
    """Load a scan as a real volume node, place points as a user would, write segment, scene, picture and report.

    [bold]Examples[/bold]

    memorizing-sam3d demo

    memorizing-sam3d demo --scan ct.nii.gz --point 42,-18,105 --point 60,-10,98,-
    """
    import tempfile

    from rich.markup import escape
    from rich.table import Table

    from MemorizingSAM3DLib.engine.scans.outputs import check_folder, check_output
    from MemorizingSAM3DLib.scene.headless.demonstration import OUTPUT_FILES, Demonstration, writeDemoScan

    from ..engine.errors import OutputError
    from .options import load_predictor

    console = Console()
    if scan is not None and not point:
        raise typer.BadParameter("With --scan give at least one --point R,A,S inside the structure.")
    if scan is None and point:
        raise typer.BadParameter("--point belongs to a scan of your own: add --scan FILE.")
    points = [parse_point(text) for text in point or []]
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"The folder '{output}' cannot be made ({error.strerror}).", "Choose another one.") from error
    check_folder(output)
    for name in OUTPUT_FILES:
        check_output(output / name, [scan] if scan is not None else [], force)
    predictor = load_predictor(model, device, console)
    title = model or "shipped model"

    console.print(f"{'click':>5}  {'point (R, A, S mm)':<24}{'':3}{'Dice':>6}  {'ml':>8}  {'ms':>7}")

    def show(line: ClickReport) -> None:
        place = ", ".join(f"{value:.1f}" for value in line.ras)
        score = "     -" if line.dice is None else f"{line.dice:6.3f}"
        sign = "+" if line.positive else "-"
        console.print(
            f"{line.click:>5}  {place:<24}{sign:3}{score}  {line.millilitres:8.1f}  {line.milliseconds:7.0f}",
            highlight=False,
        )

    with tempfile.TemporaryDirectory() as temporary:
        if scan is None:
            path, truth = writeDemoScan(Path(temporary))
            demonstration = Demonstration(path, output, predictor, title)
            demonstration.correct(truth, clicks, show)
        else:
            demonstration = Demonstration(scan, output, predictor, title)
            for ras, positive in points:
                show(demonstration.place(ras, positive))
        with console.status("Writing the scene and the views"):
            files = demonstration.write()
    table = Table(box=None, show_header=False)
    for file in files:
        table.add_row("wrote", escape(str(file)), f"{file.stat().st_size / 1e6:.1f} MB")
    console.print(table)
