from __future__ import annotations

import pytest

from MemorizingSAM3DLib.scene.points.markups import createPromptNode
from MemorizingSAM3DLib.scene.points.place_mode import PointPlacing, jumpTo


@pytest.fixture
def the_mouse(a_scene):
    """Slicer's interaction node."""
    node = a_scene.GetNodeByID("vtkMRMLInteractionNodeSingleton")
    yield node
    node.SetPlaceModePersistence(0)
    node.SwitchToViewTransformMode()


@pytest.fixture
def a_placing(a_scene, the_mouse):
    placing = PointPlacing(a_scene)
    placing.heard = []
    placing.changed.connect(lambda: placing.heard.append(1))
    yield placing
    placing.close()


def test_placing_goes_on_until_it_is_stopped(a_placing, the_mouse):
    inside, outside = createPromptNode(True, "inside"), createPromptNode(False, "outside")
    a_placing.startFor(inside)

    assert a_placing.placesIn(inside)
    assert not a_placing.placesIn(outside)
    assert the_mouse.GetPlaceModePersistence() == 1
    assert a_placing.heard
    a_placing.stop()
    assert not a_placing.placesIn(inside)
    assert the_mouse.GetPlaceModePersistence() == 0


def test_placing_goes_over_to_another_list(a_placing):
    inside, outside = createPromptNode(True, "inside"), createPromptNode(False, "outside")
    a_placing.startFor(inside)
    a_placing.startFor(outside)

    assert a_placing.placesIn(outside)
    assert not a_placing.placesIn(inside)


def test_whoever_starts_and_ends_placing_it_is_told(a_placing, a_scene, the_mouse):
    node = createPromptNode(True, "inside")
    selection = a_scene.GetNodeByID("vtkMRMLSelectionNodeSingleton")
    selection.SetReferenceActivePlaceNodeClassName("vtkMRMLMarkupsFiducialNode")
    selection.SetActivePlaceNodeID(node.GetID())
    a_placing.heard.clear()
    the_mouse.SetCurrentInteractionMode(the_mouse.Place)
    assert a_placing.heard
    assert a_placing.placesIn(node)
    a_placing.heard.clear()
    the_mouse.SwitchToViewTransformMode()
    assert a_placing.heard
    assert not a_placing.placesIn(node)


def test_nothing_is_placed_in_no_list(a_placing):
    assert not a_placing.placesIn(None)


def test_nothing_is_told_after_closing(a_placing, the_mouse):
    a_placing.close()
    the_mouse.SetCurrentInteractionMode(the_mouse.Place)

    assert a_placing.heard == []


def test_a_scene_without_an_application_is_no_error(a_headless_application):
    import slicer

    placing = PointPlacing(slicer.vtkMRMLScene())
    placing.stop()

    assert not placing.placesIn(slicer.vtkMRMLMarkupsFiducialNode())


def test_all_slice_views_are_brought_to_a_point(a_scene):
    import slicer

    views = [slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSliceNode", f"view {number}") for number in range(2)]
    for view, orientation in zip(views, ("Axial", "Sagittal"), strict=True):
        view.SetOrientation(orientation)
    jumpTo(slicer.mrmlScene, (12.0, -8.0, 31.0))

    axial, sagittal = (view.GetSliceToRAS() for view in views)
    assert axial.GetElement(2, 3) == 31.0
    assert sagittal.GetElement(0, 3) == 12.0
