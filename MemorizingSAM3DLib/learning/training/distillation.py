"""Distillation of a network with half as many blocks (FastSAM3D, Shen 2024, equations 1 and 2).

First layer by layer, progressively: block i of the student learns to give what block 2i of the teacher gives, for
i = 1, ..., k, where k grows from 1 to the student's depth. Then the logits, click by click. The teacher computes as it
was trained: a published SAM-Med3D in its own residual form, whatever the student's form is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from MemorizingSAM3DLib.engine.networks.config import NetworkConfig
from MemorizingSAM3DLib.engine.networks.image_encoder import ImageEncoder, ImageFeatures
from MemorizingSAM3DLib.engine.networks.sam3d import SAM3D, build_network

from ..processes import TrainingError
from .objective import Batch, Objective, mean_dice, simulated_user, used_clicks

_SURE = 8.0  # beyond this logit a voxel is as good as decided: probabilities differ by less than 0.0004


@dataclass(frozen=True)
class DistillationOptions:
    """The two stages.

    Attributes:
        layer_steps, logit_steps: steps of the first and of the second stage.
        clicks: decodings that are compared, a sample. on_device: see :class:`.objective.ClickOptions`.
    """

    layer_steps: int = 3000
    logit_steps: int = 3000
    clicks: int = 3
    on_device: bool = False


class DistillationObjective(Objective):
    """The distance of a student to its teacher.

    Attributes:
        names: the layers that are compared (0 in the second stage), the distance (of tokens, then of logits), and the
            student's Dice against the true masks (second stage).
    """

    network: SAM3D
    names = ("layers", "distance", "dice_last")
    uses_all = False  # the decoder learns nothing in the first stage, nor do blocks beyond the k-th

    def __init__(self, teacher: SAM3D, student: SAM3D, options: DistillationOptions, seed: int) -> None:
        super().__init__()
        check_pair(teacher.config, student.config)
        self.teacher, self.network = teacher.requires_grad_(False), student
        self.options, self.seed = options, seed

    def forward(self, batch: Batch, step: int) -> tuple[Tensor, Tensor]:
        if step < self.options.layer_steps:
            return self._layers(batch, layers_at(step + 1, self.options.layer_steps, self.network.config.depth))
        return self._logits(batch)

    def _layers(self, batch: Batch, count: int) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            _, taught = block_outputs(self.teacher.image_encoder, batch.images)
        _, learned = block_outputs(self.network.image_encoder, batch.images)
        loss = layer_distance(taught, learned, count)
        return loss, torch.stack([loss.new_tensor(count), loss.detach(), loss.new_zeros(())])

    def _logits(self, batch: Batch) -> tuple[Tensor, Tensor]:
        truth = batch.targets[:, 0] > 0.5
        user, _ = simulated_user(batch, self.seed, self.options.on_device, self.network.config.image_size)
        with torch.no_grad():
            of_teacher = self.teacher.encode(batch.images)
        of_student = self.network.encode(batch.images)
        taught: Tensor | None = None
        learned: Tensor | None = None
        loss = torch.zeros((), device=truth.device)
        for _ in range(self.options.clicks):
            user.click(None if learned is None else learned[:, 0] > 0, truth)
            coords, labels = used_clicks(self.network, user)
            with torch.no_grad():
                taught = self.teacher.decode(of_teacher, coords, labels, taught).float()
            new = self.network.decode(of_student, coords, labels, learned)
            loss = loss + logit_distance(taught, new) / self.options.clicks
            learned = new.detach().float()
        assert learned is not None
        return loss, torch.stack([loss.new_zeros(()), loss.detach(), mean_dice(learned, batch.targets)])


def layers_at(iteration: int, total: int, depth: int) -> int:
    """How many of the student's blocks are taught: k = ceil(depth * iteration / total).

    Args:
        iteration: 1, ..., total. depth: of the student.
    """
    return math.ceil(depth * iteration / total)


def layer_distance(taught: list[Tensor], learned: list[Tensor], count: int) -> Tensor:
    """Equation 1: the mean over i = 1, ..., k of ||T(2i) - S(i)||, Euclidean at every token, mean over tokens.

    Args:
        taught, learned: outputs of all blocks in order, each (B, g, g, g, width). count: k.
    """
    pairs = zip(taught[1::2][:count], learned[:count], strict=True)
    return torch.stack([(t.float() - s.float()).norm(dim=-1).mean() for t, s in pairs]).mean()


def logit_distance(taught: Tensor, learned: Tensor) -> Tensor:
    """Equation 2, on logits: the mean squared difference; the teacher's are clipped to where it is as good as sure."""
    return functional.mse_loss(learned.float(), taught.float().clamp(-_SURE, _SURE))


def block_outputs(encoder: ImageEncoder, images: Tensor) -> tuple[ImageFeatures, list[Tensor]]:
    """The features of images, and what every transformer block gave on the way: (B, g, g, g, width) each."""
    outputs: list[Tensor] = []
    handles = [block.register_forward_hook(lambda _block, _given, out: outputs.append(out)) for block in encoder.blocks]
    try:
        features = encoder.encode(images)
    finally:
        for handle in handles:
            handle.remove()
    return features, outputs


def student_config(teacher: NetworkConfig) -> NetworkConfig:
    """The configuration of a teacher's student: half the depth.

    A native student is the teacher with fewer blocks. A published teacher's is FastSAM3D's: half the heads, no windows,
    a third of the blocks without attention, the other residual form.

    Raises:
        TrainingError: the teacher's depth is odd.
    """
    depth = teacher.depth // 2
    if teacher.depth % 2:
        raise TrainingError(f"A teacher of {teacher.depth} blocks has no half.", "Give one of even depth.")
    if teacher.family == "native":
        return teacher.with_(depth=depth, attention_from=min(teacher.attention_from, depth - 1))
    return teacher.with_(
        family="fastsam3d", depth=depth, heads=max(1, teacher.heads // 2), attention_from=round(depth / 3), window=0,
        global_blocks=(), residual="normed_stream",
    )  # fmt: skip


def check_pair(teacher: NetworkConfig, student: NetworkConfig) -> None:
    """Raises TrainingError unless block 2i of the teacher can teach block i of the student."""
    same = ("image_size", "patch_size", "width", "upscale_channels")
    other = [name for name in same if getattr(teacher, name) != getattr(student, name)]
    if teacher.depth != 2 * student.depth:
        other.append(f"depth (twice {student.depth} is not {teacher.depth})")
    if other or teacher.published != student.published:
        raise TrainingError(
            f"The teacher cannot teach this student: they differ in {', '.join(other) or 'their family'}.",
            "A student has half the blocks of its teacher, and is like it in all else.",
        )


def student_of(teacher: SAM3D) -> SAM3D:
    """A student that begins with all that the teacher has in the same shape outside of the blocks.

    Blocks of the same residual form begin as the teacher's blocks 2i, too; others have fresh weights.
    """
    config = student_config(teacher.config)
    student = build_network(config)
    known, state = teacher.state_dict(), student.state_dict()
    for name, value in state.items():
        source = _teacher_name(name, config.residual == teacher.config.residual)
        if source in known and known[source].shape == value.shape:
            value.copy_(known[source])
    return student


def _teacher_name(name: str, blocks_too: bool) -> str:
    prefix = "image_encoder.blocks."
    if not name.startswith(prefix):
        return name
    number, rest = name.removeprefix(prefix).split(".", 1)
    return f"{prefix}{2 * int(number) + 1}.{rest}" if blocks_too else ""
