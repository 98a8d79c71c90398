"""``memorizing-sam3d distill``: a student with half the blocks of a teacher, layer by layer and then logit by logit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Adds the command to the program."""
    app.command("distill")(distill)


def distill(
    teacher: Annotated[str, typer.Option(help="A registered model, a native checkpoint or a published .pth.")],
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder of the run. A run that is there is continued.")],
    manifest: Annotated[
        Path | None, typer.Option(help="manifest.json or a training pack. Without one, all volumes are synthetic.")
    ] = None,
    layer_steps: Annotated[int, typer.Option(min=1, help="Steps of the first stage, layer by layer.")] = 3000,
    logit_steps: Annotated[int, typer.Option(min=0, help="Steps of the second stage, on logits.")] = 3000,
    batch: Annotated[int, typer.Option(min=1, help="Crops a step, over all processes.")] = 2,
    learning_rate: Annotated[float, typer.Option(help="Peak of the cosine over both stages.")] = 5e-4,
    clicks: Annotated[int, typer.Option(min=1, max=20, help="Clicks a crop in the second stage.")] = 3,
    synthetic: Annotated[float, typer.Option(min=0, max=1, help="Share of synthetic volumes.")] = 0.3,
    datasets: Annotated[str | None, typer.Option(help="Only these, separated by commas.")] = None,
    include_nc: Annotated[bool, typer.Option(help="Also datasets whose licence is not commercial.")] = False,
    seed: Annotated[int, typer.Option()] = 0,
    device: Annotated[str, typer.Option(help="auto, cuda or cpu.")] = "auto",
    crops: Annotated[str, typer.Option(help="Where crops are made: auto, device or workers.")] = "auto",
    workers: Annotated[int, typer.Option(min=0, help="Processes that prepare crops.")] = 1,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of PyTorch.", show_default="its own")] = None,
    minutes: Annotated[float | None, typer.Option(help="Stop after so many; the same command goes on.")] = None,
    cache: Annotated[Path | None, typer.Option(file_okay=False, help="Folder into which packs are expanded.")] = None,
) -> None:
    """Distil a teacher of 12 blocks to a student of 6 (any even depth works) and write OUT/model.safetensors.

    Block 2i teaches block i, progressively, as in FastSAM3D; then the logits are taught, click by click. A native
    teacher is trained with memorizing-sam3d train --set depth=12. Stopping and going on are as in train.

    [bold]Example[/bold]

    memorizing-sam3d distill --teacher runs/teacher/model.safetensors --manifest data/manifest.json --out runs/student
    """
    import torch

    from MemorizingSAM3DLib.engine.models.checkpoints import load
    from MemorizingSAM3DLib.learning.training.distillation import DistillationObjective, DistillationOptions, student_of
    from MemorizingSAM3DLib.learning.training.trainer import TrainingOptions

    from .training_run import (
        Data,
        Run,
        batch_source,
        check_crops,
        joined_processes,
        load_training_cases,
        progress_of,
        run_training,
    )

    check_crops(crops)
    data = Data(
        manifest, datasets.split(",") if datasets else None, include_nc, synthetic, crops, workers, cache, seed
    )  # fmt: skip
    checkpoint = load(teacher)
    torch.manual_seed(seed)
    student = student_of(checkpoint.network)
    steps = layer_steps + logit_steps
    options = TrainingOptions(steps=steps, batch=batch, learning_rate=learning_rate, warm_up=min(200, steps // 10))
    with joined_processes(device, threads) as (processes, console), progress_of(console) as progress:
        cases = load_training_cases(data, processes, progress)
        for network in (student, checkpoint.network):
            network.to(processes.device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        stages = DistillationOptions(layer_steps, logit_steps, clicks, processes.device.type == "cuda")
        facts = {
            "teacher": {"file": checkpoint.path.name, "sha256": checkpoint.sha256, "training": checkpoint.training},
            "layer_steps": layer_steps, "logit_steps": logit_steps, "datasets": sorted({c.dataset for c in cases}),
            "cases": len(cases), "synthetic_share": synthetic if cases else 1.0, "seed": seed,
        }  # fmt: skip
        source = batch_source(data, cases, student.config, batch, processes)
        objective = DistillationObjective(checkpoint.network, student, stages, seed)
        run_training(objective, source, options, Run(out, processes, console, progress, minutes, facts))
