"""The crop follows the object."""

from __future__ import annotations

import numpy as np
import pytest

from MemorizingSAM3DLib.engine.geometry import CropGrid, Volume
from MemorizingSAM3DLib.engine.session.crop_policy import (
    better_grid,
    cut_faces,
    finer_ratio,
    finer_spacing,
    first_grid,
    grid_around,
    spacing_for,
    thickness,
)
from Testing.engine.phantoms import ball, ct_of, either, tube

RANGE = (0.5, 3.0)
SIZE, CELLS = 128, 64
ORIGIN = (0.0, 0.0, 0.0)
GRID = CropGrid(ORIGIN, 1.5, SIZE)


def scan_of(edge_mm: float) -> Volume:
    count = 16
    return ct_of(ball(edge_mm / 4), (count,) * 3, edge_mm / count)[0]


def logits_of(shape, grid: CropGrid = GRID) -> np.ndarray:
    cells = grid.coarser(CELLS)
    ras = cells.index_to_ras(np.stack(np.indices((CELLS,) * 3), -1))
    return np.where(shape(ras), 5.0, -5.0).astype(np.float32)


def test_the_first_look_is_wide_and_around_the_click():
    assert first_grid(scan_of(400), (3.0, 4.0, 5.0), RANGE, SIZE) == CropGrid((3.0, 4.0, 5.0), 2.5, SIZE)


def test_smaller_crops_look_more_coarsely_and_closer_to_the_object():
    assert first_grid(scan_of(400), ORIGIN, (0.5, 6.0), 64).spacing == 3.5
    assert first_grid(scan_of(400), ORIGIN, RANGE, 96).spacing == 3.0  # halfway
    assert spacing_for(64, (0.5, 6.0), 64) == pytest.approx(2.6)


def test_small_crops_look_closer_once_some_clicks_were_made():
    spacings = [spacing_for(64, (0.5, 6.0), 64, clicks) for clicks in (0, 1, 2, 9)]
    assert spacings == pytest.approx([2.6, 2.6, 1.7, 1.7])
    assert spacing_for(64, RANGE, SIZE, 9) == spacing_for(64, RANGE, SIZE)
    assert finer_ratio(64, 2) < finer_ratio(64, 1) == finer_ratio(SIZE, 9)


def test_the_first_look_at_a_small_scan_takes_it_all_in():
    grid = first_grid(scan_of(100), ORIGIN, RANGE, SIZE)
    assert grid.extent_mm == pytest.approx(100)


def test_the_first_look_at_a_tiny_scan_is_no_finer_than_what_the_network_knows():
    assert first_grid(scan_of(10), ORIGIN, RANGE, SIZE).spacing == 0.5


def test_a_network_of_one_spacing_gets_that_spacing():
    assert first_grid(scan_of(20), ORIGIN, (1.5, 1.5), SIZE).spacing == 1.5
    assert better_grid(logits_of(ball(10)), GRID, ORIGIN, (1.5, 1.5)) is None


def test_the_voxel_follows_the_object_within_the_range():
    assert [spacing_for(mm, RANGE, SIZE) for mm in (5, 64, 1000)] == [0.5, pytest.approx(1.8), 3.0]


def test_a_small_ball_gets_a_finer_crop_around_it():
    grid = better_grid(logits_of(ball(12, (5, -3, 2))), GRID, (5.0, -3.0, 2.0), RANGE)
    assert grid.spacing == pytest.approx(24 * 3.6 / SIZE, abs=0.15)
    assert grid.center_ras == pytest.approx((5, -3, 2), abs=2)


def test_a_ball_that_fills_the_crop_well_keeps_it():
    assert better_grid(logits_of(ball(40)), GRID, ORIGIN, RANGE) is None


def test_a_ball_larger_than_the_crop_gets_a_coarser_one():
    assert better_grid(logits_of(ball(120)), GRID, ORIGIN, RANGE).spacing == pytest.approx(2.4)


def test_a_large_ball_at_the_coarsest_spacing_keeps_its_crop():
    grid = CropGrid(ORIGIN, 3.0, SIZE)
    assert better_grid(logits_of(ball(300), grid), grid, ORIGIN, RANGE) is None


def test_a_tube_through_the_crop_is_followed_not_stepped_back_from():
    assert better_grid(logits_of(tube(8, (0, 0, 1), 500)), GRID, ORIGIN, RANGE) is None


