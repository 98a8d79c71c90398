"""Slicer's smaller widgets on real nodes: placing points, the Segment Editor, selectors."""

from __future__ import annotations

import pytest

from Testing.harness.pythonqt.driver import clickOn
from Testing.harness.pythonqt.fixtures import a_pythonqt, a_qt_application, no_error_in_slots  # noqa: F401
from Testing.harness.pythonqt.modules import modules

qt = modules["qt"]
pytestmark = pytest.mark.usefixtures("a_pythonqt")


@pytest.fixture
def points(a_scene):
    node = a_scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "points")
    node.CreateDefaultDisplayNodes()
    return node


@pytest.fixture
def place_nodes(a_scene):
    """The interaction and the selection node, which the application otherwise has."""
    made = []
    for name in ("Interaction", "Selection"):
        node = a_scene.GetFirstNodeByClass(f"vtkMRML{name}Node")
        made.append(node or a_scene.AddNewNodeByClass(f"vtkMRML{name}Node"))
    yield made
    made[0].SetCurrentInteractionMode(made[0].ViewTransform)
    made[1].SetActivePlaceNodeID(None)


@pytest.fixture
def editor(a_scene, a_segmentation_node):
    import slicer

    node = a_scene.AddNewNodeByClass("vtkMRMLSegmentEditorNode")
    widget = slicer.qMRMLSegmentEditorWidget()
    widget.setMRMLScene(a_scene)
    widget.setMRMLSegmentEditorNode(node)
    return widget


def test_the_segment_editor_keeps_its_choices_in_its_node(editor, a_segmentation_node, a_volume_node):
    ids = [a_segmentation_node.GetSegmentation().AddEmptySegment("", name) for name in "ab"]
    heard = []
    editor.connect("currentSegmentIDChanged(QString)", heard.append)
    editor.setSegmentationNode(a_segmentation_node)
    editor.setSourceVolumeNode(a_volume_node)
    editor.setCurrentSegmentID(ids[1])
    node = editor.mrmlSegmentEditorNode()
    assert node.GetSegmentationNode() is a_segmentation_node and node.GetSourceVolumeNode() is a_volume_node
    assert node.GetSelectedSegmentID() == ids[1] and heard == ids
    editor.selectPreviousSegment()
    assert editor.currentSegmentID() == ids[0]


def test_the_segment_editor_follows_its_node(editor, a_segmentation_node):
    heard = []
    editor.connect("segmentationNodeChanged(vtkMRMLSegmentationNode*)", heard.append)
    editor.mrmlSegmentEditorNode().SetAndObserveSegmentationNode(a_segmentation_node)
    assert editor.segmentationNode() is a_segmentation_node and heard == [a_segmentation_node]


def test_an_effect_is_chosen_by_its_name(editor):
    editor.setActiveEffectByName("Paint")
    assert editor.activeEffect().name == "Paint" and "Scissors" in editor.availableEffectNames()
    editor.setActiveEffectByName("")
    assert editor.activeEffect() is None


def test_undo_in_the_segment_editor_is_recorded(editor):
    editor.saveStateForUndo()
    editor.undo()
    assert editor._native.recordedCalls == ["saveStateForUndo", "undo"]


def test_the_3d_button_makes_and_removes_surfaces(a_scene, a_volume_node):
    import numpy as np
    import slicer

    from MemorizingSAM3DLib.scene.segments.segmentation import createSegmentation

    node = createSegmentation(a_volume_node, "a segmentation")
    segment = node.GetSegmentation().AddEmptySegment("", "a")
    mask = np.zeros(slicer.util.arrayFromVolume(a_volume_node).shape, np.uint8)
    mask[4:9, 4:9, 4:9] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask, node, segment, a_volume_node)
    button = slicer.qMRMLSegmentationShow3DButton()
    button.setSegmentationNode(node)
    button.show()
    surface = slicer.vtkSegmentationConverter.GetClosedSurfaceRepresentationName()
    clickOn(button)
    assert node.GetSegmentation().ContainsRepresentation(surface) and button.checked
    clickOn(button)
    assert not node.GetSegmentation().ContainsRepresentation(surface)
