"""Interaction memories that compute in milliseconds, with random weights in every layer: whatever they hear shows."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from MemorizingSAM3DLib.engine.geometry import CropGrid
from MemorizingSAM3DLib.engine.interaction_memory.bank import Interaction
from MemorizingSAM3DLib.engine.interaction_memory.conditioning import InteractionMemory
from MemorizingSAM3DLib.engine.networks.memory_attention import (
    InteractionConfig,
    MemoryAttention,
    MemoryTypes,
    Projected,
)
from MemorizingSAM3DLib.engine.networks.sam3d import SAM3D, build_network
from MemorizingSAM3DLib.engine.prompts import Click
from Testing.engine.small_networks import SMALL_NATIVE, SMALL_SAM_MED3D

CONFIG = InteractionConfig(channels=16, grid=3, heads=2, capacity=5)
ALL_KINDS: tuple[MemoryTypes, ...] = ("both", "sparse", "dense")


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def an_attention(config: InteractionConfig = CONFIG, seed: int = 0) -> MemoryAttention:
    """As after a training: no parameter is at its starting value, and none is zero."""
    attention = MemoryAttention(config)
    generator = seeded(seed)
    for name, parameter in attention.named_parameters():
        fan_in = max(1, parameter[0].numel()) if parameter.ndim > 1 else 4
        noise = torch.randn(parameter.shape, generator=generator) / fan_in**0.5
        is_scale = "norm" in name and name.endswith("weight")
        parameter.data = 1 + noise if is_scale else noise
    return attention.eval().requires_grad_(False)


def an_embedding(config: InteractionConfig = CONFIG, batch: int = 1, seed: int = 0) -> Tensor:
    return torch.randn(batch, config.channels, *[config.grid] * 3, generator=seeded(100 + seed))


def positions(config: InteractionConfig = CONFIG) -> Tensor:
    return torch.randn(1, config.channels, *[config.grid] * 3, generator=seeded(99))


def memories_of(attention: MemoryAttention, count: int, batch: int = 1, seed: int = 0) -> list[Projected]:
    """Random ones, of which all is known, the newest last."""
    channels = attention.config.channels
    tokens = torch.randn(count, batch, channels, generator=seeded(200 + seed))
    masks = [an_embedding(attention.config, batch, 1000 * seed + number) for number in range(count)]
    return [attention.project(token, mask) for token, mask in zip(tokens, masks, strict=True)]


def a_network(family: str = "native") -> SAM3D:
    """Native or published, 4 tokens an edge, with logits that differ from cell to cell and from click to click."""
    torch.manual_seed(11)
    if family == "published":
        return build_network(SMALL_SAM_MED3D).eval().requires_grad_(False)
    network = build_network(SMALL_NATIVE.with_(image_size=64))
    nn.init.normal_(network.mask_decoder.hyper.layers[-1].weight, std=1.0)  # fresh ones start near zero
    return network.eval().requires_grad_(False)


def a_memory(network: SAM3D, kinds: MemoryTypes = "both", seed: int = 0, tuned: bool = False,
             from_first_click: bool = False) -> InteractionMemory:  # fmt: skip
    """A memory for a network; ``tuned``: with another prompt encoder and mask decoder than the network's."""
    config = InteractionConfig(network.config.embedding_channels, network.config.grid, 2, 8, kinds)
    prompt_encoder, mask_decoder = (
        {name: moved(tensor, number) for number, (name, tensor) in enumerate(part.state_dict().items())}
        for part in (network.prompt_encoder, network.mask_decoder)
    )
    return InteractionMemory(
        an_attention(config, seed), prompt_encoder if tuned else None, mask_decoder if tuned else None,
        {"cases": 3}, from_first_click,
    )  # fmt: skip


def moved(tensor: Tensor, seed: int) -> Tensor:
    """A tensor as a training might leave it: not far away."""
    return tensor + 0.1 * torch.randn(tensor.shape, generator=seeded(300 + seed))


def an_untrained_memory(network: SAM3D) -> InteractionMemory:
    config = InteractionConfig(network.config.embedding_channels, network.config.grid, 2, 8)
    torch.manual_seed(5)
    return InteractionMemory(MemoryAttention(config).eval())


def some_interactions(count: int, config: InteractionConfig, grid: CropGrid, first: int = 0) -> list[Interaction]:
    """Random ones in one crop, numbered from ``first``, the oldest first; equal numbers make equal interactions."""
    made = []
    for number in range(first, first + count):
        at = np.random.default_rng(number).uniform(-0.45, 0.45, 3) * grid.extent_mm + grid.center_ras
        click = Click((float(at[0]), float(at[1]), float(at[2])), number % 2 == 0)
        token = torch.randn(1, config.channels, generator=seeded(400 + number))
        made.append(Interaction(number, click, grid, token, an_embedding(config, seed=500 + number)))
    return made
