from __future__ import annotations

import numpy as np
import pytest

from MemorizingSAM3DLib.engine.errors import VolumeError
from MemorizingSAM3DLib.engine.geometry import Volume, resample_to_crop
from MemorizingSAM3DLib.engine.networks.normalisation import normalise
from MemorizingSAM3DLib.learning.data.cases import FOREGROUND, case_volume
from MemorizingSAM3DLib.learning.data.random_crops import RandomCrop, random_crop, random_placement
from Testing.learning.small_cases import a_case

SIZE, SPACINGS = 24, (0.5, 12.0)
CASE = a_case(seed=4)
VOLUME = case_volume(CASE)


def a_crop(seed: int, label: int = 1) -> RandomCrop:
    return random_crop(CASE, VOLUME, label, np.random.default_rng(seed), SIZE, SPACINGS)


@pytest.fixture(scope="module")
def some_crops() -> list[RandomCrop]:
    return [a_crop(seed) for seed in range(40)]


def test_a_crop_follows_from_its_generator():
    first, again, other = a_crop(7), a_crop(7), a_crop(8)
    assert np.array_equal(first.image, again.image) and np.array_equal(first.inside, again.inside)
    assert not np.array_equal(first.image, other.image)


def test_crops_are_of_one_size_and_of_voxel_sizes_in_the_range(some_crops):
    for crop in some_crops:
        assert crop.image.shape == (1, SIZE, SIZE, SIZE) and crop.image.isfinite().all()
        assert SPACINGS[0] <= crop.grid.spacing <= SPACINGS[1]
    assert len({crop.grid.spacing for crop in some_crops}) > 30


def test_a_voxel_of_the_structure_is_always_in_view(some_crops):
    for crop in some_crops:
        assert crop.occupancy(CASE.mask(1)).max() > 0


def test_masks_lie_where_the_image_shows_their_structure(some_crops):
    """However the scan was turned, flipped and stretched: the block of label 1 is bright, that of 2 dark."""
    compared = 0
    for crop in some_crops:
        bright, dark = (crop.occupancy(CASE.mask(label)) > 0.99 for label in (1, 2))
        if min(bright.sum(), dark.sum()) >= 5:
            compared += 1
            assert crop.unchanged[bright].min() > crop.unchanged[dark].max()
    assert compared > 10


def test_what_is_inside_the_scan_is_known(some_crops):
    assert any(crop.inside.all() for crop in some_crops) and any(not crop.inside.all() for crop in some_crops)
    for crop in some_crops:
        whole = crop.occupancy(np.ones(CASE.labels.shape, bool))
        assert (whole[~crop.inside] < 1).all() and (whole[crop.inside] > 0).all()


def test_labels_near_the_crop_are_told_and_no_background(some_crops):
    told = [crop.labels_inside().tolist() for crop in some_crops]
    for crop, labels in zip(some_crops, told, strict=True):
        assert set(labels) <= {1, 2}
        for label in (1, 2):
            assert label in labels or crop.occupancy(CASE.mask(label)).max() == 0
    assert any(labels == [1] for labels in told) and any(labels == [1, 2] for labels in told)


def test_a_crop_is_sampled_and_normalised_as_a_sessions(some_crops):
    for crop in some_crops[:10]:
        voxels, inside = resample_to_crop(crop.volume, crop.grid)
        ways = [normalise(voxels, inside, modality) for modality in ("MR", None)]
        assert np.array_equal(crop.inside, inside)
        assert any(np.array_equal(crop.unchanged, way) for way in ways)


def test_crops_of_the_body_show_it():
    crop = a_crop(3, FOREGROUND)
    assert crop.occupancy(CASE.mask(FOREGROUND)).max() > 0.5


def test_a_placed_scan_keeps_perpendicular_axes_whatever_is_drawn():
    flipped = permuted = turned = 0
    for seed in range(200):
        matrix = random_placement(np.random.default_rng(seed))
        placed = VOLUME.placed(matrix @ VOLUME.ijk_to_ras)  # refuses what is sheared
        assert np.allclose(placed.spacing, VOLUME.spacing, rtol=0.5)
        directions = placed.ijk_to_ras[:3, :3] / placed.spacing
        flipped += np.linalg.det(directions) < 0
        permuted += np.abs(directions).argmax(0).tolist() != [0, 1, 2]
        turned += not np.isin(np.abs(directions).round(6), (0, 1)).all()
    assert 50 < flipped < 150 and 3 < permuted < 40 and 70 < turned < 150


def test_a_placed_volume_has_its_own_matrix_and_the_same_voxels():
    shifted = VOLUME.ijk_to_ras.copy()
    shifted[:3, 3] = (5, 6, 7)
    placed = VOLUME.placed(shifted)
    assert isinstance(placed, Volume) and placed.array is VOLUME.array and placed.modality == VOLUME.modality
    assert placed.ijk_to_ras_points((0, 0, 0)).tolist() == [5, 6, 7]
    assert VOLUME.ijk_to_ras_points((0, 0, 0)).tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="read-only"):
        placed.ijk_to_ras[0, 0] = 3


def test_a_matrix_that_shears_is_refused():
    sheared = np.eye(4)
    sheared[0, 1] = 0.5
    with pytest.raises(VolumeError, match="sheared"):
        VOLUME.placed(sheared)
