"""Real mouse events in real slice views place, hover over and drag real control points."""

from __future__ import annotations

import numpy as np
import pytest

from Testing.harness.application.fixtures import slice_views  # noqa: F401

PIXEL_PLACES = [(10.0, -20.0, 5.0), (-33.3, 14.7, 5.0), (0.2, 0.4, -11.0)]


@pytest.fixture
def a_scan(a_scene, slice_views):  # noqa: F811
    """120 x 100 x 80 mm about the origin, shown in the three views."""
    import slicer

    voxels = np.random.default_rng(0).integers(0, 100, (40, 50, 60)).astype(np.int16)
    matrix = np.diag([-2.0, -2.0, 2.0, 1.0])
    matrix[:3, 3] = (59.0, 49.0, -39.0)
    scan = slicer.util.addVolumeFromArray(voxels, matrix, "scan")
    slice_views.show(scan)
    yield scan
    interaction_node_of(a_scene).SetCurrentInteractionMode(interaction_node_of(a_scene).ViewTransform)
    slice_views.leave()


@pytest.fixture
def points(a_scan):
    node = a_scan.GetScene().AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "points")
    node.CreateDefaultDisplayNodes()
    return node


def interaction_node_of(scene):
    return scene.GetNodeByID("vtkMRMLInteractionNodeSingleton")


def place(node, persistent=True):
    scene = node.GetScene()
    selection = scene.GetNodeByID("vtkMRMLSelectionNodeSingleton")
    selection.SetReferenceActivePlaceNodeClassName("vtkMRMLMarkupsFiducialNode")
    selection.SetActivePlaceNodeID(node.GetID())
    interaction = interaction_node_of(scene)
    interaction.SetPlaceModePersistence(persistent)
    interaction.SetCurrentInteractionMode(interaction.Place)


def positions(node):
    defined = [i for i in range(node.GetNumberOfControlPoints()) if node.GetNthControlPointPositionStatus(i) == 2]
    return np.array([node.GetNthControlPointPositionWorld(i) for i in defined]).reshape(-1, 3)


def events(node, *names):
    """A list that fills with the names of these events as they come."""
    seen = []
    for name in names:
        node.AddObserver(getattr(node, name), lambda caller, event, name=name: seen.append(name))
    return seen


@pytest.mark.parametrize("name", ["Red", "Green", "Yellow"])
@pytest.mark.parametrize("ras", PIXEL_PLACES)
def test_a_click_places_a_point_within_half_a_pixel(slice_views, points, name, ras):  # noqa: F811
    view = slice_views[name]
    place(points)

    view.clickAt(ras)

    placed = positions(points)
    assert len(placed) == 1
    assert (np.abs(placed[0] - ras) <= view.millimetresPerPixel / 2 + 1e-6).all()


def test_the_views_have_slicers_orientations(slice_views, a_scan):  # noqa: F811
    assert [view.node.GetOrientation() for view in slice_views] == ["Axial", "Coronal", "Sagittal"]
    assert [view.node.GetID() for view in slice_views] == [f"vtkMRMLSliceNode{name}" for name in slice_views.names]


def test_persistent_placing_goes_on_from_view_to_view(slice_views, points):  # noqa: F811
    place(points, persistent=True)

    slice_views.red.clickAt((10, 10, 10))
    slice_views.green.clickAt((-20, 15, 0))
    slice_views.yellow.clickAt((5, -20, 8))

    assert len(positions(points)) == 3
    interaction = interaction_node_of(points.GetScene())
    assert interaction.GetCurrentInteractionMode() == interaction.Place


def test_single_placing_ends_after_one_point(slice_views, points):  # noqa: F811
    place(points, persistent=False)

    slice_views.red.clickAt((10, 10, 10))
    slice_views.red.clickAt((-10, 10, 10))

    interaction = interaction_node_of(points.GetScene())
    assert interaction.GetCurrentInteractionMode() == interaction.ViewTransform
    assert len(positions(points)) == 1


def test_outside_of_place_mode_a_click_places_nothing(slice_views, points):  # noqa: F811
    slice_views.red.clickAt((10, 10, 10))

    assert points.GetNumberOfControlPoints() == 0


def test_a_point_follows_the_pointer_until_it_leaves_the_view(slice_views, points):  # noqa: F811
    place(points)

    slice_views.red.moveTo((10, 10, 10))
    following = (points.GetNumberOfControlPoints(), points.GetNumberOfDefinedControlPoints())
    slice_views.leave()

    assert following == (1, 0), "a preview, which does not count as defined"
    assert points.GetNumberOfControlPoints() == 0


