from __future__ import annotations

import heapq
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from MemorizingSAM3DLib.engine.networks import prompt_maps
from MemorizingSAM3DLib.engine.networks.prompt_maps import (
    BOX_IN,
    LASSO_OUT,
    LIKENESSES,
    NEAR_CELLS,
    PADDING,
    POINT_IN,
    POINT_OUT,
    SCRIBBLE_IN,
    SCRIBBLE_OUT,
    SWEEPS,
    connected,
    distance_maps,
    intensities_at,
    intensity_codes,
    likeness_maps,
    likeness_tables,
    placed,
    seed_maps,
)

SIZE = 8  # cells of the half grid; the crop has 16 voxels an edge
ANYWHERE = st.tuples(*[st.floats(-0.5, 2 * SIZE - 0.51)] * 3)
PLACED = st.sampled_from([POINT_OUT, POINT_IN, SCRIBBLE_OUT, SCRIBBLE_IN])
PROMPTS = st.lists(st.tuples(ANYWHERE, PLACED), min_size=1, max_size=6)
property_test = settings(deadline=None, max_examples=40)


def prompts_of(drawn) -> tuple[Tensor, Tensor]:
    return torch.tensor([[place for place, _ in drawn]]), torch.tensor([[kind for _, kind in drawn]])


def one_prompt(*place: float, kind: int = POINT_IN) -> tuple[Tensor, Tensor]:
    return torch.tensor([[list(place)]]), torch.tensor([[kind]])


def maps_of(coords: Tensor, kinds: Tensor, image: Tensor) -> dict[str, Tensor]:
    """Every map that a prompt encoder draws, by name."""
    tables = likeness_tables(intensities_at(coords, image), kinds)
    return {
        "distance": distance_maps(coords, kinds, SIZE),
        "seeds": seed_maps(coords, kinds, SIZE),
        "likeness": likeness_maps(intensity_codes(image), tables.flatten(1, 2)),
    }


def an_image(seed: int = 0) -> Tensor:
    return torch.rand(1, 1, 2 * SIZE, 2 * SIZE, 2 * SIZE, generator=torch.Generator().manual_seed(seed)) * 2 - 1


# What is where


def test_even_kinds_are_outside_odd_ones_inside_and_corners_lie_on_nothing():
    kinds = torch.tensor([PADDING, POINT_OUT, POINT_IN, SCRIBBLE_OUT, SCRIBBLE_IN, BOX_IN, LASSO_OUT])
    assert placed(kinds, 1).tolist() == [False, False, True, False, True, False, False]
    assert placed(kinds, 0).tolist() == [False, True, False, True, False, False, False]


