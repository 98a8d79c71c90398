from __future__ import annotations

import numpy as np
import torch

from MemorizingSAM3DLib.learning.synthesis import smooth_field, synthesise


def test_a_synthetic_crop_has_a_finite_image_and_a_binary_target():
    filled = 0
    for seed in range(20):
        image, target = synthesise(np.random.default_rng(seed), 32)
        assert image.shape == target.shape == (1, 32, 32, 32)
        assert image.isfinite().all() and image.min() >= -1.5 and image.max() <= 2.5
        assert set(target.unique().tolist()) <= {0.0, 1.0}
        filled += bool(target.any())
    assert filled >= 15


def test_a_synthetic_crop_is_a_function_of_its_generator():
    first, second, other = (synthesise(np.random.default_rng(seed), 32) for seed in (4, 4, 5))
    assert torch.equal(first[0], second[0]) and torch.equal(first[1], second[1])
    assert not torch.equal(first[0], other[0])


def test_targets_differ_from_what_surrounds_them():
    contrasts = []
    for seed in range(12):
        image, target = synthesise(np.random.default_rng(seed), 32)
        grown = torch.nn.functional.max_pool3d(target, 5, stride=1, padding=2)
        shell = (grown > 0) & (target == 0)
        if target.any() and shell.any():
            contrasts.append(float((image[target > 0].mean() - image[shell].mean()).abs()))
    assert np.median(contrasts) > 0.15


def test_targets_come_in_many_sizes():
    volumes = [float(synthesise(np.random.default_rng(seed), 32)[1].mean()) for seed in range(25)]
    filled = [volume for volume in volumes if volume]
    assert min(filled) < 0.03 and max(filled) > 0.1


def test_a_smooth_field_has_little_difference_between_neighbours():
    field = smooth_field((3,), 4, 24, torch.Generator().manual_seed(0))
    assert field.shape == (3, 24, 24, 24)
    assert field.diff(dim=1).abs().max() < field.std() * 1.5
    assert smooth_field((), 4, 24, torch.Generator().manual_seed(0)).shape == (24, 24, 24)
