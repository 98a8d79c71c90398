"""``memorizing-sam3d train-gates``: how much each attention head listens to remembered cases."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .case_memory_options import layers_of

_RATE = 0.05


def register(app: typer.Typer) -> None:
    """Adds the command to the program."""
    app.command("train-gates")(train_gates)


def train_gates(
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder of the run. A run that is there is continued.")],
    manifest: Annotated[Path, typer.Option(help="manifest.json beside the cases, or a training pack.")],
    start: Annotated[
        str | None, typer.Option("--from", help="A native model. Default: the shipped one.", show_default=False)
    ] = None,
    attention_layers: Annotated[str, typer.Option(help="Encoder blocks that attend to remembered cases.")] = "4",
    remembered: Annotated[str, typer.Option(help="Training cases of each dataset that are remembered.")] = "50%",
    datasets: Annotated[str | None, typer.Option(help="Only these, separated by commas.")] = None,
    neighbours: Annotated[int, typer.Option(min=1, max=100, help="Remembered cases that are heard.")] = 3,
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps.")] = 100,
    batch: Annotated[int, typer.Option(min=1, help="Crops a step, over all processes.")] = 4,
    include_nc: Annotated[bool, typer.Option(help="Also datasets whose licence is not commercial.")] = False,
    seed: Annotated[int, typer.Option()] = 0,
    device: Annotated[str, typer.Option(help="auto, cuda or cpu.")] = "auto",
    workers: Annotated[int, typer.Option(min=0, help="Processes that prepare crops.")] = 1,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of PyTorch.", show_default="its own")] = None,
    minutes: Annotated[float | None, typer.Option(help="Stop after so many; the same command goes on.")] = None,
) -> None:
    """Learn the gates of the joint softmax over local and remembered keys; write OUT/case_gates.safetensors.

    A part of the training cases is remembered (OUT/memory), the gates are learned on the others: no crop hears itself.
    The network stays as it is. Evaluate with --fusion joint --gates.

    [bold]Example[/bold]

    memorizing-sam3d train-gates --manifest data/manifest.json --out runs/gates --steps 100
    """
    import torch

    from ..engine.checkpoints import load_default
    from ..engine.fingerprint import encoder_fingerprint
    from ..engine.memory.case_gates import CaseGates
    from ..engine.memory.case_memory import CaseMemory
    from ..engine.recall.remembering import case_layout
    from ..learning.collection import Collection
    from ..learning.gate_objective import GatedSAM3D, GateObjective
    from ..learning.manifest import DataError, select, some_of_each_dataset
    from ..learning.run_state import read_state
    from ..learning.training import TrainingOptions
    from .memory_filling import build
    from .training_runs import Data, Run, batch_source, joined_processes, native_start, progress_of, run_training

    layers = layers_of(attention_layers)
    if not layers:
        raise typer.BadParameter("At least one block listens.", param_hint="--attention-layers")
    model = start or str(load_default().path)
    sam3d, origin = native_start(model)
    case_layout(sam3d.config, layers)  # refuses blocks without attention
    collection = Collection.open(manifest)
    chosen = datasets.split(",") if datasets else None
    entries = select(collection.entries, "train", chosen, not include_nc)
    kept = {entry["id"] for entry in some_of_each_dataset(entries, remembered, seed)}
    others = [entry for entry in entries if entry["id"] not in kept]
    if not others:
        raise DataError("All training cases are remembered: none is left to learn on.", "Lower --remembered.")
    encoder = encoder_fingerprint(sam3d)
    with joined_processes(device, threads) as (processes, console), progress_of(console) as progress:
        memory = out / "memory"
        processes.first_before_others(
            lambda: build(memory, manifest, split="train", datasets=datasets, cases=remembered, seed=seed, model=model,
                          include_nc=include_nc, device=device, attention_layers=attention_layers)
        )  # fmt: skip
        loaded = collection.load(others, _packs())
        torch.manual_seed(seed)
        sam3d.to(processes.device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        network = GatedSAM3D(sam3d, CaseMemory.open(memory, encoder), layers, neighbours)
        data = Data(manifest, chosen, include_nc, 0.0, "workers", workers, None, seed)
        options = TrainingOptions(steps=steps, batch=batch, learning_rate=_RATE, weight_decay=0.0, warm_up=0, ema=0.9)
        facts = {"from": origin, "layers": list(layers), "remembered": remembered, "neighbours": neighbours,
                 "cases": len(loaded), "seed": seed}  # fmt: skip

        def write(state: Path, _facts: dict[str, Any], folder: Path) -> Path:
            average = read_state(state.parent)["average"]
            path = folder / "case_gates.safetensors"
            CaseGates({layer: average[f"gates.{layer}"] for layer in layers}, encoder).save(path)
            return path

        source = batch_source(data, loaded, sam3d.config, batch, processes)
        run_training(GateObjective(network, seed), source, options,
                     Run(out, processes, console, progress, minutes, facts), write)  # fmt: skip


def _packs() -> Path:
    from ..engine.download import cache_folder

    return cache_folder() / "packs"
