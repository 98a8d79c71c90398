"""Edits that overlap, fail, or meet those of other tools."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from MemorizingSAM3DLib.engine.prompts import Click
from MemorizingSAM3DLib.scene.edits.segment_record import SegmentRecord
from MemorizingSAM3DLib.scene.segments.writer import SegmentWriter
from Testing.scene.controlled import FIRST, SECOND, Controlled
from Testing.scene.others import CORNER, IN_CORNER, NEAR_FIRST
from Testing.scene.quick_model import QuickModel


def test_cancelling_the_click_of_one_segment_keeps_the_finished_edit_of_another_undoable(a_slow_one):
    controller = a_slow_one.controller
    a_slow_one.place(FIRST, wait=False)
    controller.poll()
    first = controller.selectedSegmentID
    controller.newSegment()
    go = holdBack(a_slow_one)
    a_slow_one.place(SECOND, wait=False)
    controller.poll()
    deliver(a_slow_one, first)
    controller.cancel()
    go.set()
    a_slow_one.settle()

    assert a_slow_one.mask(first)[FIRST]
    assert controller.undoText == "Add point (Segment_1)"
    controller.undo()
    a_slow_one.settle()
    assert not a_slow_one.mask(first).any()


def test_removing_the_segment_that_is_being_computed_keeps_the_edits_of_the_others(a_slow_one):
    controller = a_slow_one.controller
    a_slow_one.place(FIRST, wait=False)
    controller.poll()
    first = controller.selectedSegmentID
    second = controller.newSegment()
    go = holdBack(a_slow_one)
    a_slow_one.place(SECOND, wait=False)
    controller.poll()
    deliver(a_slow_one, first)
    controller.removeSegment(second)
    go.set()
    a_slow_one.settle()
    controller.selectSegment(first)
    a_slow_one.paint(CORNER)
    a_slow_one.place(NEAR_FIRST, positive=False)
    for _ in range(3):
        controller.undo()
        a_slow_one.settle()

    assert not controller.canUndo
    assert not a_slow_one.mask(first).any()


def test_painting_on_one_segment_keeps_the_unfinished_click_of_another_undoable(a_slow_one):
    controller = a_slow_one.controller
    a_slow_one.gate.set()
    a_slow_one.place(FIRST)
    first = controller.selectedSegmentID
    second = controller.newSegment()
    a_slow_one.gate.clear()
    a_slow_one.place(SECOND, wait=False)
    controller.poll()
    a_slow_one.paint(CORNER, first)
    controller.selectSegment(first)
    a_slow_one.gate.set()
    a_slow_one.settle()

    assert a_slow_one.mask(second)[SECOND]
    for _ in range(3):
        assert controller.canUndo
        controller.undo()
        a_slow_one.settle()
    assert not controller.canUndo
    assert not a_slow_one.mask(second).any()
    assert not a_slow_one.mask(first).any()


def test_painting_between_two_quick_clicks_loses_neither(a_slow_one):
    a_slow_one.gate.set()
    a_slow_one.place(FIRST)
    a_slow_one.gate.clear()
    a_slow_one.place(NEAR_FIRST, positive=False, wait=False)
    a_slow_one.controller.poll()
    a_slow_one.paint(CORNER)
    a_slow_one.place((8, 8, 9), positive=False, wait=False)
    a_slow_one.controller.poll()
    a_slow_one.gate.set()
    a_slow_one.settle()

    assert len(a_slow_one.controller.points) == 2
    assert a_slow_one.mask()[IN_CORNER]
    assert not a_slow_one.mask()[NEAR_FIRST]
    assert not a_slow_one.mask()[8, 8, 9]


def test_a_failing_model_after_painting_leaves_the_painted_segment_and_its_history(a_controlled):
    controller = a_controlled.controller
    a_controlled.place(FIRST)
    a_controlled.paint(CORNER)
    painted = a_controlled.mask()
    controller._inference.loaded.predictor.network.fail_at = controller._inference.loaded.predictor.network.decodes + 1
    a_controlled.place(NEAR_FIRST, positive=False)

    assert (a_controlled.mask() == painted).all()
    assert "out of memory" in a_controlled.messages[-1] or "not enough memory" in a_controlled.messages[-1]
    assert controller.undoText == "Change by hand (Segment_1)"
    controller.undo()
    a_controlled.settle()
    assert not a_controlled.mask()[IN_CORNER]
    assert a_controlled.mask()[FIRST]
    controller.redo()
    a_controlled.settle()
    assert (a_controlled.mask() == painted).all()


def test_a_segment_that_is_locked_while_its_click_is_computed_stays_as_it_is(a_slow_one):
    controller = a_slow_one.controller
    a_slow_one.gate.set()
    a_slow_one.place(FIRST)
    before = a_slow_one.mask()
    a_slow_one.gate.clear()
    a_slow_one.place(NEAR_FIRST, positive=False, wait=False)
    controller.poll()
    controller.setLocked(controller.selectedSegmentID, True)
    a_slow_one.gate.set()
    a_slow_one.settle()

    assert (a_slow_one.mask() == before).all()
    assert len(controller.points) == 1
    assert "locked" in a_slow_one.messages[-1]


@pytest.mark.parametrize("signal", ["inputsChanged", "segmentsChanged", "pointsChanged", "statusChanged", "wakeUp"])
def test_an_error_in_a_connected_function_does_not_lose_the_click(a_controlled, signal):
    def fail():
        raise RuntimeError("a broken panel")

    getattr(a_controlled.controller, signal).connect(fail)
    a_controlled.place(FIRST)

    assert a_controlled.mask()[FIRST]
    assert len(a_controlled.controller.points) == 1


def test_an_error_while_writing_takes_the_click_back(a_controlled, monkeypatch):
    a_controlled.place(FIRST)
    before = a_controlled.mask()

    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(SegmentWriter, "writeVoxels", fail)
    a_controlled.place(NEAR_FIRST, positive=False)

    assert len(a_controlled.controller.points) == 1
    assert (a_controlled.mask() == before).all()
    assert "not enough memory" in a_controlled.messages[-1]


@pytest.mark.parametrize("number", [-1, 1, 99])
@pytest.mark.parametrize("what", ["removePoint", "togglePoint", "jumpToPoint"])
def test_a_point_that_is_not_there_any_more_is_left_alone(a_controlled, what, number):
    a_controlled.place(FIRST)
    getattr(a_controlled.controller, what)(number)
    a_controlled.settle()

    assert len(a_controlled.controller.points) == 1
    assert a_controlled.controller.undoText == "Add point (Segment_1)"


def test_nothing_happens_after_closing(a_controlled):
    a_controlled.place(FIRST)
    before = a_controlled.mask()
    threads = threading.active_count()
    a_controlled.place(SECOND, wait=False)
    controller = a_controlled.controller
    controller.close()
    assert not controller.poll()
    controller.undo()
    assert not controller.poll(0.05)

    assert threading.active_count() < threads
    assert (a_controlled.mask() == before).all()


def test_another_model_in_the_middle_of_a_click_answers_the_next_one(a_slow_one):
    a_slow_one.place(FIRST, wait=False)
    a_slow_one.controller.poll()
    a_slow_one.controller.setModel(QuickModel())
    a_slow_one.gate.set()
    a_slow_one.settle()
    assert a_slow_one.messages == []
    assert a_slow_one.controller.points == []
    assert not a_slow_one.mask().any()

    a_slow_one.place(SECOND)
    assert a_slow_one.mask()[SECOND]


def test_saved_clicks_that_lie_outside_the_scan_do_not_lock_the_segment(a_controlled):
    a_controlled.place(FIRST)
    before = a_controlled.mask()
    node, segmentID = a_controlled.controller.segmentationNode, a_controlled.controller.selectedSegmentID
    segment = node.GetSegmentation().GetSegment(segmentID)
    record = SegmentRecord.readFrom(segment)
    replace(record, clicks=(Click((9e5, 0.0, 0.0)),)).writeTo(segment)
    a_controlled.controller.close()
    again = Controlled(a_controlled.volumeNode)
    again.controller.setSegmentation(node)
    again.controller.selectSegment(segmentID)
    again.place(NEAR_FIRST, positive=False)

    assert again.messages == []
    assert not again.mask()[NEAR_FIRST]
    assert (again.mask() & before).any()
    again.controller.close()


def holdBack(controlled):
    """What is asked for from now on waits until the event that is returned is set."""
    go = threading.Event()
    controlled.controller._inference.worker.submit(lambda job: go.wait(20), lambda outcome: None)
    return go


def deliver(controlled, segmentID):
    """Waits until the segment is written."""
    controlled.gate.set()
    while not controlled.mask(segmentID).any():
        controlled.controller.poll(0.02)