def test_only_the_part_that_was_clicked_counts():
    both = either(ball(10, (40, 0, 0)), ball(40, (-40, 0, 0)))
    grid = better_grid(logits_of(both), GRID, (40.0, 0.0, 0.0), RANGE)
    assert grid.center_ras == pytest.approx((40, 0, 0), abs=2)


def test_an_empty_answer_keeps_the_crop():
    assert better_grid(np.full((CELLS,) * 3, -1.0, np.float32), GRID, ORIGIN, RANGE) is None


@pytest.mark.parametrize("radius", [3, 12, 130])
@pytest.mark.parametrize("click", [(9.0, -2.0, 1.0), (-60.0, 55.0, 70.0)])
def test_the_click_stays_well_inside_a_better_crop(radius, click):
    grid = better_grid(logits_of(ball(radius, np.array(click) * 0.9)), GRID, click, RANGE)
    assert grid.contains(click, margin_voxels=8)


def test_a_crop_around_points_holds_them_all():
    points = np.array([[0, 0, 0], [60, -20, 10], [30, 40, -50.0]])
    grid = grid_around(points, RANGE, SIZE)
    assert all(grid.contains(point, margin_voxels=8) for point in points)


def test_a_mask_inside_the_crop_is_cut_nowhere():
    assert cut_faces(logits_of(ball(80)) > 0, GRID, scan_of(800)) == []


def test_a_tube_is_cut_at_both_ends_and_continued_along_itself():
    up, down = sorted(
        cut_faces(logits_of(tube(9, (0, 0, 1), 500)) > 0, GRID, scan_of(800)), key=lambda grid: -grid.center_ras[2]
    )
    assert up.center_ras == pytest.approx((0, 0, 96 + 0.3 * 192), abs=3)
    assert down.center_ras == pytest.approx((0, 0, -96 - 0.3 * 192), abs=3)
    assert up.spacing == down.spacing == GRID.spacing


def test_where_the_scan_ends_nothing_is_continued():
    assert cut_faces(logits_of(tube(9, (0, 0, 1), 500)) > 0, GRID, scan_of(190)) == []


def test_a_few_cells_at_a_face_are_no_cut():
    mask = np.zeros((CELLS,) * 3, bool)
    mask[10, 10:13, 0] = True
    assert cut_faces(mask, GRID, scan_of(800)) == []
    mask[10, 13, 0] = True
    assert len(cut_faces(mask, GRID, scan_of(800))) == 1


def test_all_branches_cut_by_a_face_are_in_the_crop_that_continues_it():
    mask = np.zeros((CELLS,) * 3, bool)
    mask[5:25, 5:25, 32:] = mask[58:61, 58:61, 32:] = True
    (up,) = cut_faces(mask, GRID, scan_of(800))
    for cell in ((5, 5, 63), (60, 60, 63)):
        assert up.contains(GRID.coarser(CELLS).index_to_ras(cell))


def a_box(*edges: int) -> np.ndarray:
    return np.pad(np.ones(edges, dtype=bool), 3)


def test_thickness_is_the_side_of_a_long_rod_whatever_its_voxels():
    assert thickness(a_box(400, 5, 5), (1.0, 1.0, 1.0)) == pytest.approx(5, rel=0.01)
    assert thickness(a_box(200, 10, 5), (2.0, 0.5, 1.0)) == pytest.approx(5, rel=0.01)
    assert thickness(a_box(9, 9, 9), (1.0, 1.0, 1.0)) == pytest.approx(6)  # a cube: two thirds
    assert thickness(a_box(4, 400, 400), (1.0, 1.0, 1.0)) == pytest.approx(8, rel=0.03)  # a plate: twice


def test_looks_come_closer_with_the_clicks_but_not_nearer_than_they_may():
    thick = [finer_spacing(45, (0.5, 6.0), 64, clicks) for clicks in (3, 7, 8, 14, 15, 29, 30, 500)]
    assert thick == pytest.approx([5, 5, 3.75, 3.75, 2.5, 2.5, 1.875, 1.875])
    thin = [finer_spacing(3, (0.5, 6.0), 64, clicks) for clicks in (3, 8, 15, 30)]
    assert thin == pytest.approx([110 / 64, 110 / 64, 60 / 64, 40 / 64])
    assert finer_spacing(3, (1.5, 1.5), 128, 40) == 1.5  # a published network knows one scale
