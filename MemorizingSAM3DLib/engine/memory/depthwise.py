"""Depthwise 3^3 convolutions on a token grid, in the way that is fastest for so few cells."""

from __future__ import annotations

import torch
from torch import nn

from ..networks.layers import FastConv3d


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
