"""A click's voxel is worked out once, and is the one that the scan itself names."""

from __future__ import annotations

import numpy as np
import pytest

from MemorizingSAM3DLib.engine.case_memory.retrieval import ShapePrior
from MemorizingSAM3DLib.engine.case_memory.shape_prior import ANCHORS, SHAPE_SIZE, StructureShape
from MemorizingSAM3DLib.engine.errors import ClickError
from MemorizingSAM3DLib.engine.geometry import CropGrid, Volume
from MemorizingSAM3DLib.engine.prompts import Click, MemorySettings, Prompts
from MemorizingSAM3DLib.engine.session import refinement
from MemorizingSAM3DLib.engine.session.refinement import ClickedVoxels, KeptShapePriors

MATRIX = np.array([[-0.8, 0, 0, 9.0], [0, 0, 2.5, -3.0], [0, 0.6, 0, 1.0], [0, 0, 0, 1]])
SCAN = Volume(np.arange(8 * 9 * 10).reshape(8, 9, 10), MATRIX)


def some_clicks(count: int) -> list[Click]:
    generator = np.random.default_rng(0)
    ijk = generator.uniform(-0.5, np.array(SCAN.shape[::-1]) - 0.5, (count, 3))
    return [
        Click((float(r), float(a), float(s)), bool(kind))
        for (r, a, s), kind in zip(SCAN.ijk_to_ras_points(ijk), generator.random(count) < 0.5, strict=True)
    ]


@pytest.mark.parametrize("count", [1, 50, 300])
def test_every_click_has_its_own_place_and_its_voxels_centre(count):
    clicks, known = some_clicks(count), ClickedVoxels(SCAN)
    for some in (clicks[: count // 2], clicks, clicks[::-1]):
        voxels, places = known.of(some)
        assert (voxels.shape, places.shape) == ((len(some), 3), (len(some), 2, 3))
        for click, voxel, place in zip(some, voxels, places, strict=True):
            i, j, k = SCAN.nearest_voxel(click.ras)
            assert tuple(voxel) == (k, j, i)
            assert tuple(place[0]) == click.ras
            np.testing.assert_array_equal(place[1], SCAN.ijk_to_ras_points((i, j, k)))


def test_what_is_known_is_bounded(monkeypatch):
    monkeypatch.setattr(refinement, "_MOST_KEPT", 20)
    clicks, known = some_clicks(100), ClickedVoxels(SCAN)
    fresh = ClickedVoxels(SCAN).of(clicks)[0]
    for first in range(0, 100, 10):
        np.testing.assert_array_equal(known.of(clicks[first : first + 10])[0], fresh[first : first + 10])
    assert len(known._rows) <= 30


def test_no_clicks_have_no_places():
    assert [part.shape for part in ClickedVoxels(SCAN).of([])] == [(0, 3), (0, 2, 3)]


def test_a_click_outside_the_scan_is_refused_whatever_is_known():
    known = ClickedVoxels(SCAN)
    known.of(some_clicks(3))
    with pytest.raises(ClickError):
        known.of([Click((500.0, 0.0, 0.0))])
    assert len(known.of(some_clicks(3))[0]) == 3


GRID, CLICK = CropGrid((0.0, 0.0, 0.0), 1.0, 32), Click((0.0, 0.0, 0.0))
STACK = np.zeros((3, SHAPE_SIZE, SHAPE_SIZE, SHAPE_SIZE), np.uint8)


def prompts(cases="these") -> Prompts:
    return Prompts(0, (CLICK,), (MemorySettings(None, cases),))


def an_answer(name: str) -> ShapePrior:
    shape = StructureShape(STACK[1], 2.0, np.zeros((ANCHORS, 3), np.float32))
    return ShapePrior(name, 0.9, ((shape, np.zeros(3), 1.0),), ("id",))


def test_what_was_answered_once_is_answered_for_ever():
    kept = KeptShapePriors()
    first = kept.of(prompts(), lambda grid, click: an_answer("Liver"), GRID, CLICK)
    assert first.structure == "Liver"
    assert kept.of(prompts(), lambda grid, click: None, GRID, CLICK) is first


def test_that_nothing_was_known_is_kept_too():
    kept = KeptShapePriors()
    assert kept.of(prompts(), lambda grid, click: None, GRID, CLICK) is None
    assert kept.of(prompts(), lambda grid, click: an_answer("Liver"), GRID, CLICK) is None


def test_a_memory_with_other_cases_is_asked_anew():
    kept = KeptShapePriors()
    kept.of(prompts("these"), lambda grid, click: an_answer("Liver"), GRID, CLICK)
    assert kept.of(prompts("others"), lambda grid, click: an_answer("Kidney"), GRID, CLICK).structure == "Kidney"


def test_a_click_that_was_made_without_a_memory_asks_none():
    assert KeptShapePriors().of(prompts(None), lambda grid, click: an_answer("Liver"), GRID, CLICK) is None


def test_a_kept_answer_does_not_hold_the_whole_memory_and_shares_its_shapes():
    kept = KeptShapePriors()
    one = kept.of(prompts("these"), lambda grid, click: an_answer("Liver"), GRID, CLICK)
    other = kept.of(prompts("others"), lambda grid, click: an_answer("Liver"), GRID, CLICK)
    assert one.shapes[0][0].occupancy.base is None
    assert one.shapes[0][0] is other.shapes[0][0]
