from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from MemorizingSAM3DLib.learning.synthetic.supervoxels import LARGEST_SHARE, LEAST_VOXELS, supervoxel_structure

SIZE = 32
EVERYWHERE = np.ones((SIZE,) * 3, bool)


def an_image(seed: int = 0) -> np.ndarray:
    """Balls of several brightnesses in a dark ground, with a little noise."""
    rng = np.random.default_rng(seed)
    image = np.full((SIZE,) * 3, -0.8, np.float32)
    places = np.indices(image.shape).reshape(3, -1).T
    for value in (-0.3, 0.1, 0.4, 0.7, 1.0):
        near = ((places - rng.uniform(6, SIZE - 6, 3)) ** 2).sum(1) < rng.uniform(3, 7) ** 2
        image[near.reshape(image.shape)] = value
    return image + rng.normal(0, 0.03, image.shape).astype(np.float32)


@pytest.fixture(scope="module")
def some_structures() -> list[tuple[np.ndarray, np.ndarray]]:
    """(image, structure), where one was found."""
    made = [(image, supervoxel_structure(image, EVERYWHERE, np.random.default_rng(seed)))
            for seed, image in ((seed, an_image(seed)) for seed in range(24))]  # fmt: skip
    return [(image, structure) for image, structure in made if structure is not None]


def test_mostly_one_is_found(some_structures):
    assert len(some_structures) >= 12


def test_none_is_too_small_or_too_large_or_a_background(some_structures):
    for _, structure in some_structures:
        assert structure.dtype == bool and structure.shape == (SIZE,) * 3
        assert LEAST_VOXELS <= structure.sum() <= LARGEST_SHARE * structure.size
        faces = [structure.take(side, axis).any() for axis in range(3) for side in (0, -1)]
        assert sum(faces) <= 2


def contrast(image: np.ndarray, structure: np.ndarray) -> float:
    around = ndimage.binary_dilation(structure, iterations=2) & ~structure
    return float(abs(image[structure].mean() - image[around].mean()) / image.std())


def test_what_is_found_is_unlike_what_is_around_it(some_structures):
    """The same shapes elsewhere are not."""
    found = np.median([contrast(image, structure) for image, structure in some_structures])
    elsewhere = np.median([contrast(image, np.roll(structure, (11, 13, 17), (0, 1, 2)))
                           for image, structure in some_structures])  # fmt: skip
    assert found > 1 and found > 2 * elsewhere


def test_it_stays_inside_the_scan():
    image, inside = an_image(2), EVERYWHERE.copy()
    inside[:, :, SIZE // 2 :] = False
    image[~inside] = -1.5
    found = [supervoxel_structure(image, inside, np.random.default_rng(seed)) for seed in range(12)]
    structures = [structure for structure in found if structure is not None]
    assert structures
    for structure in structures:
        assert not structure[~inside].any()
        assert structure.sum() <= 0.5 * inside.sum()


def test_it_follows_from_its_generator_and_leaves_the_image_as_it_is():
    image = an_image(1)
    before = image.copy()
    first, again = (supervoxel_structure(image, EVERYWHERE, np.random.default_rng(5)) for _ in range(2))
    assert first is not None and again is not None and np.array_equal(first, again)
    assert np.array_equal(image, before)
    others = [supervoxel_structure(image, EVERYWHERE, np.random.default_rng(seed)) for seed in range(6, 12)]
    assert any(other is not None and not np.array_equal(other, first) for other in others)


def test_an_image_without_edges_and_a_crop_beside_the_scan_have_none():
    flat = np.zeros((SIZE,) * 3, np.float32)
    assert supervoxel_structure(flat, EVERYWHERE, np.random.default_rng(0)) is None
    assert supervoxel_structure(an_image(), ~EVERYWHERE, np.random.default_rng(0)) is None
