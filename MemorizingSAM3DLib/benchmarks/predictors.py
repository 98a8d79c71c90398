"""Predictors that contenders use, and the published way to answer a click."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from ..engine.checkpoints import load, load_default
from ..engine.geometry import CropGrid, Volume, paste_logits, resample_to_crop
from ..engine.intensity import normalise
from ..engine.memory.interaction_config import InteractionConfig
from ..engine.memory.interaction_weights import InteractionMemory
from ..engine.memory.memory_attention import MemoryAttention
from ..engine.networks.config import NetworkConfig
from ..engine.networks.sam3d import SAM3D, PublishedSAM3D, upsample_logits
from ..engine.predictor import Predictor
from ..engine.prompts import Click
from ..engine.runtime import Precision, choose_runtime
from .contender import Contender, Job, Setting
from .literal import literal_decode, literal_encode
from .made_networks import Size, a_network, config_of

CROP_SPACING_MM = 1.5


def predictor_of(setting: Setting, size: Size = "shipped", remembered: int | None = None, reencode: bool = False,
                 config: NetworkConfig | None = None, precision: Precision = "auto") -> Predictor:  # fmt: skip
    """A predictor on the setting's device.

    Args:
        size: ``shipped`` takes the setting's model with its weights; another one has random weights.
        remembered: clicks that an interaction memory hears (untrained: it computes as much); None: there is none.
        reencode: keeps no crop, so that every click encodes.
        config: of a network with random weights, in place of the size's. precision: ``fastest`` is the panel's.
    """
    network: SAM3D
    if config is not None:
        network = a_network(config)
    elif size == "shipped":
        network = (load(setting.model) if setting.model else load_default()).network
    else:
        network = a_network(config_of(size))
    own: dict[str, Any] = {}
    if remembered is not None:
        own = {"interaction_memory": untrained_memory(network.config, remembered), "bank_size": remembered}
    return Predictor(network, choose_runtime(setting.device, precision), embeddings=0 if reencode else 8, **own)


def in_panel(setting: Setting, job: Callable[..., Job], options: Mapping[str, Any] | None = None,
             name: str = "ours, as in the panel") -> list[Contender]:  # fmt: skip
    """The same as the panel computes it, where that is another precision than the command line's: on a CPU."""
    return [] if setting.on_gpu else [Contender(name, job, {**(options or {}), "precision": "fastest"})]


def untrained_memory(config: NetworkConfig, capacity: int) -> InteractionMemory:
    """An interaction memory for embeddings of a configuration, with random weights, always the same."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        attention = MemoryAttention(InteractionConfig(config.embedding_channels, config.grid, capacity=capacity))
    return InteractionMemory(attention.eval().requires_grad_(False))


def organ_crop(predictor: Predictor) -> CropGrid:
    """The crop around the organ of a scan that was made up."""
    return CropGrid((0.0, 0.0, 0.0), CROP_SPACING_MM, predictor.crop_size)


class PublishedWay:
    """A click as the published code answers it: the crop is encoded anew every time, by the literal arithmetic; the
    logits are brought to the crop's resolution, and the whole crop to the scan's grid.

    Args:
        config: of a published network; its weights are random, those of :func:`predictor_of`.
    """

    def __init__(self, setting: Setting, config: NetworkConfig, volume: Volume) -> None:
        predictor = Predictor(a_network(config), choose_runtime(setting.device))
        assert isinstance(predictor.network, PublishedSAM3D)
        self.network, self.runtime = predictor.network, predictor.runtime
        self.volume, self.grid = volume, organ_crop(predictor)

    def click(self, click: Click, previous: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """The logits (m, m, m), and the mask in the box of the scan that the crop covers, (k, j, i) bool."""
        crop, inside = resample_to_crop(self.volume, self.grid)
        image = normalise(crop, inside, "CT", self.network.config.family)
        device = self.runtime.device
        coords = self.grid.ras_to_index(np.array([[click.ras]])).astype(np.float32)
        with torch.inference_mode(), self.runtime.autocast():
            embedding = literal_encode(self.network.image_encoder, torch.from_numpy(image)[None, None].to(device))
            past = None if previous is None else torch.from_numpy(previous).to(device)[None, None]
            labels = torch.tensor([[int(click.positive)]], device=device)
            logits = literal_decode(self.network, embedding, torch.from_numpy(coords).to(device), labels, past)
            fine = upsample_logits(logits.float(), self.grid.size)[0, 0].cpu().numpy()
        _, values = paste_logits(fine, self.grid, self.volume)
        return logits[0, 0].float().cpu().numpy(), values > 0
