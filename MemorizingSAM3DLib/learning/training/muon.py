"""Muon (Jordan 2024): momentum whose matrices are made orthogonal, beside AdamW for everything that is no matrix.

PyTorch's own ``torch.optim.Muon`` orthogonalises in bfloat16, which processors without it emulate a hundred times
slower, and takes no convolutions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from ..processes import Processes

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic iteration
_ROUNDS = 5
_ADAM_RMS = 0.2  # what AdamW's updates measure; Muon's are scaled to it (Liu 2025, arXiv 2502.16982)


def orthogonalised(matrix: Tensor, rounds: int = _ROUNDS) -> Tensor:
    """The nearest (semi-)orthogonal matrix, roughly: singular values become 0.7 to 1.2 (Newton-Schulz)."""
    a, b, c = _COEFFICIENTS
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(rounds):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    """Muon for parameters of two and more axes, the kernels of a convolution seen as one row an output channel.

    Learning rates are AdamW's: an update has the size that AdamW's has. Processes that train together share the work
    of orthogonalising, and end with the same weights.

    Args:
        params: parameters or groups of them.
        processes: that train together; None: this one alone.
    """

    def __init__(self, params: Iterable[Any], lr: float = 1e-3, momentum: float = 0.95, weight_decay: float = 0.0,
                 processes: Processes | None = None) -> None:  # fmt: skip
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self._processes = processes

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update from the gradients as they are."""
        found = [(group, p) for group in self.param_groups for p in group["params"] if p.grad is not None]
        if not found:
            return
        updates = [torch.empty(0)] * len(found)
        owners = self._owners([p for _, p in found])
        for number, (group, parameter) in enumerate(found):
            assert parameter.grad is not None
            average = self.state[parameter].setdefault("momentum", torch.zeros_like(parameter))
            average.lerp_(parameter.grad, 1 - group["momentum"])
            if owners[number] == self._rank:
                ahead = parameter.grad.lerp(average, group["momentum"]).float()  # Nesterov's
                updates[number] = orthogonalised(ahead.flatten(1))
            else:
                updates[number] = parameter.new_zeros(parameter.flatten(1).shape, dtype=torch.float32)
        if self._processes is not None and self._processes.count > 1:
            sizes = [update.numel() for update in updates]
            together = self._processes.mean(torch.cat([update.flatten() for update in updates])).mul_(self._count)
            updates = [part.view_as(update) for part, update in zip(together.split(sizes), updates, strict=True)]
        for (group, parameter), update in zip(found, updates, strict=True):
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
            scale = group["lr"] * _ADAM_RMS * max(update.shape) ** 0.5
            parameter.add_(update.view(parameter.shape).to(parameter.dtype), alpha=-scale)

    @property
    def _rank(self) -> int:
        return 0 if self._processes is None else self._processes.rank

    @property
    def _count(self) -> int:
        return 1 if self._processes is None else self._processes.count

    def _owners(self, parameters: list[Tensor]) -> list[int]:
        """Which process orthogonalises each parameter: the costliest first, each to whom has least to do."""
        costs = [p.numel() * min(p.flatten(1).shape) for p in parameters]
        load, owners = [0] * self._count, [0] * len(parameters)
        for number in sorted(range(len(parameters)), key=lambda n: -costs[n]):
            owners[number] = min(range(self._count), key=load.__getitem__)
            load[owners[number]] += costs[number]
        return owners
