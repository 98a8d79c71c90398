from __future__ import annotations

import pytest

from Testing.harness.pythonqt.driver import clickOn, pressKey


def editorNode(scene):
    return scene.GetSingletonNode("SegmentEditor", "vtkMRMLSegmentEditorNode")


def editorOf(ui):
    layout = ui.handSection.layout()
    return layout.itemAt(0).widget() if layout.count() > 1 else None


@pytest.fixture
def two_segments(controller, a_chosen_scan):
    return [controller.newSegment("Liver"), controller.newSegment("Tumour")]


@pytest.fixture
def an_editor(ui, a_module, two_segments):
    """The embedded editor, opened by a click on its section."""
    a_module.resize(350, 1400)
    clickOn(ui.handSection)
    return editorOf(ui)


def test_no_editor_is_made_before_the_section_is_opened(ui, a_scene, two_segments):
    assert editorOf(ui) is None
    assert editorNode(a_scene) is None


def test_it_works_on_the_same_scan_segmentation_and_segment(controller, an_editor, a_scene, two_segments):
    assert an_editor.segmentationNode() is controller.segmentationNode
    assert an_editor.sourceVolumeNode() is controller.scanNode
    assert an_editor.currentSegmentID() == two_segments[1]
    assert an_editor.mrmlSegmentEditorNode() is editorNode(a_scene)


def test_the_node_is_the_segment_editors_with_its_masking(ui, a_scene, a_module, two_segments):
    import slicer

    node = slicer.vtkMRMLSegmentEditorNode()
    node.SetSingletonTag("SegmentEditor")
    node = a_scene.AddNode(node)
    node.SetOverwriteMode(node.OverwriteNone)
    clickOn(ui.handSection)

    assert editorOf(ui).mrmlSegmentEditorNode() is node
    assert node.GetOverwriteMode() == node.OverwriteNone


def test_it_follows_the_selected_segment_and_leads_it(controller, an_editor, two_segments):
    controller.selectSegment(two_segments[0])
    assert an_editor.currentSegmentID() == two_segments[0]

    an_editor.setCurrentSegmentID(two_segments[1])
    assert controller.selectedSegmentID == two_segments[1]


def test_placing_points_ends_an_effect(ui, controller, an_editor, a_scene, a_module):
    an_editor.setActiveEffectByName("Paint")
    assert editorNode(a_scene).GetActiveEffectName() == "Paint"
    clickOn(ui.insideButton)

    assert controller.placing is True
    assert not editorNode(a_scene).GetActiveEffectName()


def test_an_effect_ends_placing_points(ui, controller, an_editor):
    clickOn(ui.insideButton)
    an_editor.setActiveEffectByName("Paint")

    assert controller.placing is None


@pytest.mark.parametrize("leave", ["collapse", "exit", "close the scene"])
def test_leaving_it_ends_its_effect(ui, controller, an_editor, a_scene, a_module, slicer_application, leave):
    an_editor.setActiveEffectByName("Paint")
    if leave == "collapse":
        clickOn(ui.handSection)
    elif leave == "exit":
        a_module.exit()
    else:
        controller.setSegmentation(None)
        slicer_application.closeScene()

    assert not editorNode(a_scene).GetActiveEffectName()


def test_closed_it_leaves_the_segment_editors_selection_alone(ui, controller, an_editor, a_scene, two_segments):
    clickOn(ui.handSection)
    controller.selectSegment(two_segments[0])
    assert editorNode(a_scene).GetSelectedSegmentID() == two_segments[1]

    clickOn(ui.handSection)
    assert editorNode(a_scene).GetSelectedSegmentID() == two_segments[0]


def test_our_keys_work_beside_it(controller, an_editor, a_module, a_scene):
    from MemorizingSAM3DLib.ui.panel.shortcuts import KEYS

    pressKey(a_module.dock, KEYS["inside"])

    assert controller.placing is True


def test_the_segment_editor_opens_on_the_same_segment(
    ui, controller, a_module, a_scene, slicer_application, two_segments
):
    a_module.resize(350, 1400)
    clickOn(ui.insideButton)
    clickOn(ui.handSection)
    clickOn(ui.segmentEditorButton)

    node = editorNode(a_scene)
    assert slicer_application.selectedModules == ["SegmentEditor"]
    assert node.GetSegmentationNode() is controller.segmentationNode
    assert node.GetSourceVolumeNode() is controller.scanNode
    assert node.GetSelectedSegmentID() == two_segments[1]
    assert controller.placing is None


def test_without_a_segmentation_there_is_nothing_to_open(ui, a_chosen_scan):
    assert not ui.segmentEditorButton.enabled
    assert "There is no segmentation yet" in ui.segmentEditorButton.toolTip


def test_a_reload_makes_another_editor(controller, an_editor, a_module, a_scene):
    a_module.reload()
    ui = a_module.widget.ui
    clickOn(ui.handSection)

    assert editorOf(ui) is not None
    assert editorOf(ui).segmentationNode() is controller.segmentationNode
