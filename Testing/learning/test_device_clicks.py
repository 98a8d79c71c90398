from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from MemorizingSAM3DLib.learning.device_clicks import batch_clicks, depth_of

SIZE = 20


def a_ball(centre: tuple[float, float, float], radius: float) -> torch.Tensor:
    grid = torch.stack(torch.meshgrid(*[torch.arange(SIZE, dtype=torch.float32)] * 3, indexing="ij"), -1)
    return ((grid - torch.tensor(centre)) ** 2).sum(-1) <= radius**2


EMPTY = torch.zeros(SIZE, SIZE, SIZE, dtype=torch.bool)


def clicked(prediction: torch.Tensor, target: torch.Tensor, count: int = 100, seed: int = 0, slips: float = 0.0):
    """The same sample many times in one batch: voxels and labels."""
    batch = [part[None].expand(count, -1, -1, -1) for part in (prediction, target)]
    return batch_clicks(*batch, torch.Generator().manual_seed(seed), slips)


def values(mask: torch.Tensor, voxels: torch.Tensor) -> torch.Tensor:
    return mask[tuple(voxels.T)]


def test_depth_grows_inwards_and_ranks_voxels_as_distances_do():
    region = a_ball((9, 10, 8), 7) | a_ball((16, 3, 16), 2.5)
    depth = depth_of(region[None])[0]
    assert (depth[~region] == 0).all() and (depth[region] > 0).all()
    exact = ndimage.distance_transform_edt(np.pad(region.numpy(), 1))[1:-1, 1:-1, 1:-1]
    inside = region.numpy()
    assert np.corrcoef(depth.numpy()[inside], exact[inside])[0, 1] > 0.85


def test_the_border_of_the_array_is_outside():
    slab = EMPTY.clone()
    slab[:9] = True
    assert depth_of(slab[None])[0, :, 10, 10].argmax() == 4


def test_first_clicks_are_inside_and_about_half_of_them_central():
    target = a_ball((11, 11, 11), 7)
    voxels, labels = clicked(EMPTY, target)
    assert labels.eq(1).all() and values(target, voxels).all()
    central = (voxels - 11).abs().amax(1) <= 1
    assert 0.35 < central.float().mean() < 0.75


@pytest.mark.parametrize("seed", range(2))
def test_clicks_lie_in_the_error_of_their_sign_and_mostly_in_the_larger_one(seed):
    target, prediction = a_ball((7, 7, 7), 5), a_ball((16, 16, 16), 2)
    voxels, labels = clicked(prediction, target, seed=seed)
    missed, false = target & ~prediction, prediction & ~target
    assert values(missed, voxels[labels == 1]).all() and values(false, voxels[labels == 0]).all()
    assert 0.8 < labels.float().mean() < 0.98


def test_nothing_wrong_needs_no_click():
    target = a_ball((8, 8, 8), 4)
    assert clicked(target, target, 4)[1].eq(-1).all()


def test_samples_of_a_batch_are_clicked_each_for_itself():
    first, second = a_ball((6, 6, 6), 4), a_ball((17, 16, 15), 5)
    voxels, labels = batch_clicks(
        torch.stack([EMPTY, second, first]), torch.stack([first, second, EMPTY]), torch.Generator(), 0.0
    )
    assert labels.tolist() == [1, -1, 0]
    assert first[tuple(voxels[0])] and first[tuple(voxels[2])]


def test_clicks_that_slip_stay_in_the_array_and_near():
    speck = EMPTY.clone()
    speck[0, 19, 11] = True
    voxels, _ = clicked(EMPTY, speck, slips=1.0)
    assert ((voxels >= 0) & (voxels < SIZE)).all()
    assert (voxels - torch.tensor([0, 19, 11])).abs().max() == 3


def test_clicks_depend_on_the_generator_alone():
    target = a_ball((11, 11, 11), 7)
    assert torch.equal(clicked(EMPTY, target, 4, seed=5)[0], clicked(EMPTY, target, 4, seed=5)[0])
    assert not torch.equal(clicked(EMPTY, target, 4, seed=5)[0], clicked(EMPTY, target, 4, seed=6)[0])
