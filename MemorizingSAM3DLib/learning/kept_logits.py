"""What of new logits the session keeps, for batches: training then sees the masks that users see."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..engine.locality import accepted_region, hold_clicks


def kept_logits(old: Tensor | None, new: Tensor, coords: Tensor, labels: Tensor, image_size: int) -> Tensor:
    """New logits where the session's rules 1 and 2 accept them, and clicks held by rule 3 (see engine.locality).

    Differentiable in ``new``, where it is kept.

    Args:
        old, new: (B, 1, m, m, m); old is None at the first click.
        coords: (B, N, 3) crop voxels, all clicks, the newest last. labels: (B, N), -1 where there was no click.
        image_size: edge of the crop, voxels.
    """
    size = new.shape[-1]
    cells = ((coords.detach().cpu().numpy() + 0.5) * (size / image_size) - 0.5).astype(np.float64)
    signs = labels.cpu().numpy()
    after = new.detach().float().cpu().numpy()[:, 0]
    before = None if old is None else old.detach().float().cpu().numpy()[:, 0]
    regions, held = np.ones(after.shape, dtype=bool), np.empty_like(after)
    for i in range(len(after)):
        if before is not None:
            clicked = signs[i, -1] >= 0
            regions[i] = clicked and accepted_region(before[i], after[i], cells[i, -1], bool(signs[i, -1] == 1))
            merged = np.where(regions[i], after[i], before[i])
        else:
            merged = after[i].copy()
        held[i] = merged
        clicks = [(np.stack([c, c]), bool(s == 1)) for c, s in zip(cells[i], signs[i], strict=True) if s >= 0]
        hold_clicks(held[i], clicks)
        regions[i] &= held[i] == after[i]
    region, constant = (torch.from_numpy(part)[:, None].to(new.device) for part in (regions, held))
    return torch.where(region, new.float(), constant)
