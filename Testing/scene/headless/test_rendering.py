from __future__ import annotations

import sys

import numpy as np
import pytest
import SimpleITK as sitk

from MemorizingSAM3DLib.engine.errors import OutputError


@pytest.fixture
def a_ball(a_scene):
    """A scan of a bright ball, a segment that holds its inside, a point within and one far outside."""
    import slicer

    from MemorizingSAM3DLib.scene.points.markups import createPromptNode
    from MemorizingSAM3DLib.scene.segments.segmentation import addSegment, createSegmentation
    from MemorizingSAM3DLib.scene.segments.writer import SegmentWriter

    pytest.importorskip("trame_slicer", reason="needs trame-slicer: pip install memorizing-sam3d[scene]")
    k, j, i = np.ogrid[-1:1:40j, -1:1:48j, -1:1:48j]
    distance = np.sqrt(k**2 + j**2 + i**2)
    scan = slicer.util.addVolumeFromArray(
        (1000.0 * (distance < 0.9)).astype(np.float32), np.diag([-3.0, -3.0, 3.0, 1.0]), "a ball"
    )
    segmentationNode = createSegmentation(scan, "segmentation")
    SegmentWriter(segmentationNode, addSegment(segmentationNode, "inside", (1.0, 1.0, 0.0)), scan).write(distance < 0.4)
    positive, negative = createPromptNode(True, "inside"), createPromptNode(False, "outside")
    positive.AddControlPoint(-72, -72, 60)
    negative.AddControlPoint(-36, -72, 60)
    return scan, segmentationNode, [positive, negative]


def panels(path):
    """Axial, 3D, coronal, sagittal: (rows, columns, 3) each."""
    pixels = sitk.GetArrayFromImage(sitk.ReadImage(str(path))).astype(int)
    rows, columns = pixels.shape[0] // 2, pixels.shape[1] // 2
    return [pixels[:rows, :columns], pixels[:rows, columns:], pixels[rows:, :columns], pixels[rows:, columns:]]


def share(panel, condition):
    red, green, blue = panel[..., 0], panel[..., 1], panel[..., 2]
    return condition(red, green, blue).mean()


def test_the_picture_shows_scan_segment_and_points_in_all_views(a_ball, tmp_path):
    from MemorizingSAM3DLib.scene.headless.rendering import renderViews

    scan, segmentationNode, lists = a_ball
    path = renderViews(scan, segmentationNode, lists, tmp_path / "views.png", size=(800, 600))

    axial, threeD, coronal, sagittal = panels(path)
    assert path.parent == tmp_path
    for panel in (axial, coronal, sagittal):
        assert share(panel, lambda r, g, b: (r > 200) & (abs(r - g) < 8) & (abs(g - b) < 8)) > 0.2, "the bright ball"
        assert share(panel, lambda r, g, b: (r > 150) & (g > 150) & (b < g - 40)) > 0.08, "the yellow segment"
    for panel in (axial, threeD, coronal):
        assert share(panel, lambda r, g, b: (g > r + 60) & (g > 100) & (b > 60) & (b < g)) > 2e-4, "the green point"
        assert share(panel, lambda r, g, b: (r > 150) & (g > 50) & (g < 130) & (b < 50)) > 2e-4, "the orange point"
    assert share(threeD, lambda r, g, b: b < g - 20) > 0.1, "the segment's surface"


def test_the_slices_go_through_the_given_point(a_ball, tmp_path):
    from MemorizingSAM3DLib.scene.headless.rendering import renderViews

    scan, segmentationNode, lists = a_ball
    path = renderViews(
        scan, segmentationNode, [], tmp_path / "views.png", centerRas=(-72, -72, 60 + 40), size=(800, 600)
    )

    axial = panels(path)[0]
    assert share(axial, lambda r, g, b: (r > 150) & (b < g - 40)) < 0.01, "above the segment"


def test_rendering_leaves_the_scene_as_it_was(a_scene, a_ball, tmp_path):
    from MemorizingSAM3DLib.scene.headless.rendering import renderViews

    scan, segmentationNode, lists = a_ball

    def state():
        nodes = [a_scene.GetNthNode(index) for index in range(a_scene.GetNumberOfNodes())]
        displays = [node.GetDisplayNode() for node in (scan, segmentationNode, *lists)]
        return (
            sorted(node.GetID() for node in nodes),
            [(display.GetOpacity(), display.GetVisibility(), display.GetID()) for display in displays],
            displays[0].GetAutoWindowLevel(),
            displays[1].GetOpacity3D(),
            displays[2].GetSliceProjection(),
            segmentationNode.GetSegmentation().ContainsRepresentation("Closed surface"),
        )

    before = state()
    renderViews(scan, segmentationNode, lists, tmp_path / "views.png", size=(200, 150))
    assert state() == before


def test_a_scan_without_segment_can_be_shown(a_ball, tmp_path):
    from MemorizingSAM3DLib.scene.headless.rendering import renderViews
    from MemorizingSAM3DLib.scene.segments.segmentation import createSegmentation

    scan = a_ball[0]
    path = renderViews(scan, createSegmentation(scan, "empty"), [], tmp_path / "views.png", size=(400, 300))

    assert share(panels(path)[0], lambda r, g, b: r > 200) > 0.2


def test_a_missing_folder_is_refused_before_anything_is_rendered(a_ball, tmp_path):
    from MemorizingSAM3DLib.scene.headless.rendering import renderViews

    with pytest.raises(OutputError, match="does not exist"):
        renderViews(*a_ball, tmp_path / "none" / "views.png")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems always have OpenGL")
def test_a_machine_without_opengl_gets_a_remedy_and_no_crash(a_ball, tmp_path, monkeypatch):
    from MemorizingSAM3DLib.scene.headless import rendering as views

    views._checkRendering.cache_clear()
    # An OSMesa that VTK cannot load: what is found on a bare machine, on which VTK ends the process.
    for name in ("libOSMesa.so", "libOSMesa.so.8", "libOSMesa.so.6"):
        (tmp_path / name).write_bytes(b"")
    monkeypatch.setenv("VTK_DEFAULT_OPENGL_WINDOW", "vtkOSOpenGLRenderWindow")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))

    with pytest.raises(OutputError, match="no off-screen OpenGL") as error:
        views.renderViews(*a_ball, tmp_path / "views.png")
    assert "apt install" in error.value.remedy
