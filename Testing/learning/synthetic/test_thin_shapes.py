from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from MemorizingSAM3DLib.learning.synthetic import thin_shapes
from MemorizingSAM3DLib.learning.synthetic.thin_shapes import cluster, ring, speck, thin_shape, tree, vertebra

SIZE = 32
KINDS = {kind.__name__: kind for kind in (tree, ring, vertebra, cluster, speck)}


def some(paint, count: int = 20) -> list[np.ndarray]:
    return [paint(np.random.default_rng(seed), SIZE) for seed in range(count)]


@pytest.mark.parametrize("paint", KINDS.values(), ids=KINDS)
def test_every_kind_is_there_mostly_and_never_fills_the_crop(paint):
    shapes = some(paint)
    assert all(shape.dtype == bool and shape.shape == (SIZE,) * 3 for shape in shapes)
    assert sum(shape.any() for shape in shapes) >= 18
    assert max(shape.mean() for shape in shapes) < 0.5


@pytest.mark.parametrize("paint", KINDS.values(), ids=KINDS)
def test_every_kind_follows_from_its_generator(paint):
    first, again, other = (paint(np.random.default_rng(seed), SIZE) for seed in (3, 3, 4))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_trees_and_rings_are_thin():
    """Half of their voxels are within so little of the outside; a ball of a tenth of the crop is deeper."""
    for paint in (tree, ring):
        depths = [np.median(ndimage.distance_transform_edt(shape)[shape]) for shape in some(paint) if shape.any()]
        assert np.median(depths) <= 2


def test_trees_hang_together():
    shares = []
    for shape in some(tree):
        parts, _ = ndimage.label(shape, np.ones((3, 3, 3)))
        shares.append(np.bincount(parts.ravel())[1:].max() / shape.sum())
    assert np.median(shares) > 0.9


def test_some_clusters_are_in_parts():
    counts = [ndimage.label(shape)[1] for shape in some(cluster)]
    assert max(counts) >= 3


def test_specks_are_small():
    assert np.median([shape.sum() for shape in some(speck)]) < 0.02 * SIZE**3


def test_any_kind_is_drawn(monkeypatch):
    drawn: list[str] = []
    for name in KINDS:
        monkeypatch.setattr(thin_shapes, name, lambda rng, size, name=name: drawn.append(name) or name)
    for seed in range(60):
        thin_shape(np.random.default_rng(seed), SIZE)
    assert set(drawn) == set(KINDS)
