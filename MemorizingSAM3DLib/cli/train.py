"""``memorizing-sam3d train``: a native model from labelled scans and synthetic volumes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console


def register(app: typer.Typer) -> None:
    """Adds the command to the program."""
    app.command("train")(train)


def train(
    manifest: Annotated[Path, typer.Option(help="manifest.json beside the cases.")],
    out: Annotated[Path, typer.Option(help="Folder of the run. A run that is there is continued.")],
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps of the whole schedule.")] = 6000,
    batch: Annotated[int, typer.Option(min=1, help="Crops a step.")] = 2,
    learning_rate: Annotated[float, typer.Option(help="Peak of the cosine.")] = 5e-4,
    synthetic: Annotated[float, typer.Option(min=0, max=1, help="Share of synthetic volumes.")] = 0.3,
    seed: Annotated[int, typer.Option()] = 0,
    workers: Annotated[int, typer.Option(min=0, help="Processes that prepare crops.")] = 1,
    include_nc: Annotated[bool, typer.Option(help="Also datasets whose licence is not commercial.")] = False,
) -> None:
    """Train the native network and write OUT/model.safetensors.

    The run can be stopped at any time and continued by the same command; it goes on at the step it had saved.

    [bold]Example[/bold]

    memorizing-sam3d train --manifest data/manifest.json --out runs/first --steps 2000
    """
    import torch
    from rich import progress as progress_bars

    from ..engine.checkpoints import save_native
    from ..engine.mask_files import check_folder
    from ..engine.networks.config import native_config
    from ..engine.networks.sam3d import NativeSAM3D
    from ..learning.cases import DataError, load_cases, read_manifest, select
    from ..learning.sampling import SampleStream
    from ..learning.training import Trainer, TrainingOptions, averaged_network

    console = Console()
    entries = select(read_manifest(manifest), "train", permissive_only=not include_nc)
    if not entries and synthetic < 1:
        raise DataError(f"{manifest} has no training case.", "Check its splits, or train on --synthetic 1 alone.")
    out.mkdir(parents=True, exist_ok=True)
    check_folder(out)
    text = progress_bars.TextColumn("{task.description}")
    counted = (progress_bars.BarColumn(), progress_bars.MofNCompleteColumn())
    timed = (progress_bars.TimeElapsedColumn(), progress_bars.TimeRemainingColumn())
    with progress_bars.Progress(text, *counted, *timed, console=console) as progress:
        reading = progress.add_task("Reading cases", total=len(entries))
        cases = load_cases(manifest, entries, lambda done, _: progress.update(reading, completed=done))
        torch.manual_seed(seed)
        network = NativeSAM3D(native_config())
        network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        options = TrainingOptions(steps=steps, batch=batch, learning_rate=learning_rate, seed=seed)
        trainer = Trainer(network, SampleStream(cases, seed, synthetic), out, options)
        task = progress.add_task("Training", total=steps, completed=trainer.step)

        def show(step: int, figures: dict[str, float]) -> None:
            words = f"Training  loss {figures['loss']:.3f}  Dice {figures['dice_last']:.3f}"
            progress.update(task, completed=step, description=words)

        trainer.run(show, workers)
    network, done, seconds = averaged_network(out / "state.pt")
    datasets = sorted({case.dataset for case in cases})
    facts = {"steps": done, "batch": batch, "hours": round(seconds / 3600, 2), "datasets": datasets,
             "synthetic_share": synthetic, "seed": seed}  # fmt: skip
    save_native(network, out / "model.safetensors", facts, "int8")
    console.print(f"Wrote {out / 'model.safetensors'} after {done} steps and {seconds / 3600:.2f} hours of computing.")
