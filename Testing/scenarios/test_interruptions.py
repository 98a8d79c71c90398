from __future__ import annotations

import numpy as np
import slicer

from Testing.harness.application.waiting import processEvents
from Testing.harness.pythonqt.driver import clickOn
from Testing.scene.controlled import FIRST, SECOND, addBlocks


def test_a_saved_bundle_goes_on_with_the_identical_next_mask(at_work, tmp_path):
    at_work.click(FIRST)
    at_work.press("outsideButton")
    at_work.click((9, 14, 16))
    at_work.press("insideButton")
    at_work.click(SECOND)
    expected = at_work.mask()
    at_work.press("undoButton")
    at_work.application.saveMrb(tmp_path / "scene.mrb")
    at_work.module.close()
    at_work.application.closeScene()
    at_work.application.loadMrb(tmp_path / "scene.mrb")
    at_work.open()
    at_work.views.show(at_work.controller.scanNode)
    at_work.wait()

    assert [point.positive for point in at_work.controller.points] == [True, False]
    if not at_work.ui.insideButton.checked:
        at_work.press("insideButton")
    at_work.click(SECOND)
    assert (at_work.mask() == expected).all()
    assert at_work.errorText == ""


def test_a_bundle_loaded_while_the_module_is_open_goes_on_too(at_work, tmp_path):
    at_work.click(FIRST)
    before = at_work.mask()
    at_work.application.saveMrb(tmp_path / "scene.mrb")
    at_work.application.closeScene()
    assert at_work.controller.scanNode is None
    at_work.application.loadMrb(tmp_path / "scene.mrb")
    at_work.wait()

    assert len(at_work.controller.points) == 1
    assert (at_work.mask() == before).all()
    at_work.views.show(at_work.controller.scanNode)
    if not at_work.ui.insideButton.checked:
        at_work.press("insideButton")
    at_work.click(SECOND)
    assert at_work.mask()[SECOND]
    assert at_work.mask()[FIRST]


def test_a_scan_deleted_during_inference_harms_nothing(at_work, gate):
    gate.clear()
    at_work.click(FIRST, wait=False)
    processEvents()
    slicer.mrmlScene.RemoveNode(at_work.controller.scanNode)
    gate.set()
    processEvents()
    at_work.wait()

    assert at_work.ui.scanSelector.currentNode() is None
    assert at_work.errorText == ""
    assert not at_work.ui.insideButton.enabled


def test_cancel_frees_the_panel_at_once_and_takes_the_point_back(at_work, gate):
    at_work.click(FIRST)
    before = at_work.mask()
    gate.clear()
    at_work.click(SECOND, wait=False)
    processEvents()
    assert at_work.ui.cancelButton.enabled
    clickOn(at_work.ui.cancelButton)

    assert not at_work.controller.status.canCancel  # before the model has answered anything
    assert len(at_work.controller.points) == 1
    gate.set()
    at_work.wait()
    assert (at_work.mask() == before).all()
    at_work.click(SECOND)
    assert at_work.mask()[SECOND]


def test_switching_the_scan_mid_way_writes_nothing_into_the_other(at_work, gate):
    at_work.click(FIRST)
    first, before = at_work.controller.segmentationNode, at_work.mask()
    gate.clear()
    at_work.click(SECOND, wait=False)
    processEvents()
    other = addBlocks(np.diag([-2.0, -1.5, 1.0, 1.0]), "other")
    at_work.ui.scanSelector.setCurrentNode(other)
    gate.set()
    at_work.wait()

    assert at_work.controller.segmentationNode is not first
    assert first.GetSegmentation().GetNumberOfSegments() == 1
    at_work.ui.scanSelector.setCurrentNode(first.GetNodeReference("referenceImageGeometryRef"))
    at_work.wait()
    at_work.controller.selectSegment(first.GetSegmentation().GetNthSegmentID(0))
    assert (at_work.mask() >= before).all()


def test_the_module_is_reloaded_and_goes_on(at_work):
    at_work.click(FIRST)
    at_work.module.reload()
    at_work.module.enter()
    at_work.wait()
    if not at_work.ui.insideButton.checked:
        at_work.press("insideButton")
    at_work.click(SECOND)

    assert at_work.mask()[FIRST]
    assert at_work.mask()[SECOND]
    assert len(at_work.segmentIDs()) == 1


def test_the_scene_is_closed_while_a_click_is_computed(at_work, gate):
    gate.clear()
    at_work.click(FIRST, wait=False)
    processEvents()
    at_work.application.closeScene()
    gate.set()
    at_work.wait()

    assert at_work.controller.scanNode is None
    assert at_work.errorText == ""


def test_what_is_painted_by_hand_stays(at_work):
    at_work.click(FIRST)
    mask = at_work.mask().astype("uint8")
    mask[20:26, 20:28, 22:30] = 1
    controller = at_work.controller
    slicer.util.updateSegmentBinaryLabelmapFromArray(
        mask, controller.segmentationNode, controller.selectedSegmentID, controller.scanNode
    )
    at_work.press("outsideButton")
    at_work.click((9, 14, 16))

    assert at_work.mask()[SECOND]
    assert not at_work.mask()[9, 14, 16]
    at_work.press("undoButton")
    assert controller.undoText == "Change by hand (Segment_1)"
