"""A network made for crops of another size: the same weights, its tables of positions fitted to the other grid.

A promptable network together with its memory attention, as one module that is trained, averaged and saved.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from MemorizingSAM3DLib.engine.networks.config import NetworkConfig
from MemorizingSAM3DLib.engine.networks.image_encoder import ImageFeatures
from MemorizingSAM3DLib.engine.networks.layers import DepthwiseConv3d
from MemorizingSAM3DLib.engine.networks.memory_attention import (
    InteractionConfig,
    MemoryAttention,
    MemoryStack,
    conditioned,
)
from MemorizingSAM3DLib.engine.networks.sam3d import NativeSAM3D

from ..processes import TrainingError

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


@dataclass(frozen=True)
class ConfigWithMemory:
    """What is needed to build the module again.

    Attributes:
        network: of the promptable network. interaction: of the memory attention; None: there is none.
    """

    network: NetworkConfig
    interaction: InteractionConfig | None

    @property
    def image_size(self) -> int:
        """Edge of the crop, voxels."""
        return self.network.image_size

    @property
    def output_size(self) -> int:
        """Edge of the logits, cells."""
        return self.network.output_size

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary."""
        own = None if self.interaction is None else self.interaction.to_dict()
        return {"network": self.network.to_dict(), "interaction": own}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ConfigWithMemory:
        """The inverse of :meth:`to_dict`.

        Raises:
            CheckpointError: a field is missing, unknown, or has a value out of range.
        """
        own = values["interaction"]
        return cls(
            NetworkConfig.from_dict(values["network"]), None if own is None else InteractionConfig.from_dict(own)
        )


class TrainableMemoryAttention(MemoryAttention):
    """The memory attention with its depthwise convolutions in float32, whatever the autocast.

    In bfloat16 on a CPU (oneDNN, PyTorch 2.10) the gradient of their weights is up to a tenth off and not the same
    twice, so that a resumed training would differ from one that was not stopped.
    """

    def _convolved(self, conv: DepthwiseConv3d, tokens: Tensor) -> Tensor:
        with torch.autocast(tokens.device.type, enabled=False):
            return super()._convolved(conv, tokens.float())


class Memory(NamedTuple):
    """A past interaction, not projected yet.

    Attributes:
        sparse: (B, C), the click's token. dense: (B, C, g, g, g), the embedding of the mask that it led to.
        known: (B,) bool; False where nothing was clicked, since nothing was wrong.
    """

    sparse: Tensor
    dense: Tensor
    known: Tensor


class SAM3DWithMemory(nn.Module):
    """A native network, conditioned on past interactions if it has a memory attention.

    Args:
        sam3d: the promptable network. attention: None trains (or measures) the same without memory.
    """

    def __init__(self, sam3d: NativeSAM3D, attention: MemoryAttention | None) -> None:
        super().__init__()
        self.sam3d, self.attention = sam3d, attention

    @classmethod
    def of_config(cls, config: ConfigWithMemory) -> SAM3DWithMemory:
        """With fresh weights."""
        attention = None if config.interaction is None else TrainableMemoryAttention(config.interaction)
        return cls(NativeSAM3D(config.network), attention)

    @property
    def config(self) -> ConfigWithMemory:
        return ConfigWithMemory(self.sam3d.config, None if self.attention is None else self.attention.config)

    def decode(self, features: ImageFeatures, coords: Tensor, labels: Tensor, logits: Tensor | None,
               stack: MemoryStack | None) -> Tensor:  # fmt: skip
        """Logits (B, 1, m, m, m); arguments as of the network's own ``decode``, and the memories, if there are any."""
        if stack is not None:
            assert self.attention is not None
            features = conditioned(self.sam3d, self.attention, features, stack)
        return self.sam3d.decode(features, coords, labels, logits)

    def memory_of(self, image: Tensor, coords: Tensor, labels: Tensor, logits: Tensor) -> Memory:
        """The newest click and the mask it led to, as they are remembered.

        Args:
            image: (B, 1, m, m, m). coords: (B, N, 3). labels: (B, N). logits: (B, 1, m, m, m) that are kept.
        """
        newest, sign = coords[:, -1:], labels[:, -1:]
        sparse, dense = self.sam3d.prompt_encoder.memory_of(newest, sign, image, logits)
        return Memory(sparse, dense, sign[:, 0] >= 0)
