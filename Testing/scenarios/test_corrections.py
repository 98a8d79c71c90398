from __future__ import annotations

import numpy as np
import slicer

from Testing.harness.application.waiting import processEvents
from Testing.harness.pythonqt.driver import clickOn, clickOnCell, pressKey
from Testing.scene.controlled import FIRST, SECOND


def test_a_point_dragged_with_the_mouse_counts_at_once(at_work):
    at_work.click(FIRST)
    at_work.press("insideButton")
    at_work.views.red.scrollTo(at_work.world(FIRST))
    target = (FIRST[0], SECOND[1], SECOND[2])
    at_work.views.red.dragFrom(at_work.world(FIRST), at_work.world(target))
    at_work.wait()

    assert np.allclose(at_work.controller.points[0].ras, at_work.world(target), atol=2.5)
    assert not at_work.mask()[FIRST]
    assert at_work.controller.undoText == "Move point (Segment_1)"
    at_work.press("undoButton")
    assert at_work.mask()[FIRST]


def test_while_it_is_held_the_segment_follows(at_work):
    at_work.click(FIRST)
    at_work.press("insideButton")
    before = at_work.mask()
    at_work.views.red.dragFrom(at_work.world(FIRST), at_work.world((9, 24, 26)), hold=True)
    for _ in range(100):  # a busy machine takes its time
        at_work.controller.poll(0.2)
        processEvents()
        held = at_work.mask()
        if (held != before).any():
            break
    at_work.views.red.release()
    at_work.wait()

    assert (held != before).any()
    assert at_work.controller.undoText.startswith("Move point")


def test_a_point_is_deleted_and_another_turned_by_the_list(at_work):
    at_work.click(FIRST)
    at_work.click(SECOND)
    at_work.ui.pointsSection.collapsed = False
    processEvents()
    clickOnCell(at_work.ui.pointTable, 0, 0)
    at_work.press("deletePointButton")
    assert not at_work.mask()[FIRST]
    assert at_work.mask()[SECOND]

    clickOnCell(at_work.ui.pointTable, 0, 0)
    at_work.press("togglePointButton")
    assert not at_work.mask().any()
    assert [point.positive for point in at_work.controller.points] == [False]


def test_undo_to_empty_and_redo_to_full_by_the_buttons(at_work):
    masks = []
    for kji in (FIRST, SECOND, (9, 8, 9)):
        at_work.click(kji)
        masks.append(at_work.mask())
    while at_work.ui.undoButton.enabled:
        at_work.press("undoButton")
    assert not at_work.mask().any()
    assert at_work.controller.points == []

    for expected in masks:
        at_work.press("redoButton")
        assert (at_work.mask() == expected).all()
    assert not at_work.ui.redoButton.enabled


def test_keys_do_what_the_buttons_do(at_work):
    from MemorizingSAM3DLib.ui.panel.shortcuts import KEYS

    at_work.click(FIRST)
    pressKey(at_work.module.dock, KEYS["undo"])
    at_work.wait()
    assert not at_work.mask().any()
    pressKey(at_work.module.dock, KEYS["redo"])
    at_work.wait()
    assert at_work.mask()[FIRST]
    pressKey(at_work.module.dock, KEYS["outside"])
    assert at_work.controller.placing is False


def test_an_imported_segment_is_refined(a_workplace, a_scan):
    a_workplace.choose(a_scan)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "imported")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(a_scan)
    segmentID = node.GetSegmentation().AddEmptySegment("", "from elsewhere")
    half = np.zeros((30, 32, 34), np.uint8)
    half[5:14, 6:16, 7:12] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(half, node, segmentID, a_scan)
    a_workplace.ui.segmentationSelector.setCurrentNode(node)
    clickOnCell(a_workplace.ui.segmentTable, 0, 3)
    a_workplace.press("insideButton")
    a_workplace.click((9, 12, 15))

    assert a_workplace.controller.selectedSegmentID == segmentID
    assert a_workplace.mask()[9, 12, 15]
    a_workplace.press("undoButton")
    assert (a_workplace.mask() == half.astype(bool)).all()


def test_a_locked_neighbour_stays_whole(at_work):
    at_work.click(FIRST)
    neighbour, before = at_work.controller.selectedSegmentID, at_work.mask()
    at_work.press("lockSegmentButton")
    at_work.click((9, 14, 16))
    assert "locked" in at_work.errorText
    assert (at_work.mask(neighbour) == before).all()

    at_work.press("nextSegmentButton")
    at_work.click((9, 14, 16))
    assert (at_work.mask(neighbour) == before).all()
    assert not (at_work.mask() & before).any()


def test_thirty_lesions_become_thirty_segments(a_workplace):
    voxels = np.full((40, 60, 60), -900, np.int16)
    middles = [(k, j, i) for k in (8, 20, 32) for j in (8, 24, 40, 52) for i in (8, 24, 40)][:30]
    for k, j, i in middles:
        voxels[k - 2 : k + 3, j - 2 : j + 3, i - 2 : i + 3] = 300
    a_workplace.choose(slicer.util.addVolumeFromArray(voxels, np.diag([-1.5, -1.5, 1.0, 1.0]), "lesions"))
    a_workplace.press("insideButton")
    for number, middle in enumerate(middles):
        if number:
            a_workplace.press("nextSegmentButton")
        a_workplace.click(middle)

    IDs = a_workplace.segmentIDs()
    assert len(IDs) == 30
    assert all(a_workplace.mask(segmentID)[middle] for segmentID, middle in zip(IDs, middles, strict=True))
    for _ in range(30):
        clickOn(a_workplace.ui.undoButton)
        a_workplace.wait()
    assert not any(a_workplace.mask(segmentID).any() for segmentID in IDs)
