from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from MemorizingSAM3DLib.learning import synthesis
from MemorizingSAM3DLib.learning.shapes import NESTED
from MemorizingSAM3DLib.learning.synthesis import synthesise


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


def test_several_views_of_a_map_differ_in_all_but_the_map():
    images, targets = synthesise(np.random.default_rng(1), 48, views=4)
    assert images.shape == targets.shape == (4, 48, 48, 48)
    assert images.isfinite().all() and set(targets.unique().tolist()) <= {0.0, 1.0}
    assert all(not torch.equal(images[i], images[j]) for i in range(4) for j in range(i))
    assert all(not torch.equal(targets[i], targets[j]) for i in range(4) for j in range(i))


def test_targets_of_views_are_often_there_and_lie_on_structures():
    filled, contrasts = [], []
    for seed in range(8):
        images, targets = synthesise(np.random.default_rng(seed), 48, views=3)
        for image, target in zip(images, targets, strict=True):
            filled.append(bool(target.any()))
            ring = (functional.max_pool3d(target[None], 5, stride=1, padding=2)[0] > 0) & (target == 0)
            if target.any() and ring.any():
                contrasts.append(float((image[target > 0].mean() - image[ring].mean()).abs()))
    assert np.mean(filled) > 0.8
    assert np.median(contrasts) > 0.1


def test_some_targets_are_unions_of_labels(monkeypatch):
    # A shell of a wall (17) and its lumen (17 + NESTED), and a block (30) beside it.
    labels = torch.zeros(32, 32, 32, dtype=torch.uint8)
    labels[2:22, 2:22, 2:22] = 17
    labels[6:18, 6:18, 6:18] = 17 + NESTED
    labels[24:31, 4:28, 4:28] = 30
    monkeypatch.setattr(synthesis, "label_map", lambda rng, generator, size: labels)
    volumes = [int(synthesise(np.random.default_rng(seed), 32)[1].sum()) for seed in range(300)]
    lumen, block = 12**3, 7 * 24**2
    wall = 20**3 - lumen
    single, organ, pairs = {wall, lumen, block}, {wall + lumen}, {wall + block, lumen + block}
    assert set(volumes) == single | organ | pairs | {wall + lumen + block}
    assert 0.6 < np.mean([volume in single for volume in volumes]) < 0.9
    assert 0.02 < np.mean([volume in organ for volume in volumes]) < 0.2
    assert 0.01 < np.mean([volume in pairs for volume in volumes]) < 0.1


def test_a_map_without_structures_has_no_target(monkeypatch):
    empty = torch.zeros(32, 32, 32, dtype=torch.uint8)
    monkeypatch.setattr(synthesis, "label_map", lambda rng, generator, size: empty)
    for seed in range(30):
        assert not synthesise(np.random.default_rng(seed), 32)[1].any()
