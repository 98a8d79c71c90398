"""A network made for crops of another size: the same weights, its tables of positions fitted to the other grid."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ..engine.networks.config import NetworkConfig
from ..engine.networks.sam3d import NativeSAM3D
from .distributed import TrainingError

# They change what is computed, and no tensor's shape but those that are fitted here.
CHANGEABLE = ("image_size", "attention", "segments", "click_history")


def for_other_crops(network: NativeSAM3D, config: NetworkConfig) -> NativeSAM3D:
    """A copy of a network for another configuration, in training mode.

    All that is convolution works on crops of any size. Absolute positions are interpolated over the crop; relative ones
    stay what they are, in tokens, and beyond the largest known distance repeat that.

    Raises:
        TrainingError: more is to be changed than :data:`CHANGEABLE`.
    """
    old, new = network.config.to_dict(), config.to_dict()
    others = sorted(name for name in new if new[name] != old[name] and name not in CHANGEABLE)
    if others:
        raise TrainingError(
            f"A trained network keeps its {', '.join(others)}.",
            f"Leave out --set for these, or --from. Beside --from, --set changes {', '.join(CHANGEABLE)}.",
        )
    fitted = {
        name: _positions(tensor, config.grid) if name.endswith("pos_embed")
        else _distances(tensor, 2 * config.grid - 1) if "rel_pos" in name
        else tensor
        for name, tensor in network.state_dict().items()
    }  # fmt: skip
    other = NativeSAM3D(config)
    other.load_state_dict(fitted)
    return other


def _positions(table: Tensor, grid: int) -> Tensor:
    """(1, g, g, g, C) to another grid over the same crop."""
    resized = functional.interpolate(table.movedim(-1, 1), (grid,) * 3, mode="trilinear")
    return resized.movedim(1, -1).contiguous()


def _distances(table: Tensor, length: int) -> Tensor:
    """(2 g - 1, C) of another length, the distance 0 in the middle of both."""
    places = torch.arange(length) - length // 2 + table.shape[0] // 2
    return table[places.clamp(0, table.shape[0] - 1)]
