from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from MemorizingSAM3DLib.engine.geometry import Volume
from MemorizingSAM3DLib.engine.prompts import BoxPrompt, Click, Lasso, Scribble
from MemorizingSAM3DLib.learning.evaluation.first_prompts import (
    MOST_CORNERS,
    MOST_POINTS,
    as_points,
    first_prompt,
    largest_slice,
    middle_line,
    outline,
)

PLANES = arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))).filter(np.any)


def a_volume(shape=(12, 14, 16), spacing=(1.0, 2.0, 3.0), turned: bool = False) -> Volume:
    """Noise; i runs to the right, j to the front, k upwards, or in a frame that is turned by 30 degrees."""
    matrix = np.diag([*spacing, 1.0])
    if turned:
        c, s = np.cos(np.pi / 6), np.sin(np.pi / 6)
        matrix = np.array([[c, -s, 0, 5], [s, c, 0, -7], [0, 0, 1, 11], [0, 0, 0, 1]]) @ matrix
    array = np.random.default_rng(0).integers(0, 100, shape).astype(np.int16)
    return Volume(array, matrix, "CT")


def a_block(volume: Volume, *edges: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(volume.shape, bool)
    mask[tuple(slice(low, high) for low, high in edges)] = True
    return mask


def voxels_of(volume: Volume, points) -> np.ndarray:
    """Continuous (k, j, i) of RAS points."""
    return volume.ras_to_ijk(np.array(points))[:, ::-1]


def within(points: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    """Whether points lie within a closed line, by crossings of a ray (even-odd)."""
    inside = np.zeros(len(points), bool)
    for (y0, x0), (y1, x1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        crosses = (y0 > points[:, 0]) != (y1 > points[:, 0])
        with np.errstate(divide="ignore", invalid="ignore"):
            inside ^= crosses & (points[:, 1] < (x1 - x0) * (points[:, 0] - y0) / (y1 - y0) + x0)
    return inside


def test_a_point_lies_farthest_inside():
    volume = a_volume()
    prompt = first_prompt("point", volume, a_block(volume, (2, 5), (3, 8), (3, 14)))
    assert isinstance(prompt, Click) and prompt.positive
    assert voxels_of(volume, [prompt.ras])[0] == pytest.approx([3, 5, 8])


@pytest.mark.parametrize("turned", [False, True])
def test_a_box_reaches_half_a_voxel_beyond_the_voxels_centres_on_the_scans_own_grid(turned):
    volume = a_volume(turned=turned)
    prompt = first_prompt("box", volume, a_block(volume, (2, 6), (3, 9), (4, 13)))
    assert isinstance(prompt, BoxPrompt) and prompt.positive
    corners = voxels_of(volume, prompt.corners)
    assert corners.min(axis=0) == pytest.approx([1.5, 2.5, 3.5])
    assert corners.max(axis=0) == pytest.approx([5.5, 8.5, 12.5])


def test_a_flat_box_lies_on_the_largest_axial_slice():
    volume = a_volume()
    truth = a_block(volume, (2, 6), (3, 6), (4, 7)) | a_block(volume, (5, 6), (3, 9), (4, 13))
    prompt = first_prompt("flat-box", volume, truth)
    assert isinstance(prompt, BoxPrompt)
    corners = voxels_of(volume, prompt.corners)
    assert corners.min(axis=0) == pytest.approx([5, 2.5, 3.5])
    assert corners.max(axis=0) == pytest.approx([5, 8.5, 12.5])


def test_axial_slices_are_found_whichever_axis_of_the_array_runs_upwards():
    matrix = np.array([[0, 0, 1, 0], [0, 1.0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]])  # i runs upwards
    volume = Volume(a_volume().array, matrix, "CT")
    prompt = first_prompt("flat-box", volume, a_block(volume, (2, 6), (3, 9), (4, 13)))
    corners = voxels_of(volume, prompt.corners)
    assert np.ptp(corners, axis=0) == pytest.approx([4, 6, 0])


def test_the_largest_slice_is_measured_in_millimetres():
    mask = np.zeros((6, 8, 10), bool)
    mask[1:5, 1:7, 2] = True  # 24 voxels across i
    mask[2, 1:7, 2:7] = True  # 30 voxels across k
    assert largest_slice(mask, (1, 1, 1))[:2] == (0, 2)
    assert largest_slice(mask, (10, 1, 1))[:2] == (2, 2)


@pytest.mark.parametrize("turned", [False, True])
def test_a_scribble_runs_along_the_middle_of_the_structure_in_one_slice(turned):
    volume = a_volume((20, 24, 40), (1, 1, 1), turned)
    prompt = first_prompt("scribble", volume, a_block(volume, (6, 11), (8, 15), (3, 37)))
    assert isinstance(prompt, Scribble) and prompt.positive
    line = voxels_of(volume, prompt.line)
    assert line[:, 0] == pytest.approx(np.full(len(line), 8))
    middle = line[(line[:, 2] > 8) & (line[:, 2] < 31)]
    assert middle[:, 1] == pytest.approx(np.full(len(middle), 11), abs=1.01)
    assert np.ptp(line[:, 2]) > 20


@settings(deadline=None)
@given(PLANES)
def test_a_middle_line_stays_within_one_part_and_takes_steps_to_neighbours(plane):
    line = middle_line(plane, (1.0, 1.5))
    assert plane[tuple(line.T)].all()
    assert len(np.unique(line, axis=0)) == len(line)
    assert (np.abs(np.diff(line, axis=0)).max(axis=1, initial=1) == 1).all()


def test_a_long_scribble_has_no_more_points_than_a_hand_would_draw():
    assert len(middle_line(np.ones((3, 500), bool), (1, 1))) == MOST_POINTS


@pytest.mark.parametrize("turned", [False, True])
def test_a_lasso_is_the_outline_in_the_largest_slice_of_any_axis(turned):
    volume = a_volume((20, 20, 20), (1, 1, 1), turned)
    prompt = first_prompt("lasso", volume, a_block(volume, (2, 16), (7, 9), (3, 15)))
    assert isinstance(prompt, Lasso) and prompt.positive
    line = voxels_of(volume, prompt.outline)
    assert line[:, 1] == pytest.approx(np.full(len(line), 7))
    assert line.min(axis=0) == pytest.approx([1.5, 7, 2.5])
    assert line.max(axis=0) == pytest.approx([15.5, 7, 14.5])


@settings(deadline=None, max_examples=300)
@given(PLANES)
def test_an_outline_encloses_the_voxels_of_one_part_and_its_holes_alone(plane):
    from scipy import ndimage

    parts, _ = ndimage.label(plane)
    sizes = np.bincount(parts.ravel())[1:]
    part = ndimage.binary_fill_holes(parts == sizes.argmax() + 1)
    inside = within(np.argwhere(np.ones_like(plane)).astype(float), outline(plane))
    assert (inside.reshape(plane.shape) == part).all()


def test_an_outline_with_very_many_bends_is_thinned():
    comb = np.zeros((40, 600), bool)
    comb[0] = True
    comb[:, ::2] = True
    assert len(outline(comb)) == MOST_CORNERS


@pytest.mark.parametrize("kind", ["point", "box", "flat-box", "scribble", "lasso"])
def test_a_structure_of_one_voxel_can_be_begun_with_any_prompt(kind):
    volume = a_volume()
    prompt = first_prompt(kind, volume, a_block(volume, (0, 1), (13, 14), (15, 16)))
    assert voxels_of(volume, [prompt.ras])[0] == pytest.approx([0, 13, 15])


def test_tools_that_hear_points_alone_get_a_scribbles_points_and_the_centre_of_the_rest():
    scribble = Scribble(((0, 0, 0), (1, 0, 0), (2, 0, 0)), positive=False)
    assert as_points(scribble) == [Click((float(x), 0, 0), False) for x in range(3)]
    assert as_points(BoxPrompt((0, 0, 0), (2, 4, 6))) == [Click((1, 2, 3))]
    assert as_points(Lasso(((0, 0, 1), (2, 0, 1), (2, 2, 1), (0, 2, 1)))) == [Click((1, 1, 1))]
    assert as_points(Click((1, 2, 3))) == [Click((1, 2, 3))]