def test_a_drag_moves_the_point_and_tells_when_it_starts_and_ends(slice_views, points):  # noqa: F811
    points.AddControlPointWorld(10, 10, 10)
    points.AddControlPointWorld(-30, 10, 10)
    slice_views.red.scrollTo((10, 10, 10))
    seen = events(points, "PointStartInteractionEvent", "PointModifiedEvent", "PointEndInteractionEvent")

    slice_views.red.dragFrom((10, 10, 10), (25, -12, 10))

    assert np.abs(positions(points) - [(25, -12, 10), (-30, 10, 10)]).max() <= slice_views.red.millimetresPerPixel
    assert seen[0] == "PointStartInteractionEvent"
    assert seen[-1] == "PointEndInteractionEvent"
    assert seen.count("PointStartInteractionEvent") == seen.count("PointEndInteractionEvent") == 1
    assert seen.count("PointModifiedEvent") >= 5


def test_a_drag_that_is_held_has_not_ended(slice_views, points):  # noqa: F811
    points.AddControlPointWorld(10, 10, 10)
    seen = events(points, "PointStartInteractionEvent", "PointEndInteractionEvent")

    slice_views.red.dragFrom((10, 10, 10), (25, -12, 10), hold=True)
    held = list(seen)
    slice_views.red.release()

    assert held == ["PointStartInteractionEvent"]
    assert seen == ["PointStartInteractionEvent", "PointEndInteractionEvent"]


def test_a_drag_of_nothing_moves_no_point(slice_views, points):  # noqa: F811
    points.AddControlPointWorld(10, 10, 10)

    slice_views.red.dragFrom((-30, -10, 10), (25, -12, 10))

    assert np.allclose(positions(points), [(10, 10, 10)])


def test_hovering_over_a_point_lets_the_delete_key_remove_it(slice_views, points):  # noqa: F811
    points.AddControlPointWorld(10, 10, 10)
    points.AddControlPointWorld(-30, 10, 10)

    slice_views.red.moveTo((-30, 10, 10))
    slice_views.red.pressKey("Delete")

    assert np.allclose(positions(points), [(10, 10, 10)])


def test_the_wheel_goes_through_the_slices(slice_views, a_scan):  # noqa: F811
    slice_views.red.moveTo((1, 1, 1))
    before = slice_views.red.logic.GetSliceOffset()

    slice_views.red.wheel(3)

    assert abs(slice_views.red.logic.GetSliceOffset() - before) == pytest.approx(6)


def test_a_point_out_of_sight_cannot_be_clicked(slice_views, a_scan):  # noqa: F811
    with pytest.raises(ValueError, match="outside of the view Red"):
        slice_views.red.clickAt((1000, 0, 0))


def test_a_drag_stays_in_its_slice(slice_views, points):  # noqa: F811
    points.AddControlPointWorld(10, 10, 10)

    with pytest.raises(ValueError, match="stays in the slice"):
        slice_views.red.dragFrom((10, 10, 10), (10, 10, 30))


def test_after_the_scene_was_closed_the_views_place_points_again(slice_views, points):  # noqa: F811
    scene = points.GetScene()
    scene.Clear(False)

    assert [view.node.GetOrientation() for view in slice_views] == ["Axial", "Coronal", "Sagittal"]
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "points")
    node.CreateDefaultDisplayNodes()
    place(node)
    for view in slice_views:
        view.clickAt((1.0, 2.0, 3.0))
    assert np.abs(positions(node) - (1.0, 2.0, 3.0)).max() <= max(view.millimetresPerPixel for view in slice_views) / 2


def test_the_picture_shows_the_scan_and_the_point(slice_views, points, tmp_path):  # noqa: F811
    points.AddControlPointWorld(0, 0, 1)
    points.GetDisplayNode().SetSelectedColor(0, 1, 0)
    slice_views.red.scrollTo((0, 0, 1))

    path = slice_views.red.picture(tmp_path / "pictures" / "red.png")
    pixels = slice_views.red.pixels().astype(int)

    assert path.stat().st_size > 1000
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    assert ((green > 150) & (red < 100) & (blue < 100)).sum() > 10, "the point"
    assert ((abs(red - green) < 4) & (red > 60)).mean() > 0.2, "the scan"
