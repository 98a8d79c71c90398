"""Training clicks for a whole batch on any device, without waiting for it: depth by erosions instead of distances.

What is approximate against :func:`.clicks.training_click`: depth is that of boxes (chessboard distance, in steps that
grow with depth) and not Euclidean; parts are not separated, so the largest one is preferred only as far as it is the
deepest. Evaluation always uses the exact rule.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from .clicks import SLIP_SHARE, SLIP_VOXELS
from .morphology import eroded

_STEPS = (1, 1, 1, 2, 3, 4, 6, 8)  # voxels taken off by each further erosion: depths 1, 2, 3, 5, 8, 12, 18, 26


def depth_of(region: Tensor) -> Tensor:
    """How far inside a region each voxel lies, voxels: (B, m, m, m) bool -> float32, 0 outside of it.

    The array's border counts as outside. Among voxels that survive the same erosions, the mean of their neighbours'
    depths decides.
    """
    left = region[:, None].float()
    depth = left
    for step in _STEPS:
        left = eroded(left, step)
        depth = depth + left * step
    mean = functional.avg_pool3d(depth, 5, stride=1, padding=2)
    return ((depth + 0.3 * mean) * region[:, None])[:, 0]


def batch_clicks(prediction: Tensor, target: Tensor, generator: torch.Generator,
                 slips: float = SLIP_SHARE) -> tuple[Tensor, Tensor]:  # fmt: skip
    """A click for each sample, drawn as :func:`.clicks.training_click` draws them.

    Args:
        prediction, target: (B, m, m, m) bool. generator: on their device.

    Returns:
        voxels (B, 3) int64; labels (B,) int64: 1 in a missed part, 0 in a false one, -1 where nothing is wrong.
    """
    batch, size, device = len(target), target.shape[-1], target.device
    chance = torch.rand(4, batch, generator=generator, device=device)
    missed, false = target & ~prediction, prediction & ~target
    sizes = torch.stack([part.flatten(1).sum(1) for part in (missed, false)])
    positive = sizes[0] >= sizes[1]
    positive = positive ^ ((chance[0] < 0.1) & (sizes.amin(0) > 0))
    depth = depth_of(torch.where(positive[:, None, None, None], missed, false)).flatten(1)

    # The largest of weight / Exp(1) is drawn with chances as the weights; the deepest voxel is the largest depth.
    power = torch.where(chance[1] < 0.7, 2.0, 0.0)[:, None]
    exponential = torch.empty_like(depth).exponential_(generator=generator)
    drawn = torch.where(depth > 0, depth**power, 0.0) / exponential.clamp(min=1e-30)
    central = depth + 1e-3 * torch.rand(depth.shape, generator=generator, device=device) * (depth > 0)
    flat = torch.where((chance[2] < 0.5)[:, None], central, drawn).argmax(1)
    voxels = torch.stack([flat // size**2, flat // size % size, flat % size], dim=1)

    slip = torch.randint(-SLIP_VOXELS, SLIP_VOXELS + 1, (batch, 3), generator=generator, device=device)
    voxels = (voxels + slip * (chance[3] < slips)[:, None]).clamp(0, size - 1)
    return voxels, torch.where(sizes.sum(0) > 0, positive.long(), -1)
