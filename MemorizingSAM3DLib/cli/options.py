"""Options that the benchmark's subcommands share.

The options by which commands are told of a case memory.

Points on the command line.

A network's configuration with some fields changed on the command line.

The network that a command uses, and what the user is told of it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from MemorizingSAM3DLib.engine.session.predictor import Predictor
    from MemorizingSAM3DLib.learning.evaluation.memory_options import CaseMemoryChoice, Names

    from ..engine.geometry import Volume
    from ..engine.networks.config import NetworkConfig

Repeats = Annotated[int, typer.Option(min=1, help="Timed turns of everything.")]
Threads = Annotated[
    int | None, typer.Option(min=1, help="Threads of PyTorch and ITK.", show_default="PyTorch's own choice")
]
Device = Annotated[str, typer.Option(help="auto, cuda, cuda:0 or cpu.")]
Model = Annotated[str | None, typer.Option(help="A registered model or a file. Default: the shipped one.")]
Out = Annotated[
    Path | None, typer.Option("--out", file_okay=False, help="Folder for JSON, CSV, Markdown and a picture.")
]


def layers_of(text: str | None) -> tuple[int, ...]:
    """``2,4`` as numbers of encoder blocks, each once; none of None.

    Raises:
        typer.BadParameter: they are no numbers.
    """
    try:
        layers = sorted({int(part) for part in text.split(",")}) if text else []
    except ValueError:
        layers = [-1]
    if layers and layers[0] < 0:
        raise typer.BadParameter(
            f"{text} are no numbers of blocks, separated by commas.", param_hint="--attention-layers"
        )
    return tuple(layers)


def chosen_cases(case_memory: Path | None, neighbours: int | None, known: bool, absent: bool,
                 attention_layers: str | None, local_ratio: float,
                 attention_only: bool) -> CaseMemoryChoice | None:  # fmt: skip
    """What the options of ``evaluate`` choose; None: no remembered cases.

    Raises:
        typer.BadParameter: they contradict one another.
    """
    from MemorizingSAM3DLib.learning.evaluation.memory_options import CaseMemoryChoice

    if known and absent:
        raise typer.BadParameter("A structure is known or absent.", param_hint="--structure-absent")
    if attention_only and not attention_layers:
        raise typer.BadParameter("It needs --attention-layers.", param_hint="--attention-only")
    layers = layers_of(attention_layers)
    if case_memory is None:
        if neighbours or known or absent or layers:
            raise typer.BadParameter("Other options need it.", param_hint="--case-memory")
        return None
    names: Names = "known" if known else "absent" if absent else "all"
    return CaseMemoryChoice(case_memory, neighbours, not attention_only, names, layers, local_ratio)


Point = tuple[tuple[float, float, float], bool]


def parse_point(text: str) -> Point:
    """``R,A,S`` or ``R,A,S,+`` is a positive point, ``R,A,S,-`` a negative one.

    Raises:
        typer.BadParameter: the text is not a point.
    """
    parts = [part.strip() for part in text.split(",")]
    try:
        if len(parts) not in (3, 4) or (len(parts) == 4 and parts[3] not in ("+", "-")):
            raise ValueError
        x, y, z = (float(part) for part in parts[:3])
    except ValueError as error:
        raise typer.BadParameter(
            f"'{text}' is not a point. Write three numbers, 12.5,-8,30, and ',-' behind them for a negative one."
        ) from error
    return (x, y, z), not (len(parts) == 4 and parts[3] == "-")


def ras_of_voxel(volume: Volume, ijk: tuple[float, float, float]) -> tuple[float, float, float]:
    """The RAS mm of voxel numbers, where the file and Slicer count voxels alike.

    Raises:
        ClickError: they do not: Slicer from 5.8 counts the slices of a left-handed scan from the other end.
    """
    import numpy as np

    from ..engine.errors import ClickError

    if np.linalg.det(volume.ijk_to_ras[:3, :3]) < 0:
        i, j, k = ijk
        slicers = (i, j, volume.shape[0] - 1 - k)
        of_file, of_slicer = (
            ",".join(f"{value:.2f}" for value in volume.ijk_to_ras_points(place)) for place in (ijk, slicers)
        )
        raise ClickError(
            "This scan is stored left-handed: Slicer from 5.8 counts its slices from the other end than the file, "
            "nibabel and SimpleITK do, so that I,J,K is not clear.",
            f"Give R,A,S without --ijk: {','.join(f'{value:g}' for value in ijk)} is {of_file} in the numbers of the "
            f"file, {of_slicer} in those of Slicer.",
        )
    r, a, s = (float(value) for value in volume.ijk_to_ras_points(ijk))
    return r, a, s


def changed_config(config: NetworkConfig, changes: list[str]) -> NetworkConfig:
    """The configuration with changes such as ``depth=12`` or ``attention=sparse``.

    Raises:
        TrainingError: a change is not of that form, names no field, or has a value that makes no network.
    """
    from MemorizingSAM3DLib.learning.processes import TrainingError

    from ..engine.errors import CheckpointError

    values = config.to_dict()
    for change in changes:
        name, equals, text = change.partition("=")
        if not equals or name not in values:
            raise TrainingError(
                f"--set {change} names no field of the network.", f"Say FIELD=VALUE with one of {', '.join(values)}."
            )
        try:
            values[name] = json.loads(text)
        except ValueError:
            values[name] = text
    try:
        return type(config).from_dict(values)
    except CheckpointError as error:
        raise TrainingError(f"--set {' '.join(changes)} makes no network: {error.problem}", "Change it.") from error


def load_predictor(model: str | None, device: str, console: Console) -> Predictor:
    """Loads a model (registered name, file, or None for the shipped one) on a device and says which and where.

    With the interaction memory that is shipped for it, if there is one, as in the panel.
    """
    from MemorizingSAM3DLib.engine.interaction_memory.conditioning import load_default_interaction_memory
    from MemorizingSAM3DLib.engine.models.checkpoints import load, load_default
    from MemorizingSAM3DLib.engine.runtime.device import choose_runtime
    from MemorizingSAM3DLib.engine.session.predictor import Predictor

    runtime = choose_runtime(device)
    checkpoint = load(model) if model else load_default()
    name = checkpoint.entry.title if checkpoint.entry else checkpoint.path.name
    console.print(
        f"Model: {name} ({checkpoint.config.family}). Device: {runtime.description}.", highlight=False, markup=False
    )
    if runtime.warning:
        console.print(runtime.warning, style="yellow", highlight=False, markup=False)
    memory = load_default_interaction_memory(checkpoint.network)
    return Predictor(checkpoint.network, runtime, interaction_memory=memory)
