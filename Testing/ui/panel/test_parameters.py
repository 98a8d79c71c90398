from __future__ import annotations

import numpy as np
import pytest

from Testing.harness.pythonqt.driver import choose, clickOn


@pytest.fixture
def parameters(a_module):
    return a_module.widget.panel.binding.parameters


@pytest.fixture
def another_scan(a_scene):
    import slicer

    return slicer.util.addVolumeFromArray(np.zeros((4, 5, 6), dtype=np.int16), np.eye(4), "another scan")


def parameterNode(a_module):
    """As a script or another module sees it."""
    return a_module.widget.logic.getParameterNode()


def test_the_selectors_choose(ui, controller, a_module, a_segmentation_node, a_volume_node):
    choose(ui.scanSelector, "a scan")
    choose(ui.segmentationSelector, "a segmentation")

    assert controller.scanNode is a_volume_node
    assert controller.segmentationNode is a_segmentation_node
    assert parameterNode(a_module).scan is a_volume_node
    assert parameterNode(a_module).segmentation is a_segmentation_node


def test_a_script_that_changes_the_parameter_node_changes_panel_and_controller(
    ui, controller, a_module, a_segmentation_node, a_volume_node
):
    from MemorizingSAM3DLib.scene.segments.segmentation import addSegment

    liver, tumour = addSegment(a_segmentation_node, "Liver"), addSegment(a_segmentation_node, "Tumour")
    node = parameterNode(a_module)
    node.scan = a_volume_node
    node.segmentation = a_segmentation_node
    node.segmentID = liver
    node.previewWhileDragging = False

    assert controller.scanNode is a_volume_node
    assert controller.selectedSegmentID == liver != tumour
    assert ui.scanSelector.currentNode() is a_volume_node
    assert list(ui.segmentTable.selectedSegmentIDs()) == [liver]
    assert not controller.previewWhileDragging
    assert not ui.previewCheckBox.checked


def test_what_the_controller_makes_is_kept_with_the_scene(ui, controller, a_module, a_chosen_scan):
    from MemorizingSAM3DLib.scene.points.markups import createPromptNode

    controller.positiveNode, controller.negativeNode = createPromptNode(True, "in"), createPromptNode(False, "out")
    controller.place((1, 2, 3))

    node = parameterNode(a_module)
    assert node.segmentation is controller.segmentationNode is not None
    assert node.segmentID == controller.selectedSegmentID != ""
    assert node.positivePoints is controller.positiveNode
    assert node.negativePoints is controller.negativeNode
    assert ui.segmentationSelector.currentNode() is controller.segmentationNode


def test_another_scan_leaves_the_choice_of_its_segmentation_to_the_controller(
    ui, controller, a_chosen_scan, another_scan
):
    controller.place((1, 2, 3))
    setScan = controller.setScan

    def setScanAndForget(node):
        controller.segmentationNode, controller.selectedSegmentID = None, ""
        setScan(node)

    controller.setScan = setScanAndForget
    ui.scanSelector.setCurrentNode(another_scan)

    assert controller.segmentationNode is None
    assert ui.segmentationSelector.currentNode() is None


def test_a_scan_that_cannot_be_used_is_refused_with_a_reason(ui, controller, a_chosen_scan, another_scan):
    from Testing.ui.a_fake_controller import anEngineError

    controller.error = anEngineError()
    ui.scanSelector.setCurrentNode(another_scan)

    assert ui.scanSelector.currentNode() is a_chosen_scan
    assert ui.errorLabel.text == "The scan has no voxels. Load it again."


def test_the_switches_are_kept(ui, controller, a_module, a_chosen_scan):
    clickOn(ui.advancedSection)
    assert ui.previewCheckBox.checked
    clickOn(ui.previewCheckBox)

    assert parameterNode(a_module).previewWhileDragging is False
    assert controller.previewWhileDragging is False
    assert parameterNode(a_module).advancedCollapsed is False


def test_removing_the_scan_selects_no_other_scan(ui, controller, a_scene, a_chosen_scan, another_scan):
    a_scene.RemoveNode(a_chosen_scan)

    assert controller.scanNode is None
    assert ui.scanSelector.currentNode() is None


def test_removing_the_segmentation_selects_no_other_one(ui, controller, a_scene, a_chosen_scan, a_segmentation_node):
    controller.place((1, 2, 3))
    a_scene.RemoveNode(controller.segmentationNode)

    assert controller.segmentationNode is None
    assert ui.segmentationSelector.currentNode() is None


def test_closing_the_scene_leaves_an_empty_panel_that_can_be_used_again(
    ui, controller, a_module, slicer_application, a_chosen_scan
):
    controller.place((1, 2, 3))
    controller.setSegmentation(None)
    slicer_application.closeScene()
    assert controller.scanNode is None
    assert ui.scanSelector.currentNode() is None

    import slicer

    scan = slicer.util.addVolumeFromArray(np.zeros((4, 5, 6), dtype=np.int16), np.eye(4), "the next scan")
    choose(ui.scanSelector, "the next scan")
    assert controller.scanNode is scan


def test_a_saved_scene_comes_back_with_its_scan_segment_and_switches(
    ui, controller, a_module, slicer_application, a_chosen_scan, tmp_path
):
    controller.newSegment("Liver")
    tumour = controller.newSegment("Tumour")
    controller.newSegment("Spleen")
    controller.selectSegment(tumour)
    clickOn(ui.advancedSection)
    clickOn(ui.previewCheckBox)
    assert slicer_application.saveMrb(tmp_path / "scene.mrb")
    controller.setSegmentation(None)
    slicer_application.loadMrb(tmp_path / "scene.mrb")

    assert controller.scanNode is not None
    assert controller.scanNode.GetName() == "a scan"
    assert controller.segmentationNode.GetSegmentation().GetNumberOfSegments() == 3
    assert controller.selectedSegmentID == tumour
    assert not ui.previewCheckBox.checked
    assert not ui.advancedSection.collapsed


def test_a_scene_that_is_loaded_while_another_module_is_open_is_there_on_return(
    ui, controller, a_module, slicer_application, a_chosen_scan, tmp_path
):
    assert slicer_application.saveMrb(tmp_path / "scene.mrb")
    a_module.exit()
    slicer_application.loadMrb(tmp_path / "scene.mrb")
    a_module.enter()

    assert controller.scanNode is not None
    assert controller.scanNode.GetName() == "a scan"


def test_the_first_to_speak_after_loading_does_not_overwrite_what_was_loaded(
    ui, controller, a_scene, a_module, slicer_application, a_chosen_scan, tmp_path
):
    """The real controller tells of its points as soon as a scene was read, before the panel has looked at it."""
    assert slicer_application.saveMrb(tmp_path / "scene.mrb")
    tag = a_scene.AddObserver(a_scene.EndImportEvent, lambda *_: controller.pointsChanged.emit(), 100.0)
    slicer_application.loadMrb(tmp_path / "scene.mrb")
    a_scene.RemoveObserver(tag)

    assert controller.scanNode is not None


def test_the_scan_that_is_shown_is_chosen_when_the_module_is_opened(
    controller, a_scene, slicer_application, a_volume_node, another_scan
):
    from Testing.ui.conftest import MODULE_FILE

    selection = a_scene.GetNodeByID("vtkMRMLSelectionNodeSingleton")
    selection.SetActiveVolumeID(another_scan.GetID())
    slicer_application.openModule(MODULE_FILE)

    assert controller.scanNode is another_scan
