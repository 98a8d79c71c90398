"""A picture of a result: Slicer's own slice and 3D views, rendered off screen by trame-slicer."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from MemorizingSAM3DLib.engine.errors import OutputError
from MemorizingSAM3DLib.scene.headless.application import headlessApplication
from MemorizingSAM3DLib.scene.saving import checkOutput
from MemorizingSAM3DLib.scene.scan import checkScan, modalityOf
from MemorizingSAM3DLib.scene.vtk_messages import capturedMessages, runsInsideSlicer

_GAP = 6  # pixels between the views
_BACKGROUND = (24, 26, 30)
_FIELD_OF_VIEW_PER_SEGMENT = 1.9  # so much of the surroundings that the place can be recognised
_SMALLEST_FIELD_OF_VIEW = 60.0  # mm


@dataclass(frozen=True)
class _Orientation:
    name: str
    color: tuple[float, float, float]  # Slicer's of that view
    axis: int  # of RAS, across the slice
    axes: tuple[int, int]  # of RAS, along the view's width and height
    letters: tuple[str, str, str, str]  # at the left, right, top, bottom edge


_AXIAL = _Orientation("Axial", (0.95, 0.29, 0.25), 2, (0, 1), ("R", "L", "A", "P"))
_CORONAL = _Orientation("Coronal", (0.43, 0.75, 0.38), 1, (0, 2), ("R", "L", "S", "I"))
_SAGITTAL = _Orientation("Sagittal", (0.93, 0.84, 0.30), 0, (1, 2), ("A", "P", "S", "I"))


def renderViews(
    volumeNode: Any,
    segmentationNode: Any,
    markupsNodes: Sequence[Any],
    path: str | Path,
    centerRas: Sequence[float] | None = None,
    size: tuple[int, int] = (1600, 1200),
) -> Path:
    """Writes a PNG with an axial, a coronal and a sagittal slice and a 3D view, laid out as Slicer's Four-Up.

    The slices go through the centre and show the scan, the segments' fill and outline and all points (those of other
    slices are projected). The 3D view shows the segments' surfaces. The scene is afterwards as it was before.

    Args:
        volumeNode: the scan. Its window and level are those of its display node unless that is automatic, else soft
            tissue for CT, and percentiles 1 and 99.5 for others.
        segmentationNode: vtkMRMLSegmentationNode; an empty one gives a picture of the scan.
        markupsNodes: lists of points.
        centerRas: where the slices cross, world RAS mm; None for the middle of the segments, or of the scan.
        size: width and height in pixels.

    Returns:
        the absolute path.

    Raises:
        OutputError: the file cannot be written; trame-slicer is not installed; nothing can be rendered on this machine.
        VolumeError: not a scan.
    """
    checkScan(volumeNode)
    path = checkOutput(path)
    if runsInsideSlicer():
        raise OutputError("Views are rendered outside of Slicer only.", "Take a screenshot in Slicer's toolbar.")
    try:
        import trame_slicer.views  # noqa: F401
    except ImportError as error:
        raise OutputError(
            f"The views cannot be rendered ({error}).",
            "Install what is missing, in the folder of the sources: pip install '.[scene]'",
        ) from error
    _checkRendering()
    bounds = _boundsOf(volumeNode if _boundsOf(segmentationNode) is None else segmentationNode)
    assert bounds is not None  # a scan with voxels has bounds
    center = np.asarray(centerRas if centerRas is not None else bounds.mean(axis=1), dtype=float)
    width, height = (size[0] - _GAP) // 2, (size[1] - _GAP) // 2
    with capturedMessages(), _sceneRestored(volumeNode.GetScene()):
        with _displayed(volumeNode, segmentationNode, markupsNodes):
            slices = {
                orientation.name: _renderSlice(volumeNode, orientation, center, bounds, (width, height))
                for orientation in (_AXIAL, _CORONAL, _SAGITTAL)
            }
            threeD = _renderThreeD(bounds, (width, height))
    montage = np.empty((2 * height + _GAP, 2 * width + _GAP, 3), dtype=np.uint8)
    montage[:] = _BACKGROUND
    montage[:height, :width] = slices["Axial"]
    montage[:height, -width:] = threeD
    montage[-height:, :width] = slices["Coronal"]
    montage[-height:, -width:] = slices["Sagittal"]
    _writePng(montage, path)
    return path


_RENDERING_PROBE = """
import vtkmodules.vtkRenderingOpenGL2
from vtkmodules.vtkRenderingCore import vtkRenderer, vtkRenderWindow
window = vtkRenderWindow()
window.SetOffScreenRendering(1)
window.AddRenderer(vtkRenderer())
window.SetSize(8, 8)
window.Render()
"""


@cache
def _checkRendering() -> None:
    """Raises OutputError where VTK cannot render. On a Linux without EGL, OSMesa and X it does not say so: it
    crashes."""
    if sys.platform != "linux":
        return
    probe = subprocess.run([sys.executable, "-c", _RENDERING_PROBE], capture_output=True, check=False, timeout=120)
    if probe.returncode != 0:
        raise OutputError(
            "Views cannot be rendered on this machine, which has no off-screen OpenGL.",
            "Install Mesa's (Debian, Ubuntu: apt install libegl1 libgl1-mesa-dri).",
        )


def _renderSlice(
    volumeNode: Any, orientation: _Orientation, center: np.ndarray, bounds: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    from trame_slicer.views import SliceView

    with _view(SliceView, f"MemorizingSAM3D{orientation.name}") as view:
        view.render_window().SetSize(*size)
        node = view.get_view_node()
        node.SetOrientation(orientation.name)
        view.set_background_volume_id(volumeNode.GetID())
        view.fit_view_to_content()
        whole = node.GetFieldOfView()
        extent = bounds[:, 1] - bounds[:, 0]
        scale = min(
            1.0,
            max(
                _FIELD_OF_VIEW_PER_SEGMENT * extent[orientation.axes[0]] / whole[0],
                _FIELD_OF_VIEW_PER_SEGMENT * extent[orientation.axes[1]] / whole[1],
                _SMALLEST_FIELD_OF_VIEW / min(whole[0], whole[1]),
            ),
        )
        node.SetFieldOfView(whole[0] * scale, whole[1] * scale, whole[2])
        if scale < 1.0:
            node.JumpSliceByCentering(*center)
        else:
            node.JumpSliceByOffsetting(*center)
        _drawScanFirst(view)
        _annotateSlice(view, orientation, center)
        return _pixelsOf(view)


def _renderThreeD(bounds: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    from trame_slicer.views import ThreeDView

    with _view(ThreeDView, "MemorizingSAM3D3D") as view:
        view.render_window().SetSize(*size)
        # Mesa draws nothing translucent when depth peeling meets multisampling; FXAA smooths the edges instead.
        view.render_window().SetMultiSamples(0)
        view.renderer().UseFXAAOn()
        view.set_box_visible(False)
        view.set_background_gradient_color([116, 120, 190], [193, 195, 232])  # Slicer's
        view.renderer().GradientBackgroundOn()
        node = view.get_view_node()
        view.set_orientation_marker(node.OrientationMarkerTypeCube, node.OrientationMarkerSizeSmall)
        view.render()  # the displayable managers make their actors when they render first
        camera = view.get_camera_node().GetCamera()
        center = bounds.mean(axis=1)
        direction = np.array([0.55, 1.0, 0.4])  # from the front, a little from the left and from above
        radius = 0.5 * float(np.linalg.norm(bounds[:, 1] - bounds[:, 0]))
        distance = 0.9 * radius / np.sin(np.deg2rad(camera.GetViewAngle() / 2))
        camera.SetFocalPoint(*center)
        camera.SetPosition(*(center + distance * direction / np.linalg.norm(direction)))
        camera.SetViewUp(0, 0, 1)
        view.renderer().ResetCameraClippingRange()
        return _pixelsOf(view)


@contextmanager
def _view(viewClass: Any, name: str) -> Iterator[Any]:
    """A view of trame-slicer that renders when told to, and that is gone afterwards.

    A view that is only forgotten goes on observing the scene, and renders anew at each change.
    """
    from trame_slicer.views.render_scheduler import NoScheduleRendering

    application = headlessApplication()
    logic = application.applicationLogic
    view = viewClass(application.scene, logic, name, scheduled_render_strategy=NoScheduleRendering())
    try:
        yield view
    finally:
        view._displayable_manager_group.SetMRMLDisplayableNode(None)
        view._logic.SetMRMLScene(None)
        for logics in (logic.GetSliceLogics(), logic.GetViewLogics()):
            logics.RemoveItem(view._logic)
        view.finalize()


def _drawScanFirst(view: Any) -> None:
    # Props are drawn in the order in which they were added. Segments come into a new view before the scan does, and a
    # translucent fill drawn before it would be blended with the black background.
    renderer = view.first_renderer()
    scan = view._render_manager.image_actor
    props = [prop for prop in renderer.GetViewProps() if prop is not scan]
    renderer.RemoveAllViewProps()
    for prop in (scan, *props):
        renderer.AddViewProp(prop)


def _annotateSlice(view: Any, orientation: _Orientation, center: np.ndarray) -> None:
    letter = "RAS"[orientation.axis] if center[orientation.axis] >= 0 else "LPI"[orientation.axis]
    title = f"{orientation.name}  {letter} {abs(center[orientation.axis]):.1f} mm"
    _addText(view, title, (0.02, 0.97), "left", "top", orientation.color, bold=True)
    left, right, top, bottom = orientation.letters
    for text, position, justification, vertical in (
        (left, (0.015, 0.5), "left", "center"),
        (right, (0.985, 0.5), "right", "center"),
        (top, (0.5, 0.985), "center", "top"),
        (bottom, (0.5, 0.015), "center", "bottom"),
    ):
        _addText(view, text, position, justification, vertical, (0.95, 0.95, 0.95))


def _addText(
    view: Any,
    text: str,
    position: tuple[float, float],
    justification: str,
    vertical: str,
    color: tuple[float, float, float],
    bold: bool = False,
) -> None:
    from vtkmodules.vtkRenderingCore import vtkTextActor

    actor = vtkTextActor()
    actor.SetInput(text)
    style = actor.GetTextProperty()
    style.SetFontFamilyToArial()
    style.SetFontSize(max(12, view.render_window().GetSize()[1] // 30))
    style.SetBold(bold)
    style.SetShadow(True)
    style.SetColor(*color)
    {"left": style.SetJustificationToLeft, "right": style.SetJustificationToRight}.get(
        justification, style.SetJustificationToCentered
    )()
    {"top": style.SetVerticalJustificationToTop, "bottom": style.SetVerticalJustificationToBottom}.get(
        vertical, style.SetVerticalJustificationToCentered
    )()
    actor.GetPositionCoordinate().SetCoordinateSystemToNormalizedViewport()
    actor.SetPosition(*position)
    view.renderers()[-1].AddViewProp(actor)


def _pixelsOf(view: Any) -> np.ndarray:
    """(height, width, 3) uint8, first row on top."""
    from vtkmodules.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkRenderingCore import vtkWindowToImageFilter

    view.render()
    toImage = vtkWindowToImageFilter()
    toImage.SetInput(view.render_window())
    toImage.SetInputBufferTypeToRGB()
    toImage.ReadFrontBufferOff()
    toImage.Update()
    image = toImage.GetOutput()
    columns, rows, _ = image.GetDimensions()
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(rows, columns, 3)[::-1].copy()


def _writePng(pixels: np.ndarray, path: Path) -> None:
    from vtkmodules.util.numpy_support import numpy_to_vtk
    from vtkmodules.vtkCommonDataModel import vtkImageData
    from vtkmodules.vtkIOImage import vtkPNGWriter

    image = vtkImageData()
    image.SetDimensions(pixels.shape[1], pixels.shape[0], 1)
    image.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(pixels[::-1]).reshape(-1, 3), deep=True))
    writer = vtkPNGWriter()
    writer.SetInputData(image)
    writer.SetFileName(str(path))
    writer.Write()
    if writer.GetErrorCode() or not path.is_file():
        raise OutputError(f"'{path}' could not be written.", "Check that the disk is not full.")


def _boundsOf(node: Any) -> np.ndarray | None:
    """(3, 2) world RAS mm, None where there is nothing."""
    bounds = [0.0] * 6
    node.GetRASBounds(bounds)
    edges = np.reshape(bounds, (3, 2))
    return edges if (edges[:, 1] > edges[:, 0]).all() else None


@contextmanager
def _sceneRestored(scene: Any) -> Iterator[None]:
    """Takes the nodes that views bring along (slice, view, camera, ...) out of the scene again."""
    before = {scene.GetNthNode(index).GetID() for index in range(scene.GetNumberOfNodes())}
    try:
        yield
    finally:
        for node in [scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes())]:
            if node.GetID() not in before and scene.IsNodePresent(node):
                scene.RemoveNode(node)


@contextmanager
def _displayed(volumeNode: Any, segmentationNode: Any, markupsNodes: Sequence[Any]) -> Iterator[None]:
    """Window and level, fill, outline, surface and projected points for a picture; put back afterwards."""
    displays = [node.GetDisplayNode() for node in (volumeNode, segmentationNode, *markupsNodes)]
    copies = []
    for display in displays:
        if display is not None:
            copy = display.NewInstance()
            copy.Copy(display)
            copies.append((display, copy))
    hadSurface = segmentationNode.GetSegmentation().ContainsRepresentation("Closed surface")
    try:
        volumeNode.CreateDefaultDisplayNodes()
        _setWindowLevel(volumeNode)
        segmentationNode.CreateClosedSurfaceRepresentation()
        display = segmentationNode.GetDisplayNode()
        if display is not None:
            display.SetOpacity2DFill(0.35)
            display.SetOpacity2DOutline(1.0)
            display.SetSliceIntersectionThickness(2)
            display.SetOpacity3D(0.65)
            display.SetPreferredDisplayRepresentationName3D("Closed surface")
        for markupsNode in markupsNodes:
            markupsNode.CreateDefaultDisplayNodes()
            display = markupsNode.GetDisplayNode()
            display.SetSliceProjection(True)
            display.SetSliceProjectionUseFiducialColor(True)
            display.SetSliceProjectionOpacity(1.0)
            display.SetOccludedVisibility(True)
            display.SetOccludedOpacity(0.6)
        yield
    finally:
        for display, copy in copies:
            display.Copy(copy)
        if not hadSurface:
            segmentationNode.GetSegmentation().RemoveRepresentation("Closed surface")


def _setWindowLevel(volumeNode: Any) -> None:
    import slicer

    display = volumeNode.GetDisplayNode()
    if not display.GetAutoWindowLevel():
        return
    display.SetAutoWindowLevel(False)
    if modalityOf(volumeNode) == "CT":
        display.SetWindowLevel(400, 40)
        return
    array = slicer.util.arrayFromVolume(volumeNode)
    steps = [max(1, -(-size // 96)) for size in array.shape]
    low, high = np.percentile(array[:: steps[0], :: steps[1], :: steps[2]], (1, 99.5))
    display.SetWindowLevel(max(float(high - low), 1e-6), float(high + low) / 2)
