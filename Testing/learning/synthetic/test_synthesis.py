from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch.nn import functional

from MemorizingSAM3DLib.learning.synthetic import synthesis
from MemorizingSAM3DLib.learning.synthetic.synthesis import (
    LABELS,
    NESTED,
    RANGE,
    appearance,
    label_map,
    smooth_field,
    synthesise,
)


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


def a_map(seed: int, size: int = 40) -> torch.Tensor:
    return label_map(np.random.default_rng(seed), torch.Generator().manual_seed(seed), size)


@pytest.fixture(scope="module")
def some_maps() -> list[np.ndarray]:
    return [a_map(seed).numpy() for seed in range(20)]


def test_a_label_map_follows_from_its_generators():
    assert torch.equal(a_map(3), a_map(3))
    assert not torch.equal(a_map(3), a_map(4))
    assert a_map(3).dtype == torch.uint8 and a_map(3).shape == (40, 40, 40)


def test_maps_hold_several_structures(some_maps):
    counts = [len(np.unique(labels)) - 1 for labels in some_maps]
    assert max(counts) < LABELS and np.median(counts) >= 6


def test_some_structures_are_nested(some_maps):
    nested = 0
    for labels in some_maps:
        for inner in np.unique(labels[labels >= NESTED]).tolist():
            lumen, wall = labels == inner, labels == inner - NESTED
            around = ndimage.binary_dilation(lumen) & ~lumen
            nested += int(around.any() and wall[around].mean() > 0.9)
    assert nested >= 5


def test_some_structures_touch(some_maps):
    touching = 0
    for labels in some_maps:
        a, b = labels[:-1], labels[1:]
        pairs = np.unique(np.stack([a, b])[:, (a != b) & (a > 1) & (b > 1)], axis=1)
        touching += pairs.shape[1]
    assert touching > 80


def test_some_structures_have_holes(some_maps):
    holed = 0
    for labels in some_maps:
        for label in np.unique(labels[labels > 0]).tolist():
            mask = labels == label
            holed += int((ndimage.binary_fill_holes(mask) & ~mask).any())
    assert holed >= 10


def test_maps_have_no_straight_boundaries_from_the_boxes_they_are_painted_in(some_maps):
    # A shape cut by its box would end in a plane: many voxels of a label in one slice, none in the next.
    cut = 0
    for labels in some_maps:
        for label in np.unique(labels[labels > 0]).tolist():
            profile = (labels == label).sum((1, 2))[1:-1]
            cut += int((np.abs(np.diff(profile)) > 0.25 * labels[0].size).any())
    assert cut <= 2


def test_a_smooth_field_has_little_difference_between_neighbours():
    field = smooth_field((3,), 4, 24, torch.Generator().manual_seed(0))
    assert field.shape == (3, 24, 24, 24)
    assert field.diff(dim=1).abs().max() < field.std() * 1.5
    assert smooth_field((), 4, 24, torch.Generator().manual_seed(0)).shape == (24, 24, 24)


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
