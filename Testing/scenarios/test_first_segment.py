from __future__ import annotations

import numpy as np

from Testing.harness.application.waiting import processEvents
from Testing.scene.controlled import FIRST, SECOND


def test_from_an_empty_scene_to_the_first_segment_in_three_clicks(a_workplace, a_scan):
    a_workplace.choose(a_scan)  # one, in the scan selector
    a_workplace.press("insideButton")  # two
    a_workplace.click(FIRST)  # three, in the view

    assert a_workplace.mask()[FIRST]
    assert not a_workplace.mask()[SECOND]
    assert a_workplace.ui.segmentationSelector.currentNode() is a_workplace.controller.segmentationNode
    assert tuple(a_workplace.ui.segmentTable.selectedSegmentIDs()) == (a_workplace.controller.selectedSegmentID,)


def test_the_segment_and_the_point_are_seen_in_the_views(at_work, tmp_path):
    before = at_work.views.red.pixels().astype(int)
    at_work.click(FIRST)
    at_work.views.leave()
    after = at_work.views.red.pixels().astype(int)

    column, row = at_work.views.red.pixelAt(at_work.world((FIRST[0], FIRST[1] + 3, FIRST[2] + 3)))
    changed = np.abs(after - before).sum(-1)
    assert changed[after.shape[0] - 1 - row, column] > 30
    assert (changed > 30).sum() > 200


def test_placing_goes_on_until_the_button_is_pressed_again(at_work):
    at_work.click(FIRST)
    at_work.click(SECOND)
    assert len(at_work.controller.points) == 2
    assert at_work.ui.insideButton.checked

    at_work.press("insideButton")
    assert not at_work.ui.insideButton.checked
    at_work.click((3, 3, 3))
    assert len(at_work.controller.points) == 2


def test_a_point_outside_takes_away_what_it_hits(at_work):
    at_work.click(FIRST)
    at_work.press("outsideButton")
    at_work.click((9, 14, 16))

    assert not at_work.mask()[9, 14, 16]
    assert at_work.mask()[FIRST]
    assert [point.positive for point in at_work.controller.points] == [True, False]


def test_two_views_clicked_quickly_one_after_another_both_count(at_work, gate):
    gate.clear()
    at_work.click(FIRST, "Red", wait=False)
    processEvents()
    at_work.click(SECOND, "Green", wait=False)
    processEvents()
    gate.set()
    at_work.wait()

    assert at_work.mask()[FIRST]
    assert at_work.mask()[SECOND]
    assert len(at_work.segmentIDs()) == 1


def test_a_click_beside_the_scan_is_explained_and_leaves_nothing(at_work):
    at_work.click((9, 11, 9))
    before = at_work.mask()
    at_work.views.green.clickAt(np.add(at_work.world((0, 11, 9)), (0.0, 0.0, -6.0)))
    at_work.wait()

    assert "outside the scan" in at_work.errorText
    assert len(at_work.controller.points) == 1
    assert (at_work.mask() == before).all()
