from __future__ import annotations

import numpy as np
import torch

from MemorizingSAM3DLib.engine.locality import accepted_region, hold_clicks
from MemorizingSAM3DLib.learning.kept_logits import kept_logits

SIZE, SCALE = 16, 2


def logits(seed: int, batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, 1, SIZE, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))


def a_click(*voxels: float, label: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor([[voxels], [voxels]]), torch.tensor([[label], [label]])


def test_what_is_kept_is_what_the_session_keeps():
    old, new = logits(0), logits(1)
    coords, labels = a_click(5.0, 8.0, 20.0)
    kept = kept_logits(old, new, coords, labels, SIZE * SCALE)
    cell = (np.array([5.0, 8.0, 20.0]) + 0.5) / SCALE - 0.5
    for i in range(2):
        before, after = old[i, 0].numpy(), new[i, 0].numpy()
        expected = np.where(accepted_region(before, after, cell, True), after, before)
        hold_clicks(expected, [(np.stack([cell, cell]), True)])
        np.testing.assert_array_equal(kept[i, 0].numpy(), expected)
    assert not torch.equal(kept, new)


def test_the_first_click_keeps_everything_and_is_held():
    new = -logits(2).abs()
    coords, labels = a_click(9.5, 9.5, 9.5)
    kept = kept_logits(None, new, coords, labels, SIZE * SCALE)
    assert (kept[:, 0, 4:6, 4:6, 4:6] > 0).all()
    different = kept != new
    assert different[:, 0, 4:6, 4:6, 4:6].all() and different.sum() <= 2 * 27


def test_where_nothing_was_clicked_nothing_changes():
    old, new = logits(0), logits(1)
    coords, labels = a_click(5.0, 8.0, 20.0, label=-1)
    assert torch.equal(kept_logits(old, new, coords, labels, SIZE * SCALE), old)


def test_gradients_flow_through_what_is_kept_of_the_new_logits_alone():
    old, new = logits(0), logits(1).requires_grad_()
    coords, labels = a_click(5.0, 8.0, 20.0)
    kept = kept_logits(old, new, coords, labels, SIZE * SCALE)
    kept.sum().backward()
    assert torch.equal(new.grad != 0, (kept == new).detach())
