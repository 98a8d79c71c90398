from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from MemorizingSAM3DLib.learning.simulated_user import (
    COARSE_FROM_VOXELS,
    batch_clicks,
    central_click,
    depth_of,
    training_click,
)

SHAPE = (24, 24, 24)


def a_block(*edges: tuple[int, int], shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    mask = np.zeros(shape, dtype=bool)
    mask[tuple(slice(low, high) for low, high in edges)] = True
    return mask


def a_ball(centre: tuple[float, float, float], radius: float, shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    grid = np.indices(shape).T - np.array(centre)
    return np.asarray((grid**2).sum(-1).T <= radius**2)


EMPTY = np.zeros(SHAPE, dtype=bool)


def test_the_first_click_is_the_deepest_voxel_of_the_target():
    click = central_click(EMPTY, a_ball((9, 12, 14), 6.5) | a_ball((20, 20, 3), 3))
    assert click == ((9, 12, 14), True)


def test_the_click_is_in_the_larger_error_with_its_sign():
    target, missing, false = a_ball((8, 8, 8), 5), a_ball((5, 5, 5), 1.5), a_ball((18, 17, 16), 3.5)
    assert central_click((target & ~missing) | false, target) == ((18, 17, 16), False)
    missing = a_ball((8, 8, 8), 4.5)
    assert central_click((target & ~missing) | a_ball((18, 17, 16), 2), target) == ((8, 8, 8), True)


def test_the_larger_error_counts_all_its_parts():
    # Three small missed parts of 27 voxels together outweigh one false part of 64, though each is smaller.
    parts = [a_block((x, x + 3), (2, 5), (2, 5)) for x in (1, 8, 15)]
    target = np.logical_or.reduce(parts)
    click = central_click(a_block((1, 5), (15, 19), (15, 19)), target)
    assert click is not None and click.positive and target[click.voxel]


def test_depth_is_measured_in_the_spacing():
    # A slab and a column of like volume: which is deeper depends on the length of a voxel along the first axis.
    slab, column = a_block((2, 6), (0, 11), (0, 11)), a_block((10, 22), (14, 20), (14, 20))
    flat = central_click(EMPTY, slab | column, (0.2, 1.0, 1.0))
    tall = central_click(EMPTY, slab | column, (3.0, 1.0, 1.0))
    assert flat is not None and column[flat.voxel]
    assert tall is not None and slab[tall.voxel]


def test_the_border_of_the_scan_is_outside():
    click = central_click(EMPTY, a_block((0, 5), (0, 24), (0, 24)))
    assert click is not None and click.voxel[0] == 2


def test_nothing_wrong_needs_no_click():
    target = a_ball((8, 8, 8), 4)
    assert central_click(target, target) is None
    assert training_click(target, target, np.random.default_rng(0)) is None
    assert training_click(EMPTY, EMPTY, np.random.default_rng(0)) is None


@pytest.mark.parametrize("radius", [4.5, 10.5])  # below and above the size from which half the resolution serves
def test_a_training_click_lies_in_the_error_of_its_sign(radius):
    target = a_ball((11, 11, 11), radius)
    prediction = np.roll(target, 4, 0) & ~a_block((12, 24), (0, 12), (0, 24))
    seen = set()
    for seed in range(60):
        click = training_click(prediction, target, np.random.default_rng(seed), slips=0)
        assert click is not None
        assert (target & ~prediction if click.positive else prediction & ~target)[click.voxel]
        seen.add(click)
    assert {click.positive for click in seen} == {True, False}
    assert len(seen) > 10


def test_most_training_clicks_are_in_the_larger_error():
    target, prediction = a_ball((7, 7, 7), 5), a_ball((18, 18, 18), 2)
    clicks = [training_click(prediction, target, np.random.default_rng(seed)) for seed in range(200)]
    assert 0.8 < np.mean([click.positive for click in clicks if click]) < 0.98


def test_first_training_clicks_are_inside_and_about_half_of_them_central():
    target = a_ball((11, 11, 11), 5)
    clicks = [training_click(EMPTY, target, np.random.default_rng(seed), slips=0) for seed in range(100)]
    assert all(click is not None and click.positive and target[click.voxel] for click in clicks)
    assert 0.35 < np.mean([click.voxel == (11, 11, 11) for click in clicks if click]) < 0.7


def test_a_large_target_that_the_coarse_grid_misses_is_still_clicked():
    shape = (64, 64, 64)
    thin = a_block((1, 2), (0, 64), (0, 64), shape=shape)  # one odd plane of 4096 voxels
    assert thin.sum() > COARSE_FROM_VOXELS
    click = training_click(np.zeros(shape, dtype=bool), thin, np.random.default_rng(0), slips=0)
    assert click is not None and thin[click.voxel]


def test_training_clicks_depend_on_the_generator_alone():
    target = a_ball((11, 11, 11), 7)
    first, second = (
        [training_click(EMPTY, target, rng) for _ in range(5)] for rng in (np.random.default_rng(3) for _ in range(2))
    )
    assert first == second


def test_some_training_clicks_slip_a_little_and_keep_their_sign():
    target = a_block((11, 12), (11, 12), (11, 12))
    clicks = [training_click(EMPTY, target, np.random.default_rng(seed), slips=0.5) for seed in range(200)]
    distances = [np.abs(np.array(click.voxel) - 11).max() for click in clicks if click]
    assert 0.3 < np.mean(np.array(distances) > 0) < 0.7
    assert max(distances) == 3
    assert all(click.positive for click in clicks if click)


def test_a_click_that_slips_stays_in_the_array():
    corner = a_block((0, 1), (23, 24), (0, 1))
    for seed in range(50):
        click = training_click(EMPTY, corner, np.random.default_rng(seed), slips=1)
        assert click is not None and all(0 <= v < 24 for v in click.voxel)


SIZE = 20


def a_ball_of_floats(centre: tuple[float, float, float], radius: float) -> torch.Tensor:
    grid = torch.stack(torch.meshgrid(*[torch.arange(SIZE, dtype=torch.float32)] * 3, indexing="ij"), -1)
    return ((grid - torch.tensor(centre)) ** 2).sum(-1) <= radius**2


NOTHING_MARKED = torch.zeros(SIZE, SIZE, SIZE, dtype=torch.bool)


def clicked(prediction: torch.Tensor, target: torch.Tensor, count: int = 100, seed: int = 0, slips: float = 0.0):
    """The same sample many times in one batch: voxels and labels."""
    batch = [part[None].expand(count, -1, -1, -1) for part in (prediction, target)]
    return batch_clicks(*batch, torch.Generator().manual_seed(seed), slips)


def values(mask: torch.Tensor, voxels: torch.Tensor) -> torch.Tensor:
    return mask[tuple(voxels.T)]


def test_depth_grows_inwards_and_ranks_voxels_as_distances_do():
    region = a_ball_of_floats((9, 10, 8), 7) | a_ball_of_floats((16, 3, 16), 2.5)
    depth = depth_of(region[None])[0]
    assert (depth[~region] == 0).all() and (depth[region] > 0).all()
    exact = ndimage.distance_transform_edt(np.pad(region.numpy(), 1))[1:-1, 1:-1, 1:-1]
    inside = region.numpy()
    assert np.corrcoef(depth.numpy()[inside], exact[inside])[0, 1] > 0.85


def test_the_border_of_the_array_is_outside():
    slab = NOTHING_MARKED.clone()
    slab[:9] = True
    assert depth_of(slab[None])[0, :, 10, 10].argmax() == 4


def test_first_clicks_are_inside_and_about_half_of_them_central():
    target = a_ball_of_floats((11, 11, 11), 7)
    voxels, labels = clicked(NOTHING_MARKED, target)
    assert labels.eq(1).all() and values(target, voxels).all()
    central = (voxels - 11).abs().amax(1) <= 1
    assert 0.35 < central.float().mean() < 0.75


@pytest.mark.parametrize("seed", range(2))
def test_clicks_lie_in_the_error_of_their_sign_and_mostly_in_the_larger_one(seed):
    target, prediction = a_ball_of_floats((7, 7, 7), 5), a_ball_of_floats((16, 16, 16), 2)
    voxels, labels = clicked(prediction, target, seed=seed)
    missed, false = target & ~prediction, prediction & ~target
    assert values(missed, voxels[labels == 1]).all() and values(false, voxels[labels == 0]).all()
    assert 0.8 < labels.float().mean() < 0.98


def test_nothing_wrong_needs_no_click_on_a_device():
    target = a_ball_of_floats((8, 8, 8), 4)
    assert clicked(target, target, 4)[1].eq(-1).all()


def test_samples_of_a_batch_are_clicked_each_for_itself():
    first, second = a_ball_of_floats((6, 6, 6), 4), a_ball_of_floats((17, 16, 15), 5)
    voxels, labels = batch_clicks(
        torch.stack([NOTHING_MARKED, second, first]),
        torch.stack([first, second, NOTHING_MARKED]),
        torch.Generator(),
        0.0,
    )
    assert labels.tolist() == [1, -1, 0]
    assert first[tuple(voxels[0])] and first[tuple(voxels[2])]


def test_clicks_that_slip_stay_in_the_array_and_near():
    speck = NOTHING_MARKED.clone()
    speck[0, 19, 11] = True
    voxels, _ = clicked(NOTHING_MARKED, speck, slips=1.0)
    assert ((voxels >= 0) & (voxels < SIZE)).all()
    assert (voxels - torch.tensor([0, 19, 11])).abs().max() == 3


def test_clicks_depend_on_the_generator_alone():
    target = a_ball_of_floats((11, 11, 11), 7)
    assert torch.equal(clicked(NOTHING_MARKED, target, 4, seed=5)[0], clicked(NOTHING_MARKED, target, 4, seed=5)[0])
    assert not torch.equal(clicked(NOTHING_MARKED, target, 4, seed=5)[0], clicked(NOTHING_MARKED, target, 4, seed=6)[0])
