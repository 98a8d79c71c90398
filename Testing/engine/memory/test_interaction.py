from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from MemorizingSAM3DLib.engine.geometry import CropGrid
from MemorizingSAM3DLib.engine.memory.interaction import resampled

CROP = CropGrid((12.0, -7.0, 30.0), 1.5, 64)  # 96 mm; four cells of 24 mm an edge
CELLS = 4
DENSE = torch.randn(1, 3, CELLS, CELLS, CELLS, generator=torch.Generator().manual_seed(0))


def shifted(cells, scale: float = 1.0) -> CropGrid:
    centre = np.add(CROP.center_ras, np.array(cells) * CROP.extent_mm / CELLS)
    return CropGrid(tuple(centre.tolist()), CROP.spacing * scale, CROP.size)


def test_in_its_own_crop_a_mask_is_what_it_was():
    moved, known = resampled(DENSE, CROP, CROP)
    assert torch.equal(moved, DENSE)
    assert known.shape == (1, CELLS, CELLS, CELLS) and known.all()


def test_a_shift_by_whole_cells_moves_them_and_hides_what_was_not_seen():
    moved, known = resampled(DENSE, CROP, shifted((1, 0, -2)))
    torch.testing.assert_close(moved[:, :, :3, :, 2:], DENSE[:, :, 1:, :, :2])
    expected = torch.zeros(1, CELLS, CELLS, CELLS, dtype=torch.bool)
    expected[:, :3, :, 2:] = True
    assert torch.equal(known, expected)


def test_a_crop_elsewhere_knows_nothing():
    assert not resampled(DENSE, CROP, shifted((0, 5, 0)))[1].any()


def test_a_crop_within_knows_everything_and_a_larger_one_only_its_middle():
    assert resampled(DENSE, CROP, shifted((0.4, -0.4, 0.0), 0.7))[1].all()
    known = resampled(DENSE, CROP, shifted((0, 0, 0), 2.0))[1][0]
    assert known[1:3, 1:3, 1:3].all() and int(known.sum()) == 8


@settings(max_examples=60, deadline=None)
@given(st.tuples(*[st.floats(-3, 3)] * 3), st.floats(0.3, 3))
def test_another_crop_sees_the_mask_where_it_lies_in_the_patient(shift, scale):
    other = shifted(shift, scale)
    cells = np.indices((CELLS,) * 3).reshape(3, -1).T
    ras = other.coarser(CELLS).index_to_ras(cells)
    places = CROP.coarser(CELLS).ras_to_index(ras)
    assume((np.abs(np.abs(ras - CROP.center_ras) - CROP.extent_mm / 2) > 1e-6).all())  # not on a face itself

    moved, known = resampled(DENSE, CROP, other)

    inside = [CROP.contains(point) for point in ras]
    assert known.flatten().tolist() == inside
    for channel in range(DENSE.shape[1]):
        expected = ndimage.map_coordinates(DENSE[0, channel].double().numpy(), places.T, order=1, mode="nearest")
        np.testing.assert_allclose(moved[0, channel].flatten().numpy(), expected, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.tuples(*[st.floats(-1, 1)] * 3), st.floats(0.3, 1.5))
def test_what_grows_evenly_still_does(shift, scale):
    """Between the outermost centres linear interpolation is exact."""
    slope = np.array([0.3, -0.2, 0.5])

    def field(grid):
        ras = grid.coarser(CELLS).index_to_ras(np.indices((CELLS,) * 3).reshape(3, -1).T)
        return ras, torch.from_numpy((ras @ slope).reshape(1, 1, *[CELLS] * 3)).float()

    other = shifted(shift, scale)
    moved, _ = resampled(field(CROP)[1], CROP, other)
    ras, expected = field(other)
    between = (np.abs(ras - CROP.center_ras) <= CROP.extent_mm / 2 * (1 - 1 / CELLS)).all(1)
    np.testing.assert_allclose(moved.flatten()[between].numpy(), expected.flatten()[between].numpy(), atol=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_mask_keeps_its_type_and_is_not_written_to(dtype):
    dense = DENSE.to(dtype)
    before = dense.clone()
    moved, _ = resampled(dense, CROP, shifted((0.5, 0.5, 0.5)))
    assert moved.dtype == dtype
    assert torch.equal(dense, before)
