"""Muon (Jordan 2024): momentum whose matrices are made orthogonal, beside AdamW for everything that is no matrix.

PyTorch's own ``torch.optim.Muon`` orthogonalises in bfloat16, which processors without it emulate a hundred times
slower, and takes no convolutions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

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

    Learning rates are AdamW's: an update has the size that AdamW's has.

    Args:
        params: parameters or groups of them.
    """

    def __init__(self, params: Iterable[Any], lr: float = 1e-3, momentum: float = 0.95,
                 weight_decay: float = 0.0) -> None:  # fmt: skip
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update from the gradients as they are."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(parameter)
                average = state["momentum"]
                average.lerp_(parameter.grad, 1 - group["momentum"])
                ahead = parameter.grad.lerp(average, group["momentum"]).float()  # Nesterov's
                rows = ahead.flatten(1)
                update = orthogonalised(rows).view_as(ahead) * (_ADAM_RMS * max(rows.shape) ** 0.5)
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(update.to(parameter.dtype), alpha=-group["lr"])
