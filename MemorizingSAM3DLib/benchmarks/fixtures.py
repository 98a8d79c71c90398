"""Predictors that contenders use, and the published way to answer a click.

Networks with random weights, and crops: what times depend on is their shape, so no checkpoint is needed.

Scans that are made up, with one organ in their middle, and clicks on it.

A real scene in a contender's process, with the made-up scan in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from MemorizingSAM3DLib.engine.interaction_memory.conditioning import InteractionMemory
from MemorizingSAM3DLib.engine.models.checkpoints import build_published, load, load_default
from MemorizingSAM3DLib.engine.models.published_file import PublishedFamily
from MemorizingSAM3DLib.engine.networks.memory_attention import InteractionConfig, MemoryAttention
from MemorizingSAM3DLib.engine.networks.normalisation import normalise
from MemorizingSAM3DLib.engine.runtime.device import Precision, choose_runtime
from MemorizingSAM3DLib.engine.session.predictor import Predictor

from ..engine.geometry import Box, CropGrid, Volume, paste_logits, resample_to_crop
from ..engine.networks.config import NetworkConfig, fastsam3d_config, sam_med3d_config, shipped_config
from ..engine.networks.sam3d import SAM3D, PublishedSAM3D, build_network, upsample_logits
from ..engine.prompts import Click
from .harness.benchmark_case import BenchmarkCase, Job, Setting, UnavailableError
from .literal import literal_decode, literal_encode

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


CROP_SPACING_MM = 1.5


def predictor_of(setting: Setting, size: Size = "shipped", remembered: int | None = None, reencode: bool = False,
                 config: NetworkConfig | None = None, precision: Precision = "auto") -> Predictor:  # fmt: skip
    """A predictor on the setting's device.

    Args:
        size: ``shipped`` takes the setting's model with its weights; another one has random weights.
        remembered: clicks that an interaction memory uses (untrained: it computes as much); None: there is none.
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
             name: str = "ours, as in the panel") -> list[BenchmarkCase]:  # fmt: skip
    """The same as the panel computes it, where that is another precision than the command line's: on a CPU."""
    return [] if setting.on_gpu else [BenchmarkCase(name, job, {**(options or {}), "precision": "fastest"})]


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


SHAPE = (200, 512, 512)
SPACING_MM = (0.7, 0.7, 1.5)
ORGAN_RADII_MM = (45.0, 35.0, 40.0)
_NOISE_SLICES = 8  # noise repeats: a gigabyte of it takes half a minute to make


def a_scan(shape: tuple[int, int, int] | None = None, spacing: tuple[float, float, float] | None = None,
           radii: tuple[float, float, float] = ORGAN_RADII_MM) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """A CT, of 512 x 512 x 200 voxels unless said otherwise: a body with an organ in its middle, and noise.

    Args:
        shape: (K, J, I). spacing: along (i, j, k), mm. radii: of the organ along R, A and S, mm.

    Returns:
        voxels (K, J, I) int16, HU; IJK-to-RAS matrix (4, 4), the organ's centre at the origin.
    """
    shape, spacing = shape or SHAPE, spacing or SPACING_MM
    matrix = np.diag([*spacing, 1.0])
    matrix[:3, 3] = -(np.array(shape[::-1]) - 1) / 2 * spacing
    k, j, i = (
        ((np.arange(n, dtype=np.float32) - (n - 1) / 2) * mm) for n, mm in zip(shape, spacing[::-1], strict=True)
    )
    rr, ra, rs = radii
    body = i**2 / 160**2 + j[:, None] ** 2 / 120**2 < 1
    plane = np.where(body, 40, -1000).astype(np.int16)
    organ = i**2 / rr**2 + j[:, None] ** 2 / ra**2
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 12, (_NOISE_SLICES, *shape[1:])).astype(np.int16)
    voxels = np.empty(shape, np.int16)
    for number, height in enumerate(k.tolist()):
        voxels[number] = np.where(organ < 1 - height**2 / rs**2, np.int16(130), plane) + noise[number % _NOISE_SLICES]
    return voxels, matrix


def a_volume(shape: tuple[int, int, int] | None = None, spacing: tuple[float, float, float] | None = None,
             radii: tuple[float, float, float] = ORGAN_RADII_MM) -> Volume:  # fmt: skip
    """The same for the engine."""
    return Volume(*a_scan(shape, spacing, radii), "CT")


def organ_box(volume: Volume, radii: tuple[float, float, float] = ORGAN_RADII_MM) -> Box:
    """The scan voxels of the organ, as far as they lie in the scan."""
    ends = volume.ras_to_ijk(np.array([np.negative(radii), radii]))[:, ::-1]
    return Box.between(np.floor(ends.min(0)), np.ceil(ends.max(0)) + 1).clipped(volume.shape)


def some_clicks(count: int, radii: tuple[float, float, float] = ORGAN_RADII_MM, seed: int = 1) -> list[Click]:
    """The organ's centre, then corrections around its surface: outside and inside in turn, as a user makes them."""
    rng = np.random.default_rng(seed)
    clicks = [Click((0.0, 0.0, 0.0))]
    while len(clicks) < count:
        positive = len(clicks) % 2 == 0
        direction = rng.normal(size=3)
        place = direction / np.linalg.norm(direction) * radii * (0.85 if positive else 1.2)
        r, a, s = place.tolist()
        clicks.append(Click((r, a, s), positive))
    return clicks


def scan_node() -> Any:
    """The scan's volume node, in a scene that is booted if need be.

    Raises:
        UnavailableError: slicer-core is not installed.
    """
    try:
        import slicer

        from MemorizingSAM3DLib.scene.headless.application import bootScene
    except ImportError as error:
        raise UnavailableError(
            "slicer-core is not installed.", "In the folder of the sources: pip install '.[scene]'"
        ) from error
    bootScene()
    return slicer.util.addVolumeFromArray(*a_scan(), "benchmark scan")
