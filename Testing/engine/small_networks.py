"""Networks of every family that are small enough to save and load in milliseconds."""

from __future__ import annotations

import torch

from MemorizingSAM3DLib.engine.networks.config import (
    NetworkConfig,
    fastsam3d_config,
    full_grid_config,
    native_config,
    sam_med3d_config,
)
from MemorizingSAM3DLib.engine.networks.sam3d import build_network

SMALL = {
    "image_size": 32,
    "patch_size": 8,
    "width": 32,
    "heads": 2,
    "embedding_channels": 48,
    "decoder_mlp": 64,
    "upscale_channels": (24, 12),
}
SMALL_SAM_MED3D = sam_med3d_config().with_(**SMALL, depth=4, window=6, global_blocks=(2,))
SMALL_FASTSAM3D = fastsam3d_config().with_(**SMALL, depth=3, attention_from=1)
SMALL_NATIVE = native_config(
    image_size=32, patch_size=16, width=48, depth=2, heads=2, attention_from=1, embedding_channels=64, decoder_mlp=64,
    decoder_depth=1, stem_channels=(8, 8, 16), upscale_channels=(16, 8, 8),
)  # fmt: skip
SMALL_FULL_GRID = full_grid_config(
    image_size=32, width=48, depth=2, heads=2, attention_from=1, embedding_channels=48, decoder_heads=2, decoder_mlp=64,
    decoder_depth=2, token_blocks=1, stem_channels=(8, 8, 16), upscale_channels=(16, 8), refine_blocks=(1, 1),
)  # fmt: skip


def small_state(config: NetworkConfig) -> dict[str, torch.Tensor]:
    """Every tensor of the network, with random values that are always the same."""
    torch.manual_seed(7)
    return {name: torch.randn_like(tensor) for name, tensor in build_network(config).state_dict().items()}
