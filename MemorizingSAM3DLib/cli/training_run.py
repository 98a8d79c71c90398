"""What the commands that train have in common: their cases, their progress bar, the files they leave."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from rich.progress import Progress

    from MemorizingSAM3DLib.learning.data.batches import BatchSource
    from MemorizingSAM3DLib.learning.data.cases import Case
    from MemorizingSAM3DLib.learning.processes import Processes
    from MemorizingSAM3DLib.learning.training.objective import Objective
    from MemorizingSAM3DLib.learning.training.trainer import TrainingOptions

    from ..engine.networks.config import NetworkConfig
    from ..engine.networks.sam3d import NativeSAM3D

CROPS = ("auto", "device", "workers")


@dataclass(frozen=True)
class Data:
    """What a training learns from, as its options say.

    Attributes:
        manifest: a manifest or a training pack; None: synthetic volumes alone. datasets: only these.
        synthetic: share of synthetic volumes. crops: where they are made: ``device``, ``workers`` or ``auto``.
        workers: processes that prepare crops. cache: the folder that packs are expanded into.
        cases: so many of each dataset's cases, as a number or a share in per cent; None: all.
        supervoxels: share of crops whose structures come from intensities alone. unlabelled: folder of scans for them.
        label_maps: folder of label maps that are rendered.
    """

    manifest: Path | None
    datasets: Sequence[str] | None
    include_nc: bool
    synthetic: float
    crops: str
    workers: int
    cache: Path | None
    seed: int
    cases: str | None = None
    supervoxels: float = 0.14
    unlabelled: Path | None = None
    label_maps: Path | None = None


@dataclass(frozen=True)
class Prompting:
    """How structures are prompted in training.

    Attributes:
        rounds: prompts with a loss. targets: structures a crop.
        skip_dropout, token_loss: None takes what the network's training usually has.
    """

    rounds: int
    targets: int
    skip_dropout: float | None
    token_loss: float | None


def check_crops(crops: str) -> None:
    """Refuses an unknown place to make crops at, as wrong usage."""
    if crops not in CROPS:
        raise typer.BadParameter(f"{crops} is none of {', '.join(CROPS)}.", param_hint="--crops")


@contextmanager
def joined_processes(device: str, threads: int | None) -> Iterator[tuple[Processes, Console]]:
    """The processes of this run, and the console of the first one (the others are silent)."""
    import torch

    from MemorizingSAM3DLib.engine.runtime.device import choose_runtime, tune_allocator
    from MemorizingSAM3DLib.learning.processes import join_processes

    runtime = choose_runtime(device)
    tune_allocator()  # for the network on a CPU, and for the workers that make crops
    if threads:
        torch.set_num_threads(threads)
    if runtime.device.type == "cuda":
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")
    processes = join_processes(runtime.device)
    console = Console(quiet=not processes.first, highlight=False)
    together = f", {processes.count} processes" if processes.count > 1 else ""
    console.print(f"Device: {runtime.name}{together}.")
    try:
        yield processes, console
    finally:
        processes.close()


@contextmanager
def progress_of(console: Console) -> Iterator[Progress]:
    """A progress bar with counts, the time that has passed and the time that is left."""
    from rich import progress as bars

    counted = (bars.BarColumn(), bars.MofNCompleteColumn())
    timed = (bars.TimeElapsedColumn(), bars.TimeRemainingColumn())
    with bars.Progress(bars.TextColumn("{task.description}"), *counted, *timed, console=console) as progress:
        yield progress


def native_start(start: str) -> tuple[NativeSAM3D, dict[str, Any]]:
    """A native network to begin with (registered name or file), in training mode, and what it came from.

    Raises:
        CheckpointError: it cannot be loaded. TrainingError: it is a published network.
    """
    from MemorizingSAM3DLib.engine.models.checkpoints import load
    from MemorizingSAM3DLib.learning.processes import TrainingError

    from ..engine.networks.sam3d import NativeSAM3D

    checkpoint = load(start)
    if not isinstance(checkpoint.network, NativeSAM3D):
        raise TrainingError(
            f"{checkpoint.path.name} is a published network ({checkpoint.config.family}), and native ones are trained.",
            "Distil it first: memorizing-sam3d distill --teacher ...",
        )
    origin = {"file": checkpoint.path.name, "sha256": checkpoint.sha256, "training": checkpoint.training}
    return checkpoint.network.train().requires_grad_(True), origin


def load_training_cases(data: Data, processes: Processes, progress: Progress) -> list[Case]:
    """The training split of the data."""
    from MemorizingSAM3DLib.engine.models.download import cache_folder
    from MemorizingSAM3DLib.learning.data.manifest import DataError, select, some_of_each_dataset
    from MemorizingSAM3DLib.learning.data.pack import Collection

    if data.manifest is None:
        return []
    collection = Collection.open(data.manifest)
    entries = select(collection.entries, "train", data.datasets, permissive_only=not data.include_nc)
    if not entries and data.synthetic < 1:
        raise DataError(
            f"{data.manifest} has no training case.",
            "Check its splits, --datasets and --include-nc, or train on --synthetic 1 alone.",
        )
    entries = some_of_each_dataset(entries, data.cases, data.seed)
    reading = progress.add_task("Reading cases", total=len(entries))
    cache = data.cache or cache_folder() / "packs"
    return processes.first_before_others(
        lambda: collection.load(entries, cache, lambda done, _: progress.update(reading, completed=done))
    )


def objective_and_source(network: NativeSAM3D, data: Data, cases: list[Case], prompting: Prompting, batch: int,
                         processes: Processes) -> tuple[Objective, BatchSource]:  # fmt: skip
    """What is minimised and on what, as the network asks for.

    Raises:
        DataError: scans without labels, or label maps, cannot be read.
    """
    from MemorizingSAM3DLib.learning.data.batches import LoadedBatches
    from MemorizingSAM3DLib.learning.data.cases import read_unlabelled
    from MemorizingSAM3DLib.learning.data.prompted_samples import DataShares, PromptedSamples
    from MemorizingSAM3DLib.learning.synthetic.scenes import read_label_scenes
    from MemorizingSAM3DLib.learning.training.objective import ClickObjective, ClickOptions
    from MemorizingSAM3DLib.learning.training.prompt_objective import PromptObjective, PromptOptions

    given = {name: value for name in ("skip_dropout", "token_loss") if (value := getattr(prompting, name)) is not None}
    if not network.config.full_grid:
        on_device = processes.device.type == "cuda"
        clicked = ClickOptions(clicks=prompting.rounds, on_device=on_device, **given)
        source = batch_source(data, cases, network.config, batch, processes)
        return ClickObjective(network, clicked, data.seed), source
    scenes = read_label_scenes(data.label_maps) if data.label_maps else []
    unlabelled = read_unlabelled(data.unlabelled) if data.unlabelled else []
    anatomical = 0.4 * data.synthetic if scenes else 0.0
    shares = DataShares(data.supervoxels, data.synthetic - anatomical, anatomical)
    samples = PromptedSamples(network.config, cases, unlabelled, scenes, data.seed, prompting.targets, shares)
    objective = PromptObjective(network, PromptOptions(rounds=prompting.rounds, **given), data.seed)
    return objective, LoadedBatches(samples, batch, processes, data.workers)


def batch_source(data: Data, cases: list[Case], config: NetworkConfig, batch: int, processes: Processes) -> BatchSource:
    """Batches from worker processes, or made on the device (on a GPU, unless workers were asked for)."""
    from MemorizingSAM3DLib.learning.data.batches import DeviceBatches, LoadedBatches
    from MemorizingSAM3DLib.learning.data.samples import SampleStream

    if data.crops == "device" or (data.crops == "auto" and processes.device.type == "cuda"):
        return DeviceBatches(cases, config, batch, processes, data.seed, data.synthetic)
    stream = SampleStream.for_network(config, cases, data.seed, data.synthetic)
    return LoadedBatches(stream, batch, processes, data.workers)


def describe_run(folder: Path, facts: dict[str, Any]) -> None:
    """Writes ``run.json``: how the run was begun. Fails before anything is computed when nothing can be written there.

    Raises:
        OutputError: the folder cannot be made, or written to.
    """
    from ..engine.errors import OutputError

    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "run.json").write_text(json.dumps(facts, indent=1, default=str), encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"Nothing can be written to the folder {folder} ({error.strerror or error}).",
            "Choose another --out, or ask for write permission on this one.",
        ) from error


@dataclass(frozen=True)
class Run:
    """A training as the command line sees it.

    Attributes:
        out: its folder. minutes: after which it stops. facts: about it; they go into run.json and into the model.
    """

    out: Path
    processes: Processes
    console: Console
    progress: Progress
    minutes: float | None
    facts: dict[str, Any]


def write_model(state: Path, facts: dict[str, Any], folder: Path) -> Path:
    """Writes the averaged network of a state to ``model.safetensors``, rounded.

    Not where that would change an encoder that was frozen: case memories belong to it.
    """
    from MemorizingSAM3DLib.engine.models.checkpoints import load, save_native
    from MemorizingSAM3DLib.engine.models.weights_file import encoder_fingerprint
    from MemorizingSAM3DLib.learning.training.trainer import averaged_network

    network = averaged_network(state)[0]
    path = folder / "model.safetensors"
    save_native(network, path, facts, "float16" if network.config.published else "int8")
    if facts.get("encoder_frozen") and encoder_fingerprint(load(str(path)).network) != encoder_fingerprint(network):
        save_native(network, path, facts, "float32")
    return path


def run_training(objective: Objective, source: BatchSource, options: TrainingOptions, run: Run,
                 write: Callable[[Path, dict[str, Any], Path], Path] = write_model) -> bool:  # fmt: skip
    """Trains, shows how it goes, and leaves what was learned and ``curves.png`` beside the state and the log.

    Args:
        write: makes the file of what was learned from the state, facts about the training, and the run's folder.

    Returns:
        Whether the last step was reached.
    """
    from MemorizingSAM3DLib.learning.processes import stopping_gracefully
    from MemorizingSAM3DLib.learning.training.log import PlottingError, draw_curves
    from MemorizingSAM3DLib.learning.training.trainer import STATE, Trainer

    out, processes, console = run.out, run.processes, run.console
    if processes.first:
        described = {**run.facts, "options": asdict(options), "processes": processes.count, "device": processes.device}
        describe_run(out, {**described, "network": objective.network.config.to_dict()})

    def warn(message: str) -> None:
        console.print(f"[yellow]{escape(message)}[/yellow]")

    trainer = Trainer(objective, source, out, options, processes, warn)
    task = run.progress.add_task("Training", total=options.steps, completed=trainer.step)

    def show(step: int, figures: dict[str, float]) -> None:
        shown = [f"{name.replace('_', ' ')} {figures[name]:.3f}" for name in ("loss", objective.names[-1])]
        run.progress.update(task, completed=step, description=f"Training  {'  '.join(shown)}")

    with stopping_gracefully(run.minutes) as stop:
        finished = trainer.run(show, stop)
    if not processes.first:
        return finished
    done, hours = trainer.step, trainer.seconds / 3600
    written = write(out / STATE, {"steps": done, "batch": options.batch, "hours": round(hours, 3), **run.facts}, out)
    try:
        draw_curves(out / "log.csv", out / "curves.png")
    except PlottingError as error:
        warn(str(error))
    console.print(
        f"Wrote {written} after {done} steps and {hours:.2f} hours of computing.", markup=False, soft_wrap=True
    )
    if not finished:
        console.print(
            f"Stopped at step {done} of {options.steps}: the same command goes on from there.", soft_wrap=True
        )
    return finished
