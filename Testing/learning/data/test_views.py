from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from MemorizingSAM3DLib.engine.networks.config import spacing_range_of
from MemorizingSAM3DLib.learning.data.cases import Case
from MemorizingSAM3DLib.learning.data.views import RandomCrop, box_of_random_crop, random_crop, sample_random_crop

SHAPE = (40, 34, 28)
RANGE_MM = 0.5, 3.0


def a_ramp() -> tuple[np.ndarray, np.ndarray]:
    """An image that grows along every axis at its own rate, and the coefficients."""
    rates = np.array([1.0, 10.0, 100.0])
    return np.einsum("a,arst->rst", rates, np.indices(SHAPE)).astype(np.float32), rates


def a_view(
    matrix: np.ndarray, focus: tuple[float, float, float], average: tuple[int, int, int] = (1, 1, 1)
) -> RandomCrop:
    return RandomCrop(0, 1, np.asarray(matrix, float), np.asarray(focus, float), average)


def looked_through(view: RandomCrop, image: np.ndarray, mask: np.ndarray, size: int = 16):
    box = box_of_random_crop(view, image.shape, size)
    return sample_random_crop(view, torch.from_numpy(image[box].copy()), torch.from_numpy(mask[box].copy()), box, size)


def positions(view: RandomCrop, size: int = 16) -> np.ndarray:
    """(size, size, size, 3): scan voxels of the crop's voxels, by the definition."""
    steps = np.moveaxis(np.indices((size,) * 3), 0, -1) - (size - 1) / 2
    return steps @ view.matrix.T + view.focus


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_every_voxel_of_a_crop_shows_the_scan_where_the_view_says(seed):
    rng = np.random.default_rng(seed)
    image, rates = a_ramp()
    matrix = np.linalg.qr(rng.normal(size=(3, 3)))[0] * rng.uniform(0.3, 1.2, 3)
    view = a_view(matrix, tuple(rng.uniform(0.2, 0.8, 3) * SHAPE))
    crop, _, inside = looked_through(view, image, np.zeros(SHAPE, bool))
    place = positions(view)
    within = ((place >= 0) & (place <= np.array(SHAPE) - 1)).all(-1)
    np.testing.assert_allclose(crop.numpy()[within], (place @ rates)[within], atol=0.05)
    beyond = ((place < -0.51) | (place > np.array(SHAPE) - 0.49)).any(-1)
    assert inside.numpy()[within].all() and not inside.numpy()[beyond].any()


def test_averaged_voxels_stay_where_they_are():
    image, rates = a_ramp()
    view = a_view(np.diag([2.0, 3.0, 1.0]), (19.3, 16.1, 13.7), (2, 3, 1))
    crop, _, _ = looked_through(view, image, np.zeros(SHAPE, bool), size=8)
    place = positions(view, 8)
    within = ((place >= 2) & (place <= np.array(SHAPE) - 4)).all(-1)
    assert within.sum() > 100
    np.testing.assert_allclose(crop.numpy()[within], (place @ rates)[within], atol=0.05)


def test_outside_of_the_scan_a_crop_holds_the_lowest_value_it_covers_and_no_target():
    image = np.full(SHAPE, 50, dtype=np.int16)
    image[2, 3, 4] = -70
    mask = np.ones(SHAPE, dtype=bool)
    crop, target, inside = looked_through(a_view(np.eye(3) * 2, (0, 0, 0)), image, mask)
    assert 0 < inside.sum() < inside.numel()
    assert set(crop[~inside].tolist()) == {-70.0}
    assert torch.equal(target > 0, inside)


def test_the_target_is_where_the_mask_fills_at_least_half():
    mask = np.zeros(SHAPE, dtype=bool)
    mask[10:20, 8:20, 6:20] = True
    view = a_view(np.eye(3), (15.0, 14.0, 13.0))
    _, target, _ = looked_through(view, mask.astype(np.float32), mask, size=15)
    place = positions(view, 15)
    expected = ((place > (9.51, 7.51, 5.51)) & (place < 19.49)).all(-1)
    np.testing.assert_array_equal(target.numpy() > 0, expected)


def a_case(spacing=(1.0, 1.0, 1.0), extent: int = 12) -> Case:
    labels = np.zeros((64, 64, 64), dtype=np.uint8)
    labels[20 : 20 + extent, 24 : 24 + extent, 28 : 28 + extent] = 1
    return Case("a", "one", "MR", labels.astype(np.int16), labels, spacing, {1: "block"})


def voxel_mm(case: Case, view: RandomCrop) -> np.ndarray:
    return np.linalg.norm(view.matrix * np.array(case.spacing)[:, None], axis=0)


def test_voxel_sizes_follow_the_object_or_the_first_guess_within_the_range():
    small, large = a_case(extent=6), a_case(extent=36)
    sizes = {}
    for name, case in (("small", small), ("large", large)):
        views = [random_crop(0, case, 1, np.random.default_rng(seed), 32, RANGE_MM) for seed in range(60)]
        sizes[name] = np.array([voxel_mm(case, view).mean() for view in views])
        low, high = RANGE_MM
        assert (sizes[name] > low * 0.75).all() and (sizes[name] < high * 1.35).all()
    assert np.median(sizes["small"]) < 0.8 * np.median(sizes["large"])


def test_published_networks_are_trained_at_their_one_voxel_size():
    case = a_case((2.0, 2.0, 2.0))
    fixed = spacing_range_of("sam_med3d", 128)
    views = [random_crop(0, case, 1, np.random.default_rng(s), 32, fixed) for s in range(40)]
    sizes = np.array([voxel_mm(case, view) for view in views])
    assert np.median(sizes) == pytest.approx(1.5, rel=0.05)


def test_views_are_flipped_turned_and_look_at_the_object():
    case = a_case()
    views = [random_crop(0, case, 1, np.random.default_rng(seed), 32, RANGE_MM) for seed in range(80)]
    flips = [np.sign(np.diag(view.matrix)) for view in views]
    assert 0.3 < np.mean([signs[0] < 0 for signs in flips]) < 0.7  # left and right, half of the time
    assert 0.03 < np.mean([signs[2] < 0 for signs in flips]) < 0.35
    assert 0.2 < np.mean([np.count_nonzero(view.matrix) == 3 for view in views]) < 0.6
    for view in views[:10]:
        box = box_of_random_crop(view, case.image.shape, 32)
        image, mask = (torch.from_numpy(part) for part in (case.image[box], case.mask(1, box)))
        assert sample_random_crop(view, image, mask, box, 32)[1].sum() > 0


def test_detail_is_averaged_along_the_axes_that_shrink():
    case = a_case((0.5, 0.5, 3.0), extent=30)
    view = random_crop(0, case, 1, np.random.default_rng(3), 16, RANGE_MM)
    shrinks = voxel_mm(case, view).mean() / np.array(case.spacing)
    assert view.average[0] == view.average[1] > 1
    assert view.average[2] == 1
    assert view.average[0] == pytest.approx(shrinks[0], abs=1)
