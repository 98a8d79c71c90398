from __future__ import annotations

import numpy as np
import pytest

from Testing.harness.pythonqt.driver import clickOn


@pytest.fixture
def two_segments(controller, a_chosen_scan):
    return [controller.newSegment("Liver"), controller.newSegment("Tumour")]


def fill(controller, segmentID, scan):
    from MemorizingSAM3DLib.scene.segments.writer import SegmentWriter

    mask = np.zeros((16, 14, 12), dtype=bool)
    mask[4:8, 4:8, 4:8] = True
    SegmentWriter(controller.segmentationNode, segmentID, scan).write(mask)


def test_next_segment_adds_one_and_selects_it(ui, controller, a_chosen_scan):
    clickOn(ui.nextSegmentButton)
    clickOn(ui.nextSegmentButton)

    segmentation = controller.segmentationNode.GetSegmentation()
    assert segmentation.GetNumberOfSegments() == 2
    assert controller.selectedSegmentID == segmentation.GetNthSegmentID(1)
    assert list(ui.segmentTable.selectedSegmentIDs()) == [controller.selectedSegmentID]


def test_next_segment_does_not_end_placing(ui, controller, a_chosen_scan):
    clickOn(ui.insideButton)
    clickOn(ui.nextSegmentButton)

    assert controller.placing is True


def test_a_row_of_the_table_selects_its_segment(ui, controller, two_segments):
    ui.segmentTable.setSelectedSegmentIDs([two_segments[0]])

    assert controller.selectedSegmentID == two_segments[0]


def test_the_table_follows_the_controller(ui, controller, two_segments):
    controller.selectSegment(two_segments[0])

    assert list(ui.segmentTable.selectedSegmentIDs()) == [two_segments[0]]


def test_a_table_that_loses_its_selection_does_not_deselect_the_segment(ui, controller, two_segments):
    ui.segmentTable.clearSelection()

    assert controller.selectedSegmentID == two_segments[1]


def test_an_empty_segment_is_removed_without_a_question(ui, controller, two_segments, slicer_application):
    clickOn(ui.removeSegmentButton)

    assert slicer_application.dialogs.shown == []
    assert list(controller.segmentationNode.GetSegmentation().GetSegmentIDs()) == [two_segments[0]]


@pytest.mark.parametrize("answer", [True, False])
def test_a_segment_with_voxels_is_removed_only_after_a_yes(
    ui, controller, a_chosen_scan, two_segments, slicer_application, answer
):
    fill(controller, two_segments[1], a_chosen_scan)
    slicer_application.dialogs.answer(answer)
    clickOn(ui.removeSegmentButton)

    assert "'Tumour'" in slicer_application.dialogs.last.text
    assert (two_segments[1] in controller.segmentationNode.GetSegmentation().GetSegmentIDs()) is not answer


def test_an_empty_segment_beside_a_full_one_counts_as_empty(ui, controller, a_chosen_scan, two_segments):
    from MemorizingSAM3DLib.ui.panel.segment_list import hasContent

    fill(controller, two_segments[0], a_chosen_scan)

    assert hasContent(controller.segmentationNode, two_segments[0])
    assert not hasContent(controller.segmentationNode, two_segments[1])


def test_a_segment_with_points_is_removed_only_after_a_yes(ui, controller, two_segments, slicer_application):
    controller.place((1, 2, 3))
    slicer_application.dialogs.answer(False)
    clickOn(ui.removeSegmentButton)

    assert "removeSegment" not in controller.calls


def test_lock_locks_and_says_so(ui, controller, two_segments):
    clickOn(ui.lockSegmentButton)
    assert controller.isLocked(two_segments[1])
    assert (ui.lockSegmentButton.checked, ui.lockSegmentButton.text) == (True, "Locked")
    assert not ui.removeSegmentButton.enabled

    clickOn(ui.lockSegmentButton)
    assert not controller.isLocked(two_segments[1])
    assert (ui.lockSegmentButton.checked, ui.lockSegmentButton.text) == (False, "Lock")


def test_each_segment_has_a_lock_of_its_own(ui, controller, two_segments):
    clickOn(ui.lockSegmentButton)
    controller.selectSegment(two_segments[0])

    assert not ui.lockSegmentButton.checked


def test_the_locked_segments_are_named(ui, controller, two_segments):
    assert not ui.lockedLabel.visible
    for segmentID in two_segments:
        controller.setLocked(segmentID, True)

    assert ui.lockedLabel.visible
    assert ui.lockedLabel.text == "Locked: Liver, Tumour"


def test_without_a_segment_the_buttons_say_what_is_missing(ui, a_chosen_scan):
    for button in (ui.removeSegmentButton, ui.lockSegmentButton):
        assert not button.enabled
        assert "Select a segment" in button.toolTip
    assert not ui.show3DButton.enabled
    assert "no segment" in ui.show3DButton.toolTip


def test_show_3d_is_for_the_chosen_segmentation(ui, controller, two_segments):
    assert ui.show3DButton.enabled
    assert ui.show3DButton.segmentationNode() is controller.segmentationNode


def test_a_segment_that_is_renamed_elsewhere_keeps_its_selection(ui, controller, two_segments):
    controller.segmentationNode.GetSegmentation().GetSegment(two_segments[1]).SetName("Metastasis")
    controller.segmentsChanged.emit()

    assert list(ui.segmentTable.selectedSegmentIDs()) == [two_segments[1]]
