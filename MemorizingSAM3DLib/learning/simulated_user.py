"""The user in training: looks at the mask so far, clicks what is wrong, and remembers all the clicks of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from .clicks import training_click
from .device_clicks import batch_clicks


class SimulatedUser(Protocol):
    """Clicks for a batch, one a sample at a time."""

    def click(self, mask: Tensor | None, truth: Tensor) -> None:
        """Adds a click for each sample: mask (None: empty) and truth are (B, m, m, m) bool."""

    def prompts(self) -> tuple[Tensor, Tensor]:
        """All clicks so far: voxels (B, N, 3) of the crop, labels (B, N), -1 where nothing was wrong."""


class HostUser:
    """Clicks by the exact rule on the CPU, each sample with a generator of its own.

    Args:
        generators: one a sample. scale: crop voxels an edge of an output voxel.
    """

    def __init__(self, generators: Sequence[np.random.Generator], scale: int) -> None:
        self.generators, self.scale = generators, scale
        self.coords: list[list[list[float]]] = [[] for _ in generators]
        self.labels: list[list[int]] = [[] for _ in generators]
        self.device = torch.device("cpu")

    def click(self, mask: Tensor | None, truth: Tensor) -> None:
        self.device = truth.device
        right = truth.cpu().numpy()
        past = np.zeros_like(right) if mask is None else mask.cpu().numpy()
        for i, rng in enumerate(self.generators):
            found = training_click(past[i], right[i], rng)
            jitter = rng.uniform(0, self.scale, 3) - 0.5
            voxel = (0, 0, 0) if found is None else found.voxel
            self.coords[i].append([float(v * self.scale + j) for v, j in zip(voxel, jitter, strict=True)])
            self.labels[i].append(-1 if found is None else int(found.positive))

    def prompts(self) -> tuple[Tensor, Tensor]:
        return torch.tensor(self.coords, device=self.device), torch.tensor(self.labels, device=self.device)


class DeviceUser:
    """Clicks by the approximate rule of :mod:`.device_clicks`, for the whole batch on its device.

    Args:
        generator: on the batch's device. scale: crop voxels an edge of an output voxel.
    """

    def __init__(self, generator: torch.Generator, scale: int) -> None:
        self.generator, self.scale = generator, scale
        self.coords: list[Tensor] = []
        self.labels: list[Tensor] = []

    def click(self, mask: Tensor | None, truth: Tensor) -> None:
        past = torch.zeros_like(truth) if mask is None else mask
        voxels, labels = batch_clicks(past, truth, self.generator)
        jitter = torch.rand(voxels.shape, generator=self.generator, device=voxels.device) * self.scale - 0.5
        self.coords.append(voxels * self.scale + jitter)
        self.labels.append(labels)

    def prompts(self) -> tuple[Tensor, Tensor]:
        return torch.stack(self.coords, dim=1), torch.stack(self.labels, dim=1)
