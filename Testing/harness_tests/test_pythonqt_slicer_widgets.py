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
def place(a_scene, place_nodes, points):
    import slicer

    widget = slicer.qSlicerMarkupsPlaceWidget()
    widget.setMRMLScene(a_scene)
    widget.setCurrentNode(points)
    widget.show()
    return widget


def test_the_place_button_starts_placing_points_of_its_node(place, place_nodes, points):
    interaction, selection = place_nodes
    heard = []
    place.connect("activeMarkupsPlaceModeChanged(bool)", heard.append)
    clickOn(place.placeButton())
    assert place.placeModeEnabled and selection.GetActivePlaceNodeID() == points.GetID()
    assert interaction.GetCurrentInteractionMode() == interaction.Place
    clickOn(place.placeButton())
    assert not place.placeModeEnabled and heard == [True, False]


def test_placing_that_another_module_ends_is_noticed(place, place_nodes):
    interaction, _selection = place_nodes
    place.placeModeEnabled = True
    interaction.SetCurrentInteractionMode(interaction.ViewTransform)
    assert not place.placeModeEnabled and not place.placeButton().checked


def test_several_points_are_placed_if_so_set(place, place_nodes):
    place.placeMultipleMarkups = place.ForcePlaceMultipleMarkups
    place.placeModeEnabled = True
    assert place_nodes[0].GetPlaceModePersistence() == 1 and place.placeModePersistency


def test_the_last_point_is_deleted(place, points):
    points.AddControlPointWorld(1, 2, 3)
    points.AddControlPointWorld(4, 5, 6)
    place.deleteLastPoint()
    assert points.GetNumberOfControlPoints() == 1
    place.deleteAllPoints()
    assert points.GetNumberOfControlPoints() == 0 and not place.deleteButton().enabled


def test_without_a_node_nothing_can_be_placed(place):
    place.setCurrentNode(None)
    assert not place.placeButton().enabled and not place.placeModeEnabled


def test_the_points_are_listed_in_the_simple_widget(a_scene, place_nodes, points):
    import slicer

    widget = slicer.qSlicerSimpleMarkupsWidget()
    widget.enterPlaceModeOnNodeChange = False
    widget.setMRMLScene(a_scene)
    widget.setCurrentNode(points)
    points.AddControlPointWorld(1, 2, 3)
    assert widget.tableWidget().rowCount == 1
    assert widget.tableWidget().item(0, 3).text() == "3.000"


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


def test_a_segment_is_selected_among_those_of_the_node(a_scene, a_segmentation_node):
    import slicer

    ids = [a_segmentation_node.GetSegmentation().AddEmptySegment("", name) for name in "ab"]
    widget, heard = slicer.qMRMLSegmentSelectorWidget(), []
    widget.connect("currentSegmentChanged(QString)", heard.append)
    widget.setMRMLScene(a_scene)
    widget.setCurrentSegmentID(ids[1])
    a_segmentation_node.GetSegmentation().RemoveSegment(ids[1])
    assert heard == [ids[0], ids[1], ids[0]] and widget.segmentIDs() == (ids[0],)


def test_several_segments_are_selected_with_check_marks(a_scene, a_segmentation_node):
    import slicer

    ids = [a_segmentation_node.GetSegmentation().AddEmptySegment("", name) for name in "abc"]
    widget, heard = slicer.qMRMLSegmentSelectorWidget(), []
    widget.multiSelection = True
    widget.setMRMLScene(a_scene)
    widget.connect("segmentSelectionChanged(QStringList)", heard.append)
    widget.setSelectedSegmentIDs([ids[0], ids[2]])
    assert widget.selectedSegmentIDs() == (ids[0], ids[2]) and heard[-1] == (ids[0], ids[2])


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


def test_the_threshold_is_that_of_the_display(a_volume_node):
    import slicer

    a_volume_node.CreateDefaultDisplayNodes()
    widget = slicer.qMRMLVolumeThresholdWidget()
    widget.setMRMLVolumeNode(a_volume_node)
    widget.setThreshold(10, 20)
    display = a_volume_node.GetScalarVolumeDisplayNode()
    assert (display.GetLowerThreshold(), display.GetUpperThreshold()) == (10, 20)


def test_an_item_of_the_subject_hierarchy_is_selected(a_scene, a_volume_node):
    import slicer

    box = slicer.qMRMLSubjectHierarchyComboBox()
    box.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    box.setMRMLScene(a_scene)
    hierarchy = box.subjectHierarchyNode()
    hierarchy.CreateItem(hierarchy.GetSceneItemID(), a_volume_node)
    hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "a folder")
    box.setCurrentNode(a_volume_node)
    assert box.currentNode() is a_volume_node and box.count == 1
