from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from MemorizingSAM3DLib.engine.networks.prompt_maps import (
    BOX_IN,
    LASSO_IN,
    LASSO_OUT,
    PADDING,
    POINT_IN,
    POINT_OUT,
    SCRIBBLE_IN,
    SCRIBBLE_OUT,
)
from MemorizingSAM3DLib.learning.training import prompting
from MemorizingSAM3DLib.learning.training.prompting import MOST_SCRIBBLED, PromptingUser, PromptsOfSample

SIZE = 24
CPU = torch.device("cpu")


def a_ball(centre: tuple[float, float, float], radius: float) -> np.ndarray:
    places = np.stack(np.indices((SIZE,) * 3), -1) - np.array(centre)
    return np.asarray((places**2).sum(-1) <= radius**2)


NOTHING = np.zeros((SIZE,) * 3, bool)
SMALL, LARGE = a_ball((15, 9, 10), 5.2), a_ball((11, 12, 12), 9)  # 600 and 3000 voxels
TWO = a_ball((6, 6, 6), 4) | a_ball((17, 17, 16), 4)


def batched(masks: list[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.stack(masks))


def a_user(count: int, first: int = 0, **options) -> PromptingUser:
    return PromptingUser([np.random.default_rng([5, first + number]) for number in range(count)], SIZE, **options)


def started(kind: str, truth: np.ndarray, count: int = 30) -> list[PromptsOfSample]:
    user = a_user(count)
    user.shares = {kind: 1.0}
    user.prompt(None, batched([truth] * count))
    return user.samples


def corrected(mask: np.ndarray, truth: np.ndarray, count: int = 30) -> list[PromptsOfSample]:
    user = a_user(count)
    user.prompt(batched([mask] * count), batched([truth] * count))
    return user.samples


def voxels_of(sample: PromptsOfSample) -> np.ndarray:
    return np.floor(np.array(sample.coords) + 0.5).astype(int)


def at(mask: np.ndarray, sample: PromptsOfSample) -> np.ndarray:
    return np.asarray(mask[tuple(voxels_of(sample).T)])


def slipping(monkeypatch, share: float) -> None:
    """So many points are placed wrongly."""
    monkeypatch.setattr(PromptingUser._point, "__defaults__", (share,))


@pytest.fixture
def a_careful_user(monkeypatch):
    """Corrects the larger error by a point in it."""
    slipping(monkeypatch, 0.0)
    for name in ("SMALLER_SHARE", "PAIRED_SHARE", "SCRIBBLE_SHARE", "LASSO_SHARE"):
        monkeypatch.setattr(prompting, name, 0.0)


# The first prompt


@pytest.mark.parametrize("truth", [SMALL, LARGE, TWO], ids=["small", "large", "two parts"])
def test_a_point_lies_in_the_target(truth, a_careful_user):
    samples = started("point", truth)
    for sample in samples:
        assert sample.kinds == [POINT_IN] and at(truth, sample).all()
        assert not sample.regions.any()
    assert len({tuple(sample.coords[0]) for sample in samples}) == len(samples)


def test_points_lie_at_any_depth_but_mostly_deep(a_careful_user):
    depth = ndimage.distance_transform_edt(SMALL)
    depths = np.array([depth[tuple(voxels_of(sample)[0])] for sample in started("point", SMALL, 120)])
    assert (depths > 0.8 * depth.max()).mean() > 0.4
    assert (depths < 0.4 * depth.max()).any()


def test_a_scribble_is_a_line_in_a_slice_of_the_target():
    seen = 0
    for sample in started("scribble", SMALL):
        if sample.kinds == [POINT_IN]:  # the slice was too small
            continue
        seen += 1
        assert set(sample.kinds) == {SCRIBBLE_IN} and len(sample.kinds) <= MOST_SCRIBBLED
        assert at(SMALL, sample).all()
        assert any(len(set(along)) == 1 for along in zip(*sample.coords, strict=True))
    assert seen > 20


def test_a_box_lies_around_the_target_and_its_region_between_its_corners():
    places = np.argwhere(SMALL)
    for sample in started("box", SMALL):
        assert sample.kinds == [BOX_IN, BOX_IN]
        low, high = np.array(sample.coords)
        assert (low < high).all() and (low >= -0.5).all() and (high <= SIZE - 0.5).all()
        assert np.abs(low - (places.min(0) - 0.5)).max() < 4 and np.abs(high - (places.max(0) + 0.5)).max() < 4
        assert SMALL[tuple(slice(*ends) for ends in zip(*np.clip(np.round([low, high]), 0, SIZE).astype(int),
                                                        strict=True))].sum() > 0.6 * SMALL.sum()  # fmt: skip
        filled = np.argwhere(sample.regions[0])
        assert sample.regions[0].sum() == np.prod(np.ptp(filled, axis=0) + 1)  # a box, and whole
        assert np.abs(2 * filled.min(0) - 0.5 - low).max() < 2 and np.abs(2 * filled.max(0) + 1.5 - high).max() < 2
        assert not sample.regions[1].any()


def test_boxes_are_now_and_then_too_tight_and_mostly_too_wide():
    places = np.argwhere(SMALL)
    low = np.array([sample.coords[0] for sample in started("box", SMALL, 60)])
    wider = low < places.min(0) - 0.5
    assert 0.5 < wider.mean() < 0.8


def test_a_flat_box_lies_in_one_slice_of_the_target():
    for sample in started("flat box", SMALL):
        low, high = np.array(sample.coords)
        flat = np.flatnonzero(np.isclose(high - low, 1.0) & np.isclose(low % 1, 0.5))
        assert any(SMALL.take(int(low[axis] + 0.5), int(axis)).any() for axis in flat)
        assert 1 in np.ptp(np.argwhere(sample.regions[0]), axis=0) + 1


def test_a_lasso_is_a_filled_outline_in_one_slice_near_the_target():
    near = ndimage.binary_dilation(SMALL, iterations=3)
    for sample in started("lasso", SMALL):
        assert sample.kinds == [LASSO_IN, LASSO_IN] and not sample.regions[0].any()
        cells = np.argwhere(sample.regions[1])
        assert set(sample.regions[1][tuple(cells.T)]) == {1.0}
        assert 1 in np.ptp(cells, axis=0) + 1
        whole = np.repeat(np.repeat(np.repeat(sample.regions[1] > 0, 2, 0), 2, 1), 2, 2)
        assert (whole & SMALL).any() and (whole & ~near).sum() < 0.25 * whole.sum()
        corners = voxels_of(sample)
        assert (corners[0] // 2 == cells.min(0)).all() and (corners[1] // 2 == cells.max(0)).all()


def test_every_kind_of_start_occurs_and_points_are_most():
    user = a_user(200)
    user.prompt(None, batched([SMALL] * 200))
    first = [sample.kinds[0] for sample in user.samples]
    assert set(first) == {POINT_IN, SCRIBBLE_IN, BOX_IN, LASSO_IN}
    assert 0.5 < np.mean(np.array(first) == POINT_IN) < 0.85
    pointing = a_user(40, point_starts=True)
    pointing.prompt(None, batched([SMALL] * 40))
    assert all(sample.kinds == [POINT_IN] for sample in pointing.samples)


def test_a_target_that_is_not_there_is_not_prompted():
    user = a_user(2)
    user.prompt(None, batched([NOTHING, SMALL]))
    assert user.samples[0].kinds == [] and user.samples[1].kinds
    coords, kinds, _ = user.tensors(CPU)
    assert (kinds[0] == PADDING).all() and coords.isfinite().all()
    alone = a_user(1)
    alone.prompt(None, batched([NOTHING]))
    assert alone.tensors(CPU)[1].tolist() == [[PADDING]]


# Corrections


def test_a_correction_lies_in_the_larger_error_and_has_its_sign(a_careful_user):
    missed, false = a_ball((15, 9, 10), 3.5), a_ball((4, 18, 18), 2)
    for sample in corrected((SMALL & ~missed) | false, SMALL):
        assert sample.kinds == [POINT_IN] and at(missed & SMALL, sample).all()
    false = a_ball((6, 18, 18), 5)
    for sample in corrected((SMALL & ~a_ball((15, 9, 10), 2)) | false, SMALL):
        assert sample.kinds == [POINT_OUT] and at(false, sample).all()


def test_now_and_then_the_smaller_error_is_corrected(a_careful_user, monkeypatch):
    mask = (SMALL & ~a_ball((15, 9, 10), 3.5)) | a_ball((4, 18, 18), 2)
    monkeypatch.setattr(prompting, "SMALLER_SHARE", 0.12)
    signs = [sample.kinds for sample in corrected(mask, SMALL, 150)]
    assert 0.03 < signs.count([POINT_OUT]) / 150 < 0.25
    # Where there is but one kind of error, it is that one.
    assert all(sample.kinds == [POINT_IN] for sample in corrected(SMALL & ~a_ball((15, 9, 10), 3.5), SMALL, 40))


def test_paired_corrections_lie_in_either_error(a_careful_user, monkeypatch):
    monkeypatch.setattr(prompting, "PAIRED_SHARE", 1.0)
    missed, false = a_ball((15, 9, 10), 3.5), a_ball((4, 18, 18), 2)
    for sample in corrected((SMALL & ~missed) | false, SMALL):
        assert sample.kinds == [POINT_IN, POINT_OUT]
        assert at(missed & SMALL, sample)[0] and at(false, sample)[1]
    assert all(len(sample.kinds) == 1 for sample in corrected(SMALL | false, SMALL))


def test_corrections_are_points_mostly_and_now_and_then_scribbles_and_lassos():
    mask = SMALL | a_ball((6, 18, 18), 5)
    kinds = [sample.kinds[0] for sample in corrected(mask, SMALL, 300)]
    assert set(kinds) == {POINT_OUT, SCRIBBLE_OUT, LASSO_OUT}
    assert np.mean(np.array(kinds) == POINT_OUT) > 0.8
    lassos = [sample for sample in corrected(mask, SMALL, 300) if LASSO_OUT in sample.kinds]
    assert lassos and all(set(np.unique(sample.regions[1])) == {-1.0, 0.0} for sample in lassos)


def test_few_points_are_placed_wrongly(monkeypatch):
    def wrong(count: int) -> float:
        return float(np.mean([not at(SMALL, sample).all() for sample in started("point", SMALL, count)]))

    assert 0 < wrong(500) < 0.05
    slipping(monkeypatch, 1.0)
    assert wrong(100) > 0.15
    for sample in started("point", a_ball((0, 0, 23), 6), 60):
        assert ((voxels_of(sample) >= 0) & (voxels_of(sample) < SIZE)).all()


def test_where_nothing_is_wrong_a_click_now_and_then_says_so():
    samples = corrected(SMALL, SMALL, 300)
    clicked = [sample for sample in samples if sample.kinds]
    assert 0.15 < len(clicked) / 300 < 0.35
    assert {sample.kinds[0] for sample in clicked} == {POINT_IN, POINT_OUT}
    for sample in clicked:
        assert at(SMALL, sample)[0] == (sample.kinds == [POINT_IN])
        assert at(ndimage.binary_dilation(SMALL, iterations=3), sample).all()


def test_a_mask_to_begin_with_is_corrected_not_boxed():
    user = a_user(20)
    user.shares = {"box": 1.0}
    user.prompt(batched([LARGE] * 10 + [NOTHING] * 10), batched([SMALL] * 20))
    assert not any(BOX_IN in sample.kinds for sample in user.samples[:10])
    assert all(sample.kinds == [BOX_IN, BOX_IN] for sample in user.samples[10:])


# Sequences


def test_prompts_are_added_and_none_is_lost():
    user, count = a_user(8), 0
    mask, before = None, [[] for _ in range(8)]
    for _ in range(5):
        user.prompt(mask, batched([SMALL] * 8))
        for sample, past in zip(user.samples, before, strict=True):
            assert sample.coords[: len(past)] == past and len(sample.coords) == len(sample.kinds)
        before = [list(sample.coords) for sample in user.samples]
        assert sum(map(len, before)) > count
        count = sum(map(len, before))
        mask = batched([LARGE] * 8)


def test_a_sample_is_prompted_alike_whatever_its_neighbours():
    together, alone = a_user(6), a_user(1, first=4)
    truths = [SMALL, LARGE, TWO, NOTHING, TWO, SMALL]
    for masks in (None, batched([LARGE] * 6)):
        together.prompt(masks, batched(truths))
        alone.prompt(None if masks is None else masks[:1], batched([TWO]))
    assert together.samples[4].coords == alone.samples[0].coords
    assert together.samples[4].kinds == alone.samples[0].kinds
    assert np.array_equal(together.samples[4].regions, alone.samples[0].regions)


def test_padding_comes_first_so_that_the_newest_prompts_are_last():
    user = a_user(2)
    user.samples[0].coords, user.samples[0].kinds = [(1.0, 2.0, 3.0)], [POINT_IN]
    user.samples[1].coords, user.samples[1].kinds = [(4.0, 5.0, 6.0), (7.0, 8.0, 9.0)], [POINT_OUT, SCRIBBLE_IN]
    coords, kinds, regions = user.tensors(CPU)
    assert kinds.tolist() == [[PADDING, POINT_IN], [POINT_OUT, SCRIBBLE_IN]]
    assert coords[0, 1].tolist() == [1, 2, 3] and coords[1].tolist() == [[4, 5, 6], [7, 8, 9]]
    assert regions is None
    user.samples[1].regions[0, 3] = 1
    found = user.tensors(CPU)[2]
    assert found is not None and found.shape == (2, 2, SIZE // 2, SIZE // 2, SIZE // 2)
    assert not found[0].any() and found[1, 0, 3].all()