@property_test
@given(PROMPTS)
def test_a_seed_lies_in_the_cell_of_its_prompt(drawn):
    found = seed_maps(*prompts_of(drawn), SIZE)[0]
    expected = torch.zeros(2, SIZE, SIZE, SIZE)
    for place, kind in drawn:
        # The voxel v reaches from v - 0.5 to v + 0.5, and two of them are a cell.
        r, a, s = (int((coordinate + 0.5) // 2) for coordinate in place)
        expected[1 - kind % 2, r, a, s] = 1
    assert torch.equal(found, expected)


def test_a_prompt_beside_the_crop_seeds_nothing():
    for place in ((-0.6, 3.0, 3.0), (3.0, 2 * SIZE - 0.4, 3.0)):
        assert not seed_maps(*one_prompt(*place), SIZE).any()


@property_test
@given(
    st.tuples(*[st.integers(0, SIZE - 4)] * 3), st.tuples(*[st.integers(0, 3)] * 3), st.tuples(*[st.floats(0, 1)] * 3)
)
def test_maps_move_with_the_prompt(cell, steps, within):
    """So many cells further the maps of places are the same, shifted; what came in from beyond is not compared."""
    start = [2 * c + w for c, w in zip(cell, within, strict=True)]
    moved = [place + 2 * step for place, step in zip(start, steps, strict=True)]
    for draw in (distance_maps, seed_maps):
        before, after = (draw(*one_prompt(*place), SIZE) for place in (start, moved))
        r, a, s = steps
        overlap = after[:, :, r:, a:, s:]
        n = overlap.shape
        torch.testing.assert_close(overlap, before[:, :, : n[2], : n[3], : n[4]], atol=1e-5, rtol=0)


@property_test
@given(PROMPTS, st.randoms())
def test_the_order_of_prompts_does_not_matter(drawn, random):
    shuffled = random.sample(drawn, len(drawn))
    image = an_image()
    expected = maps_of(*prompts_of(drawn), image)
    for name, found in maps_of(*prompts_of(shuffled), image).items():
        assert torch.equal(found, expected[name]), name


@property_test
@given(PROMPTS, st.integers(1, 3), st.sampled_from([PADDING, BOX_IN, LASSO_OUT]))
def test_padding_and_corners_change_no_map(drawn, count, kind):
    coords, kinds = prompts_of(drawn)
    image = an_image()
    expected = maps_of(coords, kinds, image)
    coords = torch.cat([torch.full((1, count, 3), 5.0), coords], 1)
    kinds = torch.cat([torch.full((1, count), kind), kinds], 1)
    for name, found in maps_of(coords, kinds, image).items():
        assert torch.equal(found, expected[name]), name


def test_samples_of_a_batch_do_not_mix():
    image = torch.cat([an_image(0), an_image(1)])
    coords = torch.tensor([[[2.0, 3.0, 4.0]], [[12.0, 9.0, 5.0]]])
    kinds = torch.tensor([[POINT_IN], [SCRIBBLE_OUT]])
    together = maps_of(coords, kinds, image)
    for number in range(2):
        part = slice(number, number + 1)
        for name, alone in maps_of(coords[part], kinds[part], image[part]).items():
            assert torch.equal(together[name][part], alone), name


# Distances


def test_a_prompt_is_near_its_own_cell_and_far_from_others():
    near, wide, *of_the_other_sign = distance_maps(*one_prompt(6.5, 8.5, 4.5), SIZE)[0]  # the middle of cell (3, 4, 2)
    assert near[3, 4, 2] == wide[3, 4, 2] == 1
    assert near[3, 4, 3] == pytest.approx(1 - 1 / NEAR_CELLS)
    assert near[3, 4, 5] == 0 < wide[3, 4, 5] < wide[3, 4, 3] < 1
    assert not torch.stack(of_the_other_sign).any()


def far_apart(count: int) -> Tensor:
    generator = torch.Generator().manual_seed(count)
    return torch.rand(1, count, 3, generator=generator) * (2 * SIZE - 1)


@pytest.mark.parametrize("count", [17, 40])
def test_distances_of_many_prompts_are_those_of_few_within_a_cell(count, monkeypatch):
    coords, kinds = far_apart(count), torch.full((1, count), POINT_IN)
    from_cells = distance_maps(coords, kinds, SIZE)
    monkeypatch.setattr(prompt_maps, "_MOST_MEASURED", count)
    exact = distance_maps(coords, kinds, SIZE)
    assert not torch.equal(from_cells, exact)
    # A place is at most half a cell's diagonal from its cell's middle.
    assert (from_cells - exact).abs().max() <= 0.5 * 3**0.5 / NEAR_CELLS + 1e-6


def test_distances_of_many_prompts_in_the_middles_of_cells_are_exact(monkeypatch):
    coords, kinds = far_apart(30).div(2).floor() * 2 + 0.5, torch.full((1, 30), POINT_OUT)
    from_cells = distance_maps(coords, kinds, SIZE)
    monkeypatch.setattr(prompt_maps, "_MOST_MEASURED", 30)
    torch.testing.assert_close(from_cells, distance_maps(coords, kinds, SIZE), atol=1e-6, rtol=1e-6)


def test_many_prompts_all_beside_the_crop_are_near_nothing():
    assert not distance_maps(torch.full((1, 20, 3), -9.0), torch.full((1, 20), POINT_IN), SIZE).any()


# Intensities


@property_test
@given(ANYWHERE)
def test_a_prompts_intensity_is_the_mean_of_the_voxels_around_it(place):
    image = an_image()
    r, a, s = (int(np.floor(coordinate + 0.5)) for coordinate in place)
    around = image[0, 0, max(0, r - 1) : r + 2, max(0, a - 1) : a + 2, max(0, s - 1) : s + 2]
    found = intensities_at(torch.tensor([[place]]), image)
    assert found.item() == pytest.approx(around.mean().item(), abs=1e-6)


@property_test
@given(st.floats(-2.9, 3.9))
def test_what_is_as_bright_as_a_prompt_is_like_it_at_every_scale(value):
    image = torch.full((1, 1, 6, 6, 6), value)
    tables = likeness_tables(torch.tensor([[value]]), torch.tensor([[POINT_IN]]))
    inside, outside = likeness_maps(intensity_codes(image), tables.flatten(1, 2)).split(len(LIKENESSES), 1)
    assert inside.min() > 0.99
    assert not outside.any()


@property_test
@given(st.floats(-2, 2), st.floats(-0.9, 0.9))
def test_likeness_falls_with_the_difference_and_more_slowly_at_the_wider_scale(value, difference):
    image = torch.full((1, 1, 2, 2, 2), value + difference)
    tables = likeness_tables(torch.tensor([[value]]), torch.tensor([[SCRIBBLE_OUT]]))
    found = likeness_maps(intensity_codes(image), tables[:, 1])[0, :, 0, 0, 0]
    expected = torch.tensor([np.exp(-((difference / scale) ** 2)) for scale in LIKENESSES])
    torch.testing.assert_close(found, expected.float(), atol=0.07, rtol=0)  # a bin is a seventh of the finer scale
    assert found[1] >= found[0]


def test_the_likest_of_several_prompts_counts():
    intensities, kinds = torch.tensor([[-1.0, 0.5, 1.5]]), torch.tensor([[POINT_IN, SCRIBBLE_IN, POINT_OUT]])
    together = likeness_tables(intensities, kinds)
    alone = torch.stack([likeness_tables(intensities[:, n : n + 1], kinds[:, n : n + 1])[:, 0] for n in range(2)])
    assert torch.equal(together[:, 0], alone.amax(0))


def test_intensities_beyond_the_tables_count_as_their_ends():
    codes = intensity_codes(torch.tensor([-50.0, -3.0, 3.999, 80.0]))
    assert codes[0] == codes[1] == 0 and codes[2] == codes[3] > 0


def test_no_map_holds_denormal_numbers():
    coords, kinds = one_prompt(0, 0, 0)
    for name, found in maps_of(coords, kinds, an_image() * 3).items():
        assert not ((found > 0) & (found < 1e-30)).any(), name


# What hangs together


def best_ways(likeness: np.ndarray, seeds: np.ndarray, turns: int | None = None) -> np.ndarray:
    """The largest weakest likeness of all ways from the seeds, found by Dijkstra's search.

    Args:
        turns: only ways that turn at most so often.
    """
    found = np.zeros_like(likeness)
    queue = [(-1.0, tuple(cell), -1, 0) for cell in np.argwhere(seeds == 1).tolist()]
    best: dict[tuple, float] = {}
    heapq.heapify(queue)
    while queue:
        weakest, cell, axis, turned = heapq.heappop(queue)
        state = (cell, axis, turned) if turns is not None else cell
        if best.get(state, 0.0) >= -weakest:
            continue
        best[state] = -weakest
        found[cell] = max(found[cell], -weakest)
        for along in range(3):
            now = turned + (axis not in (-1, along))
            if turns is not None and now > turns:
                continue
            for step in (-1, 1):
                place = cell[along] + step
                if 0 <= place < likeness.shape[along]:
                    other = (*cell[:along], place, *cell[along + 1 :])
                    heapq.heappush(queue, (max(weakest, -float(likeness[other])), other, along, now))
    return found


def connected_numpy(likeness: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    found = connected(*(torch.from_numpy(part.astype(np.float32))[None, None] for part in (likeness, seeds)))
    return found[0, 0].numpy()


@st.composite
def grids(draw) -> tuple[np.ndarray, np.ndarray]:
    size = draw(st.integers(2, 5))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    likeness = (rng.integers(0, 9, (size,) * 3) / 8).astype(np.float32)
    seeds = np.zeros_like(likeness)
    for _ in range(draw(st.integers(0, 3))):
        seeds[tuple(rng.integers(0, size, 3))] = 1
    return likeness, seeds


@property_test
@given(grids())
def test_what_hangs_together_lies_between_ways_that_turn_thrice_and_all_ways(grid):
    found = connected_numpy(*grid)
    assert (found >= best_ways(*grid, turns=SWEEPS)).all()
    assert (found <= best_ways(*grid)).all()


@property_test
@given(grids())
def test_nothing_hangs_together_better_than_it_is_alike(grid):
    likeness, seeds = grid
    found = connected_numpy(likeness, seeds)
    assert (found[seeds == 0] <= likeness[seeds == 0]).all()
    assert (found[seeds == 1] == 1).all()


@property_test
@given(grids(), st.integers(0, 10**6))
def test_another_seed_takes_nothing_away(grid, number):
    likeness, seeds = grid
    more = seeds.copy()
    more[np.unravel_index(number % seeds.size, seeds.shape)] = 1
    assert (connected_numpy(likeness, more) >= connected_numpy(likeness, seeds)).all()


@property_test
@given(grids())
def test_seeds_together_give_the_best_of_each_alone(grid):
    likeness, seeds = grid
    expected = np.zeros_like(seeds)
    for cell in np.argwhere(seeds == 1):
        one = np.zeros_like(seeds)
        one[tuple(cell)] = 1
        expected = np.maximum(expected, connected_numpy(likeness, one))
    assert np.array_equal(connected_numpy(likeness, seeds), expected)


def a_way(*corners: tuple[int, int, int]) -> np.ndarray:
    """Likeness 0.8 along the lines between corners, 0 elsewhere."""
    likeness = np.zeros((9, 9, 9), np.float32)
    for start, stop in pairwise(corners):
        low, high = np.minimum(start, stop), np.maximum(start, stop)
        likeness[tuple(slice(a, b + 1) for a, b in zip(low, high, strict=True))] = 0.8
    return likeness


WAYS = {
    "straight": ((0, 4, 4), (8, 4, 4)),
    "backwards": ((8, 4, 4), (0, 4, 4)),
    "with a corner": ((0, 0, 0), (0, 0, 8), (0, 8, 8)),
    # The axes are swept in the order 0, 1, 2: this is the slowest for it.
    "with three corners": ((0, 0, 0), (0, 0, 8), (0, 8, 8), (8, 8, 8), (8, 8, 0)),
    "as a staircase": ((0, 0, 0), (3, 0, 0), (3, 3, 0), (3, 3, 3), (6, 3, 3), (6, 6, 3), (6, 6, 6)),
}


@pytest.mark.parametrize("corners", WAYS.values(), ids=WAYS)
def test_a_way_is_followed_to_its_end_and_its_weakest_place_counts(corners):
    likeness, seeds = a_way(*corners), np.zeros((9, 9, 9), np.float32)
    seeds[corners[0]] = 1
    np.testing.assert_array_equal(connected_numpy(likeness, seeds), best_ways(likeness, seeds))
    assert connected_numpy(likeness, seeds)[corners[-1]] == np.float32(0.8)
    middle = tuple((np.array(corners[0]) + corners[1]) // 2)
    likeness[middle] = 0.25
    assert connected_numpy(likeness, seeds)[corners[-1]] == 0.25
    likeness[middle] = 0
    assert connected_numpy(likeness, seeds)[corners[-1]] == 0


@property_test
@given(grids())
def test_numpy_and_pytorch_sweep_alike(grid):
    likeness, seeds = grid
    for shape in ((1, 1), (2, 3)):
        tensors = [torch.from_numpy(part).expand(*shape, *part.shape) for part in (likeness, seeds)]
        swept = prompt_maps._swept(torch.minimum, torch.maximum, *tensors, lambda x: x.contiguous())
        assert torch.equal(swept, connected(*tensors))


def test_sweeping_leaves_its_inputs_as_they_are():
    likeness, seeds = torch.rand(1, 2, 4, 4, 4), torch.zeros(1, 2, 4, 4, 4)
    seeds[..., 1, 2, 3] = 1
    before = likeness.clone(), seeds.clone()
    connected(likeness, seeds)
    assert torch.equal(likeness, before[0]) and torch.equal(seeds, before[1])
