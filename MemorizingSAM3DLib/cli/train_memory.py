"""``memorizing-sam3d train-memory``: the memory of past interactions (MAIS), for a native model."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from torch import nn

    from MemorizingSAM3DLib.engine.interaction_memory.conditioning import InteractionMemory
    from MemorizingSAM3DLib.engine.networks.memory_attention import MemoryAttention

    from ..engine.networks.sam3d import NativeSAM3D

MEMORY_FILE = "interaction_memory.safetensors"
_KINDS = ("both", "sparse", "dense")


def register(app: typer.Typer) -> None:
    """Adds the command to the program."""
    app.command("train-memory")(train_memory)


def train_memory(
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder of the run. A run that is there is continued.")],
    manifest: Annotated[
        Path | None, typer.Option(help="manifest.json or a training pack. Without one, all volumes are synthetic.")
    ] = None,
    start: Annotated[str, typer.Option("--from", help="A registered native model or its checkpoint.")] = "native-v4",
    datasets: Annotated[str | None, typer.Option(help="Only these, separated by commas.")] = None,
    cases: Annotated[str | None, typer.Option(help="So many cases of each dataset: 3, or 10%.")] = None,
    without_memory: Annotated[
        bool, typer.Option("--without-memory", help="Train the same without memory, to compare with.")
    ] = False,
    kinds: Annotated[
        str, typer.Option("--memory-types", help="Memories of clicks (sparse), of masks (dense), or both.")
    ] = "both",
    bank_size: Annotated[int, typer.Option(min=1, max=256, help="Memories that are kept, the newest ones.")] = 60,
    window: Annotated[int, typer.Option(min=1, max=20, help="Clicks with a loss, a crop.")] = 4,
    stay: Annotated[
        int,
        typer.Option(
            "--updates-per-batch", min=1, max=50, help="Steps in a row, a window each, that go on with the same crops."
        ),
    ] = 1,
    longest: Annotated[int, typer.Option(min=2, max=500, help="The last click that is trained.")] = 150,
    freeze_decoder: Annotated[bool, typer.Option("--freeze-decoder", help="Train the memory attention alone.")] = False,
    freeze_transformer: Annotated[
        bool, typer.Option("--freeze-transformer", help="Of the decoder, tune the upscaling alone: a smaller file.")
    ] = False,
    from_first_click: Annotated[
        bool, typer.Option("--from-first-click", help="First clicks, too, are decoded by the tuned decoder.")
    ] = False,
    bare: Annotated[
        bool,
        typer.Option(
            "--without-session", help="The mask that goes on is the network's own, without a session's rules."
        ),
    ] = False,
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps of the whole schedule.")] = 1000,
    batch: Annotated[int, typer.Option(min=1, help="Crops a step, over all processes.")] = 1,
    learning_rate: Annotated[
        float, typer.Option(help="Of prompt encoder and decoder; the memory attention takes ten times as much.")
    ] = 8e-5,
    warm_up: Annotated[
        int | None, typer.Option(min=0, help="Steps of the warm-up.", show_default="100, at most a twentieth")
    ] = None,
    synthetic: Annotated[float, typer.Option(min=0, max=1, help="Share of synthetic volumes.")] = 0.0,
    include_nc: Annotated[bool, typer.Option(help="Also datasets whose licence is not commercial.")] = False,
    seed: Annotated[int, typer.Option()] = 0,
    device: Annotated[str, typer.Option(help="auto, cuda or cpu.")] = "auto",
    crops: Annotated[str, typer.Option(help="Where crops are made: auto, device or workers.")] = "auto",
    workers: Annotated[int, typer.Option(min=0, help="Processes that prepare crops.")] = 1,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of PyTorch.", show_default="its own")] = None,
    minutes: Annotated[float | None, typer.Option(help="Stop after so many; the same command goes on.")] = None,
    cache: Annotated[Path | None, typer.Option(file_okay=False, help="Folder into which packs are expanded.")] = None,
) -> None:
    """Train the memory of past clicks and masks and write OUT/interaction_memory.safetensors.

    The encoder stays as it is; prompt encoder and decoder are tuned along, unless they are frozen. Sequences of up to
    --longest clicks are trained by windows of --window clicks. A first click stays that of the model, bit by bit,
    unless --from-first-click. With --without-memory the same is done without memory, and OUT/model.safetensors is
    written. One to thirty cases of your own adapt it to them. Stopping, going on and several processes are as in train.

    [bold]Examples[/bold]

    memorizing-sam3d train-memory --manifest data/manifest.json --out runs/memory --steps 1000

    memorizing-sam3d train-memory --manifest mine/manifest.json --cases 1 --out runs/mine --steps 100 --freeze-decoder
    """
    import torch

    from MemorizingSAM3DLib.learning.data.batches import RepeatedBatches
    from MemorizingSAM3DLib.learning.training.changed_networks import SAM3DWithMemory
    from MemorizingSAM3DLib.learning.training.interaction_memory import MemoryObjective, MemoryOptions
    from MemorizingSAM3DLib.learning.training.trainer import TrainingOptions

    from .training_run import (
        Data,
        Run,
        batch_source,
        check_crops,
        joined_processes,
        load_training_cases,
        native_start,
        progress_of,
        run_training,
    )

    check_crops(crops)
    _check(kinds, without_memory, freeze_decoder, window * stay, longest)
    data = Data(
        manifest, datasets.split(",") if datasets else None, include_nc, synthetic, crops, workers, cache, seed, cases
    )  # fmt: skip
    sam3d, origin = native_start(start)
    sam3d.image_encoder.requires_grad_(False)
    if freeze_decoder:
        sam3d.requires_grad_(False)
    if freeze_transformer:
        sam3d.mask_decoder.transformer.requires_grad_(False)
    torch.manual_seed(seed)
    network = SAM3DWithMemory(sam3d, None if without_memory else _attention(sam3d, kinds, bank_size))
    options = TrainingOptions(
        steps=steps, batch=batch, learning_rate=learning_rate, schedule="steps",
        warm_up=min(100, steps // 20) if warm_up is None else warm_up,
    )  # fmt: skip
    with joined_processes(device, threads) as (processes, console), progress_of(console) as progress:
        chosen = load_training_cases(data, processes, progress)
        network.to(processes.device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        on_gpu = processes.device.type == "cuda"
        clicked = MemoryOptions(
            bank_size=bank_size, window=window, longest=longest, from_first_click=from_first_click, stay=stay,
            as_session=not (on_gpu or bare), on_device=on_gpu,
        )  # fmt: skip
        facts = {
            "from": origin, "memory": None if without_memory else kinds, "bank_size": bank_size, "window": window,
            "longest": longest, "stay": stay, "decoder_frozen": freeze_decoder,
            "transformer_frozen": freeze_transformer, "from_first_click": from_first_click or without_memory,
            "datasets": sorted({c.dataset for c in chosen}), "cases": len(chosen),
            "synthetic_share": synthetic if chosen else 1.0, "seed": seed,
        }  # fmt: skip
        source = RepeatedBatches(batch_source(data, chosen, sam3d.config, batch, processes), stay)
        objective = MemoryObjective(network, clicked, seed)
        write = _write_model if without_memory else partial(_write_memory, start)
        run_training(objective, source, options, Run(out, processes, console, progress, minutes, facts), write)


def _check(kinds: str, without_memory: bool, freeze_decoder: bool, clicks: int, longest: int) -> None:
    if kinds not in _KINDS:
        raise typer.BadParameter(f"{kinds} is none of {', '.join(_KINDS)}.", param_hint="--memory-types")
    if without_memory and freeze_decoder:
        raise typer.BadParameter("With --without-memory nothing is left to train.", param_hint="--freeze-decoder")
    if clicks > longest:
        raise typer.BadParameter("Times --updates-per-batch, it is at most --longest.", param_hint="--window")


def _attention(sam3d: NativeSAM3D, kinds: str, bank_size: int) -> MemoryAttention:
    from MemorizingSAM3DLib.engine.networks.memory_attention import InteractionConfig
    from MemorizingSAM3DLib.learning.training.changed_networks import TrainableMemoryAttention

    config = sam3d.config
    return TrainableMemoryAttention(
        InteractionConfig(config.embedding_channels, config.grid, capacity=bank_size, kinds=kinds)  # type: ignore[arg-type]
    )


def _write_memory(start: str, state: Path, facts: dict[str, Any], folder: Path) -> Path:
    from MemorizingSAM3DLib.engine.interaction_memory.conditioning import save_interaction_memory

    from .training_run import native_start

    path = folder / MEMORY_FILE
    # Bound to the network that was begun with: that is the one it will be given to.
    save_interaction_memory(path, trained_memory(state, facts), native_start(start)[0])
    return path


def trained_memory(state: Path, facts: dict[str, Any]) -> InteractionMemory:
    """The averaged memory attention of a state, and the prompt encoder and the decoder if they were tuned along."""
    from MemorizingSAM3DLib.engine.interaction_memory.conditioning import InteractionMemory
    from MemorizingSAM3DLib.learning.training.trainer import averaged_with_memory

    network = averaged_with_memory(state)
    assert network.attention is not None
    parts: tuple[nn.Module, ...] = (network.sam3d.prompt_encoder, network.sam3d.mask_decoder)
    prompts, decoder = (None, None) if facts["decoder_frozen"] else (part.state_dict() for part in parts)
    return InteractionMemory(network.attention, prompts, decoder, facts, facts["from_first_click"])


def _write_model(state: Path, facts: dict[str, Any], folder: Path) -> Path:
    """The averaged network that was trained without memory; float32, so that its encoder stays what it was."""
    from MemorizingSAM3DLib.engine.models.checkpoints import save_native
    from MemorizingSAM3DLib.learning.training.trainer import averaged_with_memory

    path = folder / "model.safetensors"
    save_native(averaged_with_memory(state).sam3d, path, facts, "float32")
    return path
