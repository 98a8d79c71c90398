"""Training of the native network, in its simplest form: several clicks a sample, resumable to the step."""

from __future__ import annotations

import csv
import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ..engine.networks.config import NetworkConfig
from ..engine.networks.sam3d import NativeSAM3D
from .clicks import training_click
from .losses import DiceCrossEntropy
from .sampling import Sample, SampleStream


@dataclass(frozen=True)
class TrainingOptions:
    """steps: optimiser steps of the whole schedule. batch: samples a step. clicks: decodings with a loss a sample.

    warm_start: share of batches that begin with some clicks without gradients, so that late clicks are trained too.
    initial_mask: share of batches that begin with a damaged mask, as when an existing segment is refined.
    """

    steps: int = 6000
    batch: int = 2
    clicks: int = 2
    learning_rate: float = 5e-4
    weight_decay: float = 0.05
    warm_up: int = 200
    ema: float = 0.998
    warm_start: float = 0.3
    initial_mask: float = 0.12
    seed: int = 0
    checkpoint_seconds: float = 240.0
    threads: int = 0


class Trainer:
    """Trains a network and keeps an exponential moving average of it; everything needed to go on is in one file.

    ``folder`` gets ``state.pt`` (to resume) and ``log.csv``. A ``state.pt`` that is there already is gone on from.

    Raises:
        ValueError: the stream's crops or targets are not of the network's sizes.
    """

    def __init__(self, network: NativeSAM3D, stream: SampleStream, folder: Path, options: TrainingOptions) -> None:
        config = network.config
        if (stream.size, stream.output_size) != (config.image_size, config.output_size):
            raise ValueError(
                f"The network takes crops of {config.image_size} and gives logits of {config.output_size} voxels; "
                f"the stream has {stream.size} and {stream.output_size}."
            )
        self.network, self.stream, self.folder, self.options = network, stream, folder, options
        self.average = {name: value.detach().clone().float() for name, value in network.state_dict().items()}
        decayed = [p for p in network.parameters() if p.ndim > 1]
        plain = [p for p in network.parameters() if p.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": options.weight_decay}, {"params": plain, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=options.learning_rate, betas=(0.9, 0.98), fused=True)
        self.loss = DiceCrossEntropy()
        self.step = 0
        self.seconds = 0.0
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / "state.pt").exists():
            self.restore()

    def learning_rate(self, step: int) -> float:
        """Linear warm-up, then a cosine to 1 % of the peak."""
        o = self.options
        if step < o.warm_up:
            return o.learning_rate * (step + 1) / o.warm_up
        share = min(1.0, (step - o.warm_up) / max(1, o.steps - o.warm_up))
        return o.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share)))

    def run(self, report: Callable[[int, dict[str, float]], None] | None = None, workers: int = 1) -> None:
        """Trains from the present step to the last one."""
        if self.options.threads:
            torch.set_num_threads(self.options.threads)
        loader = DataLoader(
            _From(self.stream, self.step * self.options.batch, self.options.steps * self.options.batch),
            batch_size=self.options.batch,
            num_workers=workers,
            prefetch_factor=3 if workers else None,
            collate_fn=_collate,
        )
        saved = time.monotonic()
        for images, targets in loader:
            start = time.monotonic()
            figures = self.train_step(images, targets)
            self.seconds += time.monotonic() - start
            self._log(figures)
            if report:
                report(self.step, figures)
            if time.monotonic() - saved > self.options.checkpoint_seconds:
                self.save()
                saved = time.monotonic()
        self.save()

    def train_step(self, images: Tensor, targets: Tensor) -> dict[str, float]:
        """One optimiser step on a batch: encode once, then click, decode and click again."""
        rng = np.random.default_rng([self.options.seed, 7, self.step])
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate(self.step)
        self.network.train()
        with torch.autocast(images.device.type, dtype=torch.bfloat16):
            features = self.network.encode(images)
            loss, dice = self._clicks(features, targets, rng)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        if torch.isfinite(norm):
            self.optimizer.step()
        self.step += 1
        self._update_average()
        return {"loss": float(loss.detach()), "dice_first": dice[0], "dice_last": dice[-1], "norm": float(norm)}

    def _clicks(self, features: Any, targets: Tensor, rng: np.random.Generator) -> tuple[Tensor, list[float]]:
        truth = targets[:, 0].numpy() > 0.5
        logits = initial_logits(targets, rng) if rng.random() < self.options.initial_mask else None
        warm = int(rng.integers(1, 6)) if rng.random() < self.options.warm_start else 0
        prompts = _Prompts(len(targets), self.network.config.image_size // targets.shape[-1])
        loss = torch.zeros(())
        dice = []
        for number in range(warm + self.options.clicks):
            past = np.zeros_like(truth) if logits is None else logits[:, 0].float().numpy() > 0
            prompts.add(past, truth, rng)
            with torch.set_grad_enabled(number >= warm):
                new = self.network.decode(features, *prompts.tensors(), logits)
            if number >= warm:
                loss = loss + self.loss(new, targets) / self.options.clicks
                dice.append(_mean_dice(new, targets))
            logits = new.detach().float()
        return loss, dice

    def _update_average(self) -> None:
        # A young average would remember the random start: its horizon grows with the steps taken.
        decay = min(self.options.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, value in self.network.state_dict().items():
                self.average[name].lerp_(value.float(), 1 - decay)

    def _log(self, figures: dict[str, float]) -> None:
        path = self.folder / "log.csv"
        new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(["step", "seconds", *figures])
            writer.writerow([self.step, f"{self.seconds:.1f}", *(f"{value:.4f}" for value in figures.values())])

    def save(self) -> None:
        """Writes ``state.pt`` whole or not at all."""
        state = {
            "network": self.network.state_dict(), "average": self.average, "optimizer": self.optimizer.state_dict(),
            "step": self.step, "seconds": self.seconds, "config": json.dumps(self.network.config.to_dict()),
            "options": json.dumps(asdict(self.options)),
        }  # fmt: skip
        partial = self.folder / "state.pt.part"
        torch.save(state, partial)
        os.replace(partial, self.folder / "state.pt")

    def restore(self) -> None:
        """Goes on from ``state.pt``."""
        state = torch.load(self.folder / "state.pt", weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average = state["average"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = state["step"], state["seconds"]


def averaged_network(state: Path) -> tuple[NativeSAM3D, int, float]:
    """The moving average in a ``state.pt``: network, steps, seconds of computing."""
    content = torch.load(state, weights_only=True)
    network = NativeSAM3D(NetworkConfig.from_dict(json.loads(content["config"])))
    network.load_state_dict(content["average"])
    return network.eval(), content["step"], content["seconds"]


def initial_logits(targets: Tensor, rng: np.random.Generator) -> Tensor:
    """Logits of a damaged mask: the target shifted, grown or shrunk, or cut off by a plane (a crop's border)."""
    mask = targets
    kind = rng.integers(3)
    if kind == 0:
        mask = mask.roll(tuple(int(v) for v in rng.integers(-4, 5, 3)), dims=(2, 3, 4))
    elif kind == 1:
        width = int(rng.choice([3, 5, 7]))
        grown = torch.nn.functional.max_pool3d(mask, width, stride=1, padding=width // 2)
        shrunk = -torch.nn.functional.max_pool3d(-mask, width, stride=1, padding=width // 2)
        mask = grown if rng.random() < 0.5 else shrunk
    else:
        axis, size = int(rng.integers(3)), mask.shape[-1]
        keep = torch.arange(size) < size * float(rng.uniform(0.3, 0.7))
        keep = keep if rng.random() < 0.5 else ~keep
        shape = [1] * 5
        shape[2 + axis] = size
        mask = mask * keep.view(shape)
    return (mask - 0.5) * float(rng.uniform(4, 12))


class _Prompts:
    """The clicks of a batch, padded to equal numbers."""

    def __init__(self, batch: int, scale: int) -> None:
        self.scale = scale
        self.coords: list[list[list[float]]] = [[] for _ in range(batch)]
        self.labels: list[list[int]] = [[] for _ in range(batch)]

    def add(self, past: np.ndarray, truth: np.ndarray, rng: np.random.Generator) -> None:
        for i in range(len(truth)):
            click = training_click(past[i], truth[i], rng)
            if click is not None:
                jitter = rng.uniform(0, self.scale, 3) - 0.5
                self.coords[i].append([float(v * self.scale + j) for v, j in zip(click.voxel, jitter, strict=True)])
            else:
                self.coords[i].append([0.0, 0.0, 0.0])
            self.labels[i].append(-1 if click is None else int(click.positive))

    def tensors(self) -> tuple[Tensor, Tensor]:
        return torch.tensor(self.coords), torch.tensor(self.labels)


class _From(Dataset[Sample]):
    def __init__(self, stream: SampleStream, start: int, stop: int) -> None:
        self.stream, self.start, self.stop = stream, start, stop

    def __len__(self) -> int:
        return max(0, self.stop - self.start)

    def __getitem__(self, index: int) -> Sample:
        return self.stream[self.start + index]


def _collate(samples: list[Sample]) -> tuple[Tensor, Tensor]:
    return torch.stack([s.image for s in samples]), torch.stack([s.target for s in samples])


def _mean_dice(logits: Tensor, targets: Tensor) -> float:
    a, b = (logits > 0).flatten(1), (targets > 0.5).flatten(1)
    return float((2 * (a & b).sum(1) / (a.sum(1) + b.sum(1)).clamp(min=1)).mean())
