from __future__ import annotations

import numpy as np

from MemorizingSAM3DLib.engine.geometry import CropGrid
from MemorizingSAM3DLib.engine.prompts import Click, Listening, Prompts
from MemorizingSAM3DLib.engine.recall.case_recall import Recollection
from MemorizingSAM3DLib.engine.recall.kept_recollections import KeptRecollections
from MemorizingSAM3DLib.engine.recall.structure_shape import ANCHORS, SHAPE_SIZE, StructureShape

GRID, CLICK = CropGrid((0.0, 0.0, 0.0), 1.0, 32), Click((0.0, 0.0, 0.0))
STACK = np.zeros((3, SHAPE_SIZE, SHAPE_SIZE, SHAPE_SIZE), np.uint8)


def prompts(cases="these") -> Prompts:
    return Prompts(0, (CLICK,), (Listening(None, cases),))


def an_answer(name: str) -> Recollection:
    shape = StructureShape(STACK[1], 2.0, np.zeros((ANCHORS, 3), np.float32))
    return Recollection(name, 0.9, ((shape, np.zeros(3), 1.0),), ("id",))


def test_what_was_answered_once_is_answered_for_ever():
    kept = KeptRecollections()
    first = kept.of(prompts(), lambda grid, click: an_answer("Liver"), GRID, CLICK)
    assert first.structure == "Liver"
    assert kept.of(prompts(), lambda grid, click: None, GRID, CLICK) is first


def test_that_nothing_was_known_is_kept_too():
    kept = KeptRecollections()
    assert kept.of(prompts(), lambda grid, click: None, GRID, CLICK) is None
    assert kept.of(prompts(), lambda grid, click: an_answer("Liver"), GRID, CLICK) is None


def test_a_memory_with_other_cases_is_asked_anew():
    kept = KeptRecollections()
    kept.of(prompts("these"), lambda grid, click: an_answer("Liver"), GRID, CLICK)
    assert kept.of(prompts("others"), lambda grid, click: an_answer("Kidney"), GRID, CLICK).structure == "Kidney"


def test_a_click_that_was_made_without_a_memory_asks_none():
    assert KeptRecollections().of(prompts(None), lambda grid, click: an_answer("Liver"), GRID, CLICK) is None


def test_a_kept_answer_does_not_hold_the_whole_memory_and_shares_its_shapes():
    kept = KeptRecollections()
    one = kept.of(prompts("these"), lambda grid, click: an_answer("Liver"), GRID, CLICK)
    other = kept.of(prompts("others"), lambda grid, click: an_answer("Liver"), GRID, CLICK)
    assert one.shapes[0][0].occupancy.base is None
    assert one.shapes[0][0] is other.shapes[0][0]
