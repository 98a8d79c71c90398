"""Training: any objective, on any device, alone or in several processes, resumable to the step.

``state.pt``: everything that a training needs to go on, written whole or not at all.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from MemorizingSAM3DLib.engine.errors import OutputError
from MemorizingSAM3DLib.engine.networks.config import NetworkConfig
from MemorizingSAM3DLib.engine.networks.sam3d import SAM3D, build_network
from MemorizingSAM3DLib.engine.runtime.device import cpu_computes_bfloat16

from ..data.batches import BatchSource
from ..processes import Processes, TrainingError
from .changed_networks import ConfigWithMemory, SAM3DWithMemory
from .log import TrainingLog
from .muon import Muon
from .objective import Batch, Objective

STATE = "state.pt"
_NEEDED = ("network", "average", "optimizer", "step", "seconds", "config")


def save_state(folder: Path, state: dict[str, Any]) -> None:
    """Writes a state into a run's folder; whatever happens, the file is either the previous state or the whole new one.

    Raises:
        OutputError: it cannot be written (a full disk, say); the previous state is still there.
    """
    path, partial = folder / STATE, folder / f"{STATE}.part"
    try:
        with partial.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except (OSError, RuntimeError) as error:  # PyTorch's writer raises RuntimeError on a full disk
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        kept = "; the previous state is still there" if path.exists() else ""
        raise OutputError(
            f"The training's state {path} cannot be written ({getattr(error, 'strerror', None) or error}){kept}.",
            "Make room on the disk, or check the permissions; the same command goes on from what was saved.",
        ) from error


def read_state(folder: Path, config: NetworkConfig | ConfigWithMemory | None = None) -> dict[str, Any]:
    """The state in a run's folder, its tensors on the CPU.

    Args:
        config: of the network that is to go on; None takes any.

    Raises:
        TrainingError: damaged, not a state, or of another network.
    """
    path = folder / STATE
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file makes PyTorch's restricted unpickler fail in any way there is
        raise TrainingError(
            f"The training's state {path} cannot be read ({error}).", "Remove it to begin anew, or restore a copy."
        ) from error
    if not isinstance(state, dict) or any(name not in state for name in _NEEDED):
        raise TrainingError(f"{path} is no state of a training.", "Choose another --out, or remove the file.")
    if config is not None and json.loads(state["config"]) != json.loads(json.dumps(config.to_dict())):
        raise TrainingError(
            f"The training in {folder} is of another network.", "Give the options it was begun with, or another --out."
        )
    return state


def averaged_network(state: Path) -> tuple[SAM3D, int, float]:
    """The moving average in a ``state.pt``, in evaluation mode: network, steps, seconds of computing.

    Raises:
        TrainingError: see :func:`read_state`.
    """
    content = read_state(state.parent)
    network = build_network(NetworkConfig.from_dict(json.loads(content["config"])))
    network.load_state_dict(content["average"])
    return network.eval(), content["step"], content["seconds"]


def averaged_with_memory(state: Path) -> SAM3DWithMemory:
    """The moving average in the ``state.pt`` of an interaction memory's training, in evaluation mode.

    Raises:
        TrainingError: see :func:`read_state`.
    """
    content = read_state(state.parent)
    network = SAM3DWithMemory.of_config(ConfigWithMemory.from_dict(json.loads(content["config"])))
    network.load_state_dict(content["average"])
    return network.eval()


Report = Callable[[int, dict[str, float]], None]
_ALONE = Processes(0, 1, torch.device("cpu"))
# MAIS: at epochs 129 and 180 of 200 the rate becomes a tenth.
_DROPS, _DROP = (129 / 200, 180 / 200), 0.1


@dataclass(frozen=True)
class TrainingOptions:
    """The schedule: a linear warm-up, then a cosine or steps.

    Attributes:
        steps: optimiser steps of the whole schedule. batch: samples a step, over all processes.
        learning_rate: the peak; an objective may give some parameters a multiple of it. warm_up: steps.
        ema: decay of the moving average of the weights.
        precision: of the autocast; ``float32`` is exact to compare by; ``auto`` takes bfloat16 where the device
            computes in it by itself; where it is emulated a step takes a hundred times as long.
        checkpoint_seconds: between two savings of the state.
        schedule: ``cosine`` to 1 % of the peak; ``steps`` takes a tenth at 129/200 and at 180/200 of all steps (MAIS);
            ``constant`` stays at the peak, and the average of the weights is what counts.
        optimizer: ``adamw``, or ``muon`` for matrices and kernels with AdamW for the rest (:mod:`.muon`).
    """

    steps: int = 6000
    batch: int = 2
    learning_rate: float = 5e-4
    weight_decay: float = 0.05
    warm_up: int = 200
    ema: float = 0.998
    precision: Literal["auto", "bfloat16", "float32"] = "auto"
    checkpoint_seconds: float = 240.0
    schedule: Literal["cosine", "steps", "constant"] = "cosine"
    optimizer: Literal["adamw", "muon"] = "adamw"


class Trainer:
    """Trains an objective's network and keeps an exponential moving average of it.

    ``folder`` gets ``state.pt`` (all that is needed to go on) and ``log.csv``; a state that is there already is gone
    on from, and gives the same weights as not stopping.

    Args:
        objective: on the device of ``processes``.
        source: of batches that fit the objective's network.
        warn: is told what went wrong without ending the training (a checkpoint that could not be written).

    Raises:
        TrainingError: nothing is to be trained; the batches do not fit the network; the state is of another training.
    """

    def __init__(self, objective: Objective, source: BatchSource, folder: Path, options: TrainingOptions,
                 processes: Processes = _ALONE, warn: Callable[[str], None] = lambda _: None) -> None:  # fmt: skip
        self.objective, self.source, self.folder = objective, source, folder
        self.options, self.processes, self.warn = options, processes, warn
        config = objective.network.config
        if source.sizes != (config.image_size, config.output_size):
            raise TrainingError(
                f"The network takes crops of {config.image_size} and gives logits of {config.output_size} voxels, the "
                f"samples have {source.sizes[0]} and {source.sizes[1]}.",
                "Make the samples for this network.",
            )
        trained = {name: p for name, p in objective.network.named_parameters() if p.requires_grad}
        if not trained:
            raise TrainingError("No parameter of the network is to be trained.", "Do not freeze all of it.")
        self._trained = list(trained)
        self.average = {name: v.detach().clone().float() for name, v in objective.network.state_dict().items()}
        self.optimizers = _optimizers(trained, objective, options, processes)
        self.precision = _precision(options, processes.device)
        self.module: torch.nn.Module = objective
        self.step = 0
        self.seconds = 0.0
        if processes.first:
            folder.mkdir(parents=True, exist_ok=True)
        self._restore()
        self.log = TrainingLog(folder / "log.csv", self.step) if processes.first else None

    def learning_rate(self, step: int) -> float:
        """Linear warm-up, then the schedule."""
        o = self.options
        if step < o.warm_up:
            return o.learning_rate * (step + 1) / o.warm_up
        if o.schedule == "constant":
            return o.learning_rate
        if o.schedule == "steps":
            return o.learning_rate * _DROP ** sum(step >= round(share * o.steps) for share in _DROPS)
        share = min(1.0, (step - o.warm_up) / max(1, o.steps - o.warm_up))
        return o.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share)))

    def run(self, report: Report | None = None, stop: Callable[[], bool] = lambda: False) -> bool:
        """Trains from the present step to the last one, or until ``stop`` says so in any process after a step.

        Returns:
            Whether the last step was reached.

        Raises:
            OutputError: the final state cannot be written. A checkpoint on the way that cannot is a warning.
        """
        self.module = self.processes.parallel(self.objective, self.objective.uses_all)
        try:
            self._run(report, stop)
        finally:
            self.module = self.objective  # lets go of the processes' group: see Processes.close
        return self.step >= self.options.steps

    def _run(self, report: Report | None, stop: Callable[[], bool]) -> None:
        saved = start = time.monotonic()
        for batch in self.source.batches(self.step, self.options.steps):
            figures, asked_to_stop = self.train_step(batch, stop())
            self.seconds += time.monotonic() - start
            start = time.monotonic()
            self._record(figures)
            if report:
                report(self.step, figures)
            if asked_to_stop:
                break
            if time.monotonic() - saved > self.options.checkpoint_seconds:
                self._warned(self.save)
                saved = time.monotonic()
        self.save()

    def train_step(self, batch: Batch, stop: bool = False) -> tuple[dict[str, float], bool]:
        """One optimiser step on a batch (this process's share of it).

        A step whose gradient is not finite changes no weight.

        Returns:
            Figures, as means over all processes, and whether any process wants to stop.
        """
        rate = self.learning_rate(self.step)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate * group["factor"]
        self.module.train()
        device = self.processes.device.type
        with torch.autocast(device, dtype=torch.bfloat16, enabled=self.precision == "bfloat16"):
            loss, figures = self.module(batch, self.step)
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.objective.network.parameters(), 1.0)
        if torch.isfinite(norm):
            for optimizer in self.optimizers:
                optimizer.step()
        self.step += 1
        self._update_average()
        told = torch.cat([loss.detach()[None], figures, torch.tensor([float(stop)], device=loss.device)])
        cost, *values, wanted = self.processes.mean(told).tolist()
        named = dict(zip(self.objective.names, values, strict=True))
        return {"loss": cost, **named, "norm": float(norm), "learning_rate": rate}, wanted > 0

    def save(self) -> None:
        """Writes ``state.pt`` (the first process alone).

        Raises:
            OutputError: it cannot be written; the previous one is still there.
        """
        if not self.processes.first:
            return
        network = self.objective.network
        state = {
            "network": network.state_dict(), "average": self.average,
            "optimizer": [optimizer.state_dict() for optimizer in self.optimizers],
            "step": self.step, "seconds": self.seconds, "config": json.dumps(network.config.to_dict()),
            "options": json.dumps(asdict(self.options)), "trained": self._trained,
        }  # fmt: skip
        save_state(self.folder, state)

    def _restore(self) -> None:
        folder, config = self.folder, self.objective.network.config
        # Only the first process needs to see the folder: others may be on other machines.
        state = self.processes.told_by_first(lambda: read_state(folder, config) if (folder / STATE).exists() else None)
        if state is None:
            return
        if state.get("trained", self._trained) != self._trained:
            raise TrainingError(
                f"The training in {folder} trains other parameters of the network.",
                "Give the same options as before (an encoder frozen or not), or another --out.",
            )
        kept = state["optimizer"]
        kept = kept if isinstance(kept, list) else [kept]  # states of version 4 had one
        if len(kept) != len(self.optimizers):
            raise TrainingError(
                f"The training in {folder} has another optimizer.", "Give the same --optimizer, or another --out."
            )
        self.objective.network.load_state_dict(state["network"])
        self.average = {name: value.to(self.processes.device) for name, value in state["average"].items()}
        for optimizer, found in zip(self.optimizers, kept, strict=True):
            factors = [group["factor"] for group in optimizer.param_groups]
            optimizer.load_state_dict(found)
            for group, factor in zip(optimizer.param_groups, factors, strict=True):
                group["factor"] = factor
        self.step, self.seconds = state["step"], state["seconds"]

    def _update_average(self) -> None:
        # A young average would remember the random start: its horizon grows with the steps taken.
        decay = min(self.options.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, value in self.objective.network.state_dict().items():
                self.average[name].lerp_(value.float(), 1 - decay)

    def _record(self, figures: dict[str, float]) -> None:
        if self.log is not None:
            log = self.log
            self._warned(lambda: log.add(self.step, {"seconds": self.seconds, **figures}))

    def _warned(self, work: Callable[[], None]) -> None:
        try:
            work()
        except OutputError as error:
            self.warn(str(error))


def _optimizers(trained: dict[str, torch.nn.Parameter], objective: Objective,
                options: TrainingOptions, processes: Processes) -> list[torch.optim.Optimizer]:  # fmt: skip
    """What updates the parameters; each group knows its ``factor``, times the learning rate."""
    adamw: list[dict[str, Any]] = []
    muon: list[dict[str, Any]] = []
    for factor in sorted({objective.rate_factor(name) for name in trained}):
        chosen = {name: p for name, p in trained.items() if objective.rate_factor(name) == factor}
        matrices = {name: p for name, p in chosen.items() if options.optimizer == "muon" and _is_matrix(name, p)}
        others = [p for name, p in chosen.items() if name not in matrices]
        decay = {"factor": factor, "weight_decay": options.weight_decay}
        muon += [{"params": list(matrices.values()), **decay}] if matrices else []
        adamw += [
            {"params": [p for p in others if p.ndim > 1], **decay},
            {"params": [p for p in others if p.ndim <= 1], "factor": factor, "weight_decay": 0.0},
        ]
    found: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(adamw, lr=options.learning_rate, betas=(0.9, 0.98), fused=True)
    ]
    return [*found, Muon(muon, lr=options.learning_rate, processes=processes)] if muon else found


def _is_matrix(name: str, parameter: torch.nn.Parameter) -> bool:
    """Whether a parameter maps features to features: embeddings are tables, whatever their axes."""
    table = name.endswith("pos_embed") or "embedding" in name or "mask_token" in name or "rel_pos" in name
    return parameter.ndim > 1 and min(parameter.flatten(1).shape) > 1 and not table


def _precision(options: TrainingOptions, device: torch.device) -> str:
    if options.precision != "auto":
        return options.precision
    return "bfloat16" if device.type == "cuda" or cpu_computes_bfloat16() else "float32"
