"""A network that anyone can predict: bright is inside, dark is outside, and clicks bend that around themselves."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from MemorizingSAM3DLib.engine.networks.config import NetworkConfig, native_config, sam_med3d_config
from MemorizingSAM3DLib.engine.networks.image_encoder import ImageFeatures

SMALL_CROP = native_config(image_size=64, patch_size=16)  # logits of 32 cells an edge
FULL_CROP = native_config()  # 128 voxels, logits of 64 cells
PUBLISHED_CROP = sam_med3d_config()  # 128 voxels, logits of 32 cells


class BrightnessNetwork(nn.Module):
    """Logits follow the crop's normalised intensity: a CT above 40 HU is inside.

    Args:
        config: sizes and family; nothing else of it is used.
        reach: only cells within this share of the crop's edge of a positive click can be inside.
        push: height, in logits, of the bump that a click adds around itself; 0 makes the network deaf to clicks.
        memory: share of the previous logits in the new ones.
        gain, threshold: logits are gain x (normalised intensity - threshold).

    Attributes:
        encodes, decodes: how often each was called. attended: (coords, labels, previous logits) of every decode.
        fail_at: the number of the decode that raises RuntimeError, or None.
    """

    def __init__(self, config: NetworkConfig = SMALL_CROP, reach: float = 10.0, push: float = 4.0,
                 memory: float = 0.25, gain: float = 8.0, threshold: float = 0.0) -> None:  # fmt: skip
        super().__init__()
        self.config = config
        self.reach, self.push, self.memory = reach, push, memory
        self.gain, self.threshold = nn.Parameter(torch.tensor(gain)), threshold
        self.encodes, self.decodes = 0, 0
        self.attended: list[tuple[Tensor, Tensor, Tensor | None]] = []
        self.fail_at: int | None = None

    @property
    def uses_click_history(self) -> bool:
        return not self.config.published

    def encode(self, image: Tensor) -> ImageFeatures:
        self.encodes += 1
        return ImageFeatures(functional.avg_pool3d(image, self.config.image_size // self.config.output_size))

    def decode(self, features: ImageFeatures, coords: Tensor, labels: Tensor, logits: Tensor | None = None) -> Tensor:
        self.decodes += 1
        self.attended.append((coords, labels, logits))
        if self.decodes == self.fail_at:
            raise RuntimeError("out of memory, say")
        size = self.config.output_size
        centres = (coords[0] + 0.5) * (size / self.config.image_size) - 0.5
        steps = torch.arange(size, dtype=torch.float32)
        r, a, s = ((steps - centres[..., None]) ** 2).unbind(1)
        squared = r[:, :, None, None] + a[:, None, :, None] + s[:, None, None, :]
        positive = labels[0] == 1
        field = self.gain * (features.embedding[0, 0] - self.threshold)
        if positive.any():
            field = field.where(squared[positive].amin(0) <= (self.reach * size) ** 2, -self.gain)
        signs = torch.where(positive, self.push, -self.push)
        field = field + ((-squared / 8).exp() * signs[:, None, None, None]).sum(0)
        if logits is not None:
            field = (1 - self.memory) * field + self.memory * logits[0, 0]
        return field[None, None]
