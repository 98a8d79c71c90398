"""Small layers that several networks share.

Depthwise 3^3 convolutions on a token grid, in the way that is fastest for so few cells.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class ChannelNorm(nn.Module):
    """LayerNorm over the channels of a (B, C, D, H, W) tensor, at every voxel by itself."""

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        x = functional.layer_norm(x.movedim(1, -1), self.weight.shape, self.weight, self.bias, self.eps)
        return x.movedim(-1, 1)


class MLP(nn.Module):
    """Two linear layers with an activation between them (names as in the published checkpoints)."""

    def __init__(self, width: int, hidden: int, activation: type[nn.Module] = nn.GELU) -> None:
        super().__init__()
        self.lin1 = nn.Linear(width, hidden)
        self.lin2 = nn.Linear(hidden, width)
        self.act = activation()

    def forward(self, x: Tensor) -> Tensor:
        return self.lin2(self.act(self.lin1(x)))


class Perceptron(nn.Module):
    """A ReLU multi-layer perceptron whose last layer is linear: hyper-networks and the quality head."""

    def __init__(self, *widths: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths[:-1], widths[1:], strict=True))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            x = functional.relu(layer(x))
        return self.layers[-1](x)


class FastConv3d(nn.Conv3d):
    """A convolution that oneDNN computes in float32 inference on a CPU too.

    PyTorch leaves small float32 inputs (channels x depth x height up to 20,480) to a kernel of its own that takes four
    times as long; the result is the same up to rounding.
    """

    def forward(self, x: Tensor, channels: Sequence[int] | None = None) -> Tensor:
        """The convolution.

        Args:
            channels: which input channels ``x`` has, where all others are zero; None: all.
        """
        weight = self.weight if channels is None else self.weight[:, channels]
        if x.device.type != "cpu" or x.dtype != torch.float32 or torch.is_grad_enabled() or _autocasts():
            return self._conv_forward(x, weight, self.bias)
        if not torch.backends.mkldnn.is_available() or isinstance(self.padding, str):
            return self._conv_forward(x, weight, self.bias)
        return torch.mkldnn_convolution(x, weight, self.bias, self.padding, self.stride, self.dilation, self.groups)


def _autocasts() -> bool:
    return torch.is_autocast_enabled("cpu")


class ConvBlock(nn.Module):
    """Convolution 3^3 (optionally strided), GroupNorm, ReLU; with a residual where the shapes allow it."""

    def __init__(self, inside: int, outside: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = FastConv3d(inside, outside, 3, stride=stride, padding=1, bias=False)
        self.norm = nn.GroupNorm(max(1, outside // 8), outside)
        self.residual = inside == outside and stride == 1

    def forward(self, x: Tensor, channels: Sequence[int] | None = None) -> Tensor:
        """The block; for ``channels`` see :class:`FastConv3d`."""
        y = self.norm(self.conv(x, channels))
        if torch.is_grad_enabled() or y.dtype != x.dtype:
            y = functional.relu(y)
            return x + y if self.residual else y
        # In place, to the same bits: at the fine levels another 16 MB take as long to get as to fill.
        y.relu_()
        return y.add_(x) if self.residual else y


class DepthwiseConv3d(FastConv3d):
    """A 3^3 convolution of every channel by itself; it starts close to doing nothing.

    Forward: (B, C, g, g, g) to the same shape.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, 3, padding=1, groups=channels)
        with torch.no_grad():
            nn.init.trunc_normal_(self.weight, std=0.02)
            self.weight[:, :, 1, 1, 1] += 1.0
            assert self.bias is not None
            nn.init.zeros_(self.bias)
