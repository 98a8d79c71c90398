"""``memorizing-sam3d train``: a native model from labelled scans and synthetic volumes, anew or from another model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from ..engine.networks.sam3d import NativeSAM3D

Schedule = Literal["cosine", "constant", "steps"]
OptimizerName = Literal["adamw", "muon"]
TrainingPrecision = Literal["auto", "float32", "bfloat16"]
_FRESH_RATE, _FINE_TUNING_RATE = 5e-4, 1e-4


def register(app: typer.Typer) -> None:
    """Adds the command to the program."""
    app.command("train")(train)


def train(
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder of the run. A run that is there is continued.")],
    manifest: Annotated[
        Path | None, typer.Option(help="manifest.json or a training pack. Without one, all volumes are synthetic.")
    ] = None,
    start: Annotated[
        str | None, typer.Option("--from", help="Begin with this model: a registered name or a native checkpoint.")
    ] = None,
    freeze_encoder: Annotated[bool, typer.Option("--freeze-encoder", help="Train prompts and decoder alone.")] = False,
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="Change the network: depth=12, image_size=64. Can be repeated.")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps of the whole schedule.")] = 6000,
    batch: Annotated[int, typer.Option(min=1, help="Crops a step, over all processes.")] = 2,
    learning_rate: Annotated[
        float | None, typer.Option(help="Peak of the cosine.", show_default="0.0005; 0.0001 with --from")
    ] = None,
    warm_up: Annotated[
        int | None, typer.Option(min=0, help="Steps of the warm-up.", show_default="200, at most a tenth")
    ] = None,
    schedule: Annotated[Schedule, typer.Option(help="Of the learning rate.")] = "cosine",
    optimizer: Annotated[OptimizerName, typer.Option(help="muon: matrices by Muon, the rest by AdamW.")] = "adamw",
    precision: Annotated[TrainingPrecision, typer.Option(help="auto: what the processor is fast in.")] = "auto",
    average: Annotated[float, typer.Option(min=0, max=1, help="Decay of the moving average of the weights.")] = 0.998,
    targets: Annotated[int, typer.Option(min=1, max=8, help="Structures a crop (networks with 8^3 tokens).")] = 2,
    clicks: Annotated[int, typer.Option(min=1, max=20, help="Prompts with a loss, a structure.")] = 2,
    skip_dropout: Annotated[
        float | None, typer.Option(min=0, max=1, help="Share decoded without the skip stem's features.")
    ] = None,
    token_loss: Annotated[
        float | None, typer.Option(min=0, max=10, help="Weight of a loss on the transformer's tokens alone.")
    ] = None,
    synthetic: Annotated[float, typer.Option(min=0, max=1, help="Share of scenes without a scan.")] = 0.22,
    supervoxels: Annotated[float, typer.Option(min=0, max=1, help="Share of crops with supervoxels alone.")] = 0.14,
    unlabelled: Annotated[Path | None, typer.Option(help="Folder of scans without labels, for supervoxels.")] = None,
    label_maps: Annotated[Path | None, typer.Option(help="Folder of label maps, for rendered scenes.")] = None,
    datasets: Annotated[str | None, typer.Option(help="Only these, separated by commas.")] = None,
    include_nc: Annotated[bool, typer.Option(help="Also datasets whose licence is not commercial.")] = False,
    seed: Annotated[int, typer.Option()] = 0,
    device: Annotated[str, typer.Option(help="auto, cuda or cpu.")] = "auto",
    crops: Annotated[str, typer.Option(help="Where crops are made: auto, device or workers.")] = "auto",
    workers: Annotated[int, typer.Option(min=0, help="Processes that prepare crops.")] = 1,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of PyTorch.", show_default="its own")] = None,
    minutes: Annotated[float | None, typer.Option(help="Stop after so many; the same command goes on.")] = None,
    cache: Annotated[Path | None, typer.Option(file_okay=False, help="Folder into which packs are expanded.")] = None,
    case_memory: Annotated[
        Path | None, typer.Option(help="After the last step, remember the training cases in this case memory.")
    ] = None,
    attention_layers: Annotated[
        str | None,
        typer.Option(help="There, keep keys and values of these encoder blocks, too: 4.", show_default="none"),
    ] = None,
) -> None:
    """Train the native network and write OUT/model.safetensors.

    The run can be stopped at any time (Ctrl-C, --minutes) and continued by the same command; it goes on at the step it
    had saved. Several GPUs or machines: torchrun --nproc-per-node 2 -m MemorizingSAM3DLib.cli train ...

    [bold]Examples[/bold]

    memorizing-sam3d train --manifest data/manifest.json --out runs/first --steps 2000

    memorizing-sam3d train --from native-v4 --freeze-encoder --manifest mine/manifest.json --out runs/mine --steps 300
    """
    import torch

    from MemorizingSAM3DLib.engine.session.remember_case import case_layout
    from MemorizingSAM3DLib.learning.training.trainer import TrainingOptions

    from .memory import build
    from .options import layers_of
    from .training_run import (
        Data,
        Prompting,
        Run,
        check_crops,
        joined_processes,
        load_training_cases,
        objective_and_source,
        progress_of,
        run_training,
    )

    check_crops(crops)
    if attention_layers is not None and case_memory is None:
        raise typer.BadParameter("--attention-layers needs it.", param_hint="--case-memory")
    if case_memory is not None and case_memory.exists() and not freeze_encoder and not (out / "state.pt").exists():
        raise typer.BadParameter(f"{case_memory} is there already, for another model.", param_hint="--case-memory")
    if case_memory is not None and manifest is None:
        raise typer.BadParameter("--case-memory needs it: there is nothing to remember.", param_hint="--manifest")
    data = Data(
        manifest, datasets.split(",") if datasets else None, include_nc, synthetic, crops, workers, cache, seed,
        supervoxels=supervoxels, unlabelled=unlabelled, label_maps=label_maps,
    )  # fmt: skip
    torch.manual_seed(seed)
    network, origin = _network(start, changes or [])
    case_layout(network.config, layers_of(attention_layers))  # refuses blocks without attention, before hours
    if freeze_encoder:
        network.image_encoder.requires_grad_(False)
    options = TrainingOptions(
        steps=steps,
        batch=batch,
        learning_rate=learning_rate or (_FINE_TUNING_RATE if start else _FRESH_RATE),
        warm_up=min(200, steps // 10) if warm_up is None else warm_up,
        ema=average,
        schedule=schedule,
        optimizer=optimizer,
        precision=precision,
    )
    with joined_processes(device, threads) as (processes, console), progress_of(console) as progress:
        cases = load_training_cases(data, processes, progress)
        network.to(processes.device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        prompting = Prompting(clicks, targets, skip_dropout, token_loss)
        objective, source = objective_and_source(network, data, cases, prompting, batch, processes)
        facts = {"from": origin, "encoder_frozen": freeze_encoder, "datasets": sorted({c.dataset for c in cases}),
                 "cases": len(cases), "synthetic_share": synthetic if cases else 1.0, "seed": seed,
                 **objective.facts}  # fmt: skip
        finished = run_training(objective, source, options, Run(out, processes, console, progress, minutes, facts))
    if case_memory is not None and manifest is not None and finished and processes.first:
        # Keys, values and descriptors of an encoder that was still being trained would not be those of the one that is
        # left.
        build(
            case_memory, manifest, split="train", datasets=datasets, structures=None, cases=None, seed=seed,
            minimum_ml=1.0, include_nc=include_nc, model=str(out / "model.safetensors"), device=device, workers=1,
            attention_layers=attention_layers,
        )  # fmt: skip


def _network(start: str | None, changes: list[str]) -> tuple[NativeSAM3D, dict[str, Any] | None]:
    """The network to begin with, in training mode, and what it came from."""
    from MemorizingSAM3DLib.learning.training.changed_networks import for_other_crops

    from ..engine.networks.config import shipped_config
    from ..engine.networks.sam3d import NativeSAM3D
    from .options import changed_config
    from .training_run import native_start

    if start is None:
        return NativeSAM3D(changed_config(shipped_config(), changes)), None
    network, origin = native_start(start)
    if not changes:
        return network, origin
    return for_other_crops(network, changed_config(network.config, changes)), origin
