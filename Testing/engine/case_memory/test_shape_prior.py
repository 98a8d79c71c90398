from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from MemorizingSAM3DLib.engine.case_memory.shape_prior import ANCHORS, StructureShape
from MemorizingSAM3DLib.engine.geometry import CropGrid, mask_to_crop
from MemorizingSAM3DLib.engine.session.remember_case import LEAST_VOXELS
from Testing.engine.phantoms import LEFT_HANDED, OBLIQUE, ball, ct_of, dice, either, tube

HORSESHOE = either(ball(9, (-8, 0, 0)), ball(9, (8, 0, 0)), ball(6, (0, 9, 4)))


def drawn_back(volume, mask, spacing: float, size: int = 48) -> float:
    """Dice of the shape, drawn at its own centre, with the mask, on a crop of this spacing."""
    shape, centre = StructureShape.of(volume, mask)
    grid = CropGrid.around(centre + 0.3, spacing, size)
    return dice(shape.drawn(grid, centre) > 0.5, mask_to_crop(mask, volume, grid, size) > 0.5)


@pytest.mark.parametrize("spacing", [0.8, 1.5, 2.5])
@pytest.mark.parametrize("directions", [None, OBLIQUE, LEFT_HANDED], ids=["straight", "oblique", "left-handed"])
@pytest.mark.parametrize("voxels", [(1.0, 1.0, 1.0), (0.9, 1.2, 3.0)], ids=["cubes", "slices"])
def test_a_shape_drawn_back_where_it_was_is_the_mask(spacing, directions, voxels):
    counts = [round(56 / size) for size in voxels]
    volume, mask = ct_of(HORSESHOE, counts, voxels, directions)
    assert drawn_back(volume, mask, spacing) > 0.9


@settings(max_examples=15, deadline=None)
@given(st.floats(5, 14), st.floats(0.7, 2.5), st.tuples(*[st.floats(-4, 4)] * 3))
def test_balls_of_any_size_and_place_keep_their_volume_and_their_centre(radius, spacing, centre):
    volume, mask = ct_of(ball(radius, centre), (40, 40, 40), 1.0, OBLIQUE)
    shape, middle = StructureShape.of(volume, mask)
    grid = CropGrid.around(np.array(centre), spacing, 48)
    drawn = shape.drawn(grid, middle)
    assert drawn.min() >= 0 and drawn.max() < 1 + 1e-6
    assert drawn.sum() * spacing**3 == pytest.approx(mask.sum(), rel=0.1)
    found = (np.stack(np.indices(drawn.shape)) * drawn).sum((1, 2, 3)) / drawn.sum()
    assert np.abs(grid.index_to_ras(found[None])[0] - centre).max() < 1.0


@pytest.mark.parametrize("directions", [None, LEFT_HANDED], ids=["straight", "left-handed"])
@pytest.mark.parametrize("form", [HORSESHOE, tube(2.5, (1, 2, 1), 20)], ids=["horseshoe", "tube"])
def test_anchors_lie_inside_the_deepest_first_and_far_from_one_another(form, directions):
    volume, mask = ct_of(form, (50, 50, 50), 1.0, directions)
    shape, centre = StructureShape.of(volume, mask)
    assert shape.anchors.shape == (ANCHORS, 3)
    places = centre + shape.anchors
    assert form(places).all()
    apart = np.linalg.norm(places[:, None] - places[None], axis=-1)[~np.eye(ANCHORS, dtype=bool)]
    assert apart.min() > 5


def test_a_structure_of_very_many_voxels_keeps_its_deepest_place():
    volume, mask = ct_of(ball(18), (48, 48, 48), 1.0)
    shape, centre = StructureShape.of(volume, mask)
    assert np.linalg.norm(centre + shape.anchors[0]) < 2


def test_the_smallest_structure_has_a_shape():
    volume, mask = ct_of(ball(0.9), (10, 10, 10), 1.0)
    assert mask.sum() == LEAST_VOXELS
    shape, centre = StructureShape.of(volume, mask)
    assert np.abs(centre).max() < 1e-6 and (np.abs(shape.anchors) < 1).all()
    assert (shape.drawn(CropGrid((0, 0, 0), 0.1, 40), centre) > 0.5).sum() * 0.1**3 == pytest.approx(8, rel=0.35)


def test_a_shape_that_lies_outside_a_crop_is_not_drawn():
    volume, mask = ct_of(ball(8), (30, 30, 30), 1.0)
    shape, _ = StructureShape.of(volume, mask)
    assert not shape.drawn(CropGrid((0, 0, 0), 1.0, 32), np.array([0.0, 90.0, 0.0])).any()


def test_a_shape_half_outside_a_crop_is_drawn_there_as_far_as_it_goes():
    volume, mask = ct_of(ball(8), (30, 30, 30), 1.0)
    shape, centre = StructureShape.of(volume, mask)
    whole, half = CropGrid((0, 0, 0), 1.0, 32), CropGrid((16, 0, 0), 1.0, 32)
    np.testing.assert_allclose(shape.drawn(half, centre)[:16], shape.drawn(whole, centre)[16:], atol=1e-6)
