from __future__ import annotations

import numpy as np
import torch

from MemorizingSAM3DLib.learning.appearance import RANGE, appearance


def some_labels(views: int = 3) -> torch.Tensor:
    labels = torch.zeros(views, 32, 32, 32, dtype=torch.uint8)
    labels[:, 4:28, 4:28, 4:28] = 1
    labels[:, 10:22, 10:22, 10:22] = 40
    return labels


def looks(seed: int, views: int = 3) -> torch.Tensor:
    return appearance(some_labels(views), np.random.default_rng(seed), torch.Generator().manual_seed(seed))


def test_each_view_of_a_map_looks_otherwise():
    images = looks(0)
    assert images.shape == (3, 32, 32, 32)
    assert not torch.equal(images[0], images[1])


def test_intensities_are_finite_and_in_the_range_of_normalised_crops():
    for seed in range(15):
        images = looks(seed)
        assert images.isfinite().all()
        assert images.min() >= RANGE[0] and images.max() <= RANGE[1]


def test_structures_differ_more_between_than_within_themselves():
    ratios = []
    for seed in range(15):
        for image in looks(seed):
            inner, outer = image[12:20, 12:20, 12:20], image[5:9, 5:27, 5:27]
            ratios.append(float((inner.mean() - outer.mean()).abs() / (inner.std() + outer.std())))
    assert np.median(ratios) > 1


def test_about_a_third_of_the_images_have_thick_slices():
    speckles = torch.from_numpy(np.random.default_rng(0).integers(0, 100, (4, 24, 24, 24)).astype(np.uint8))
    ratios = []
    for seed in range(20):
        for image in appearance(speckles, np.random.default_rng(seed), torch.Generator().manual_seed(seed)):
            steps = [float(image.diff(dim=axis).abs().mean()) for axis in range(3)]
            ratios.append(min(steps) / max(steps))
    assert 0.15 < np.mean(np.array(ratios) < 0.85) < 0.5
