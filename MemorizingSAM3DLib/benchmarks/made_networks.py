"""Networks with random weights, and crops: what times depend on is their shape, so no checkpoint is needed."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from ..engine.checkpoints import build_published
from ..engine.networks.config import NetworkConfig, fastsam3d_config, sam_med3d_config, shipped_config
from ..engine.networks.sam3d import SAM3D, PublishedSAM3D, build_network
from ..engine.published_file import PublishedFamily

Size = Literal["shipped", "student", "teacher"]
CONFIGS = {"shipped": shipped_config, "student": fastsam3d_config, "teacher": sam_med3d_config}


def config_of(size: Size, attention: str = "dense") -> NetworkConfig:
    """The shipped native network, FastSAM3D's student of width 768, or SAM-Med3D's teacher.

    Args:
        attention: ``dense``, ``sparse`` (the paper's, with relative positions) or ``column`` (the published code's).
    """
    config = CONFIGS[size]()
    if attention == "dense":
        return config
    changes = {"relative_position": "decomposed"} if attention == "sparse" else {}
    return config.with_(attention=attention, window=0, global_blocks=(), **changes)


def a_network(config: NetworkConfig) -> SAM3D:
    """A network with random weights, always the same, in evaluation mode."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return _with_positions(build_network(config))


def a_published_network(family: PublishedFamily) -> PublishedSAM3D:
    """As :func:`a_network`, of a published family."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = _with_positions(build_published(family))
    assert isinstance(network, PublishedSAM3D)
    return network


def an_image(config: NetworkConfig | None = None) -> Tensor:
    """A crop of normal numbers, (1, 1, S, S, S), S = 128 without a configuration; always the same."""
    size = 128 if config is None else config.image_size
    return torch.randn(1, 1, size, size, size, generator=torch.Generator().manual_seed(0))


def _with_positions(network: SAM3D) -> SAM3D:
    for name, parameter in network.named_parameters():
        if name.endswith("pos_embed") or "rel_pos" in name:  # zeros in a fresh network: there would be no bias
            nn.init.normal_(parameter, std=0.1)
    return network.eval()
