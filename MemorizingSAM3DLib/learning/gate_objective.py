"""Learning how much each head listens to remembered cases: nothing else of the network is trained."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..engine.memory.case_memory import CaseMemory
from ..engine.memory.memorizing_attention import MemorizingAttention
from ..engine.networks.config import NetworkConfig
from ..engine.networks.image_encoder import ImageFeatures
from ..engine.networks.sam3d import NativeSAM3D
from ..engine.recall.case_attention import DEFAULT_HEARD, CaseAttention, empty_tokens
from .losses import DiceCrossEntropy
from .objective import Batch, Objective, heard_clicks, mean_dice, simulated_user
from .sampling import LEAST_CELLS

BEGIN = -4.0  # a gate at -20 is shut, and nothing would open it: its gradient is as small as what comes through


class GatedSAM3D(nn.Module):
    """A network whose attention blocks hear a memory's cases through gates; the gates alone are trained.

    Args:
        sam3d: native. memory: with keys and values of the layers. layers: numbers of blocks with attention.
        neighbours: cases that are heard.

    Attributes:
        gates: (heads,) of each block, by its number.
    """

    def __init__(self, sam3d: NativeSAM3D, memory: CaseMemory, layers: tuple[int, ...],
                 neighbours: int = DEFAULT_HEARD) -> None:  # fmt: skip
        super().__init__()
        self.sam3d = sam3d.eval().requires_grad_(False)
        heads = sam3d.config.heads
        hearing = {layer: MemorizingAttention(heads, "joint") for layer in layers}
        self.gates = nn.ParameterDict({str(layer): one.gate for layer, one in hearing.items()})
        for gate in self.gates.values():
            nn.init.constant_(gate, BEGIN)
        first = min(int(layer) for layer in memory.layout.layers)
        device = next(sam3d.parameters()).device
        self._guest = CaseAttention(memory, hearing, empty_tokens(sam3d, first), neighbours, device)
        self._guest.refresh()

    @property
    def config(self) -> NetworkConfig:
        return self.sam3d.config

    def encode(self, images: Tensor) -> ImageFeatures:
        """(B, 1, S, S, S) -> features; each crop hears the cases that are like it."""
        each = [self.sam3d.encode(image[None], self._guest) for image in images]
        skips = tuple(torch.cat(level) for level in zip(*(one.skips for one in each), strict=True))
        pictures = [one.image for one in each if one.image is not None]
        return ImageFeatures(torch.cat([one.embedding for one in each]), skips, torch.cat(pictures))


class GateObjective(Objective):
    """Dice plus cross-entropy after the first clicks, with which a memory may help most.

    Args:
        clicks: with a loss, a sample.
    """

    network: GatedSAM3D  # type: ignore[assignment]
    names = ("dice_first", "dice_last", "gate")

    def __init__(self, network: GatedSAM3D, seed: int, clicks: int = 2) -> None:
        super().__init__()
        self.network, self.seed, self.clicks = network, seed, clicks
        self.loss = DiceCrossEntropy()

    def forward(self, batch: Batch, step: int) -> tuple[Tensor, Tensor]:
        network, targets = self.network, batch.targets
        network.sam3d.eval()
        features = network.encode(batch.images)
        user, _ = simulated_user(batch, self.seed, targets.device.type == "cuda", network.config.image_size)
        truth = targets[:, 0] > 0.5
        usable = (truth.flatten(1).sum(1) >= LEAST_CELLS).float()
        loss, dice = torch.zeros((), device=targets.device), []
        logits: Tensor | None = None
        for _ in range(self.clicks):
            user.click(None if logits is None else logits[:, 0] > 0, truth)
            new = network.sam3d.decode(features, *heard_clicks(network.sam3d, user), logits)
            loss = loss + self.loss(new, targets, usable) / self.clicks
            dice.append(mean_dice(new, targets))
            logits = new.detach().float()
        mean = torch.stack([gate.detach().mean() for gate in network.gates.values()]).mean()
        return loss, torch.stack([dice[0], dice[-1], mean])
