"""One of Slicer's slice views, rendered off screen, with a mouse: the events go the way of a user's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from Testing.harness.application.rendering import RenderRequests, writePicture

_MODIFIERS = ("Control", "Shift", "Alt")


class Pointer:
    """The mouse pointer: it is in one view at a time, or in none."""

    def __init__(self) -> None:
        self._view: ClickableSliceView | None = None

    def enter(self, view: ClickableSliceView | None) -> None:
        """Tells the view that the pointer was in that it left, and the other one that it came."""
        if self._view is view:
            return
        left, self._view = self._view, view
        if left is not None:
            left._send("LeaveEvent")
        if view is not None:
            view._send("EnterEvent")


class ClickableSliceView:
    """A slice view of `trame-slicer`: Slicer's own slice logic, displayable managers and interactor style.

    The mouse is driven by VTK events on the view's interactor, as Slicer's Qt widget does. What they do (place, hover,
    drag, pan, zoom, scroll, ...) is decided by Slicer's own code and by the scene's interaction and selection nodes.
    Points are world RAS mm. The pixel that is nearest to the point is hit, so a placed point is within half a pixel.

    Attributes:
        node: vtkMRMLSliceNode.
        logic: vtkMRMLSliceLogic.
        rendering: counts the renders that Slicer asked for, and renders them at once if told so.
    """

    def __init__(
        self,
        scene: Any,
        applicationLogic: Any,
        name: str,
        orientation: str,
        color: tuple[float, float, float],
        size: tuple[int, int],
        pointer: Pointer,
    ) -> None:
        from trame_slicer.views import SliceView, ViewProps

        self.name = name
        self.rendering = RenderRequests()
        self._pointer = pointer
        self._position = (0, 0)
        self._applicationLogic = applicationLogic
        self._view = SliceView(scene, applicationLogic, name, scheduled_render_strategy=self.rendering)
        # Drawn in the order of adding: the scan before the segments, which would else be blended with black.
        self._view.first_renderer().AddViewProp(self._view._render_manager.image_actor)
        self._view.render_window().SetSize(*size)
        # Set again by trame-slicer when the scene was closed, as Slicer's layout manager does.
        self._view.set_view_properties(ViewProps(label=name[:1], orientation=orientation))
        self.logic = self._view._logic
        self.node = self._view.get_view_node()
        self.node.SetLayoutColor(*color)
        self.node.SetOrientation(orientation)
        self.logic.ResizeSliceNode(*size)

    @property
    def compositeNode(self) -> Any:
        return self.logic.GetSliceCompositeNode()

    @property
    def interactor(self) -> Any:
        return self._view.interactor()

    @property
    def interactorStyle(self) -> Any:
        return self._view._interactor_observer

    @property
    def renderWindow(self) -> Any:
        return self._view.render_window()

    def displayableManager(self, className: str) -> Any:
        return self._view.get_displayable_manager_by_class(className)

    # --- what is seen

    def show(self, volumeNode: Any) -> None:
        """The scan as background, in full."""
        self.compositeNode.SetBackgroundVolumeID(volumeNode.GetID() if volumeNode is not None else None)
        self.fit()

    def fit(self) -> None:
        self.logic.ResizeSliceNode(*self.renderWindow.GetSize())
        self.logic.FitSliceToBackground()
        self.logic.SnapSliceOffsetToIJK()

    def scrollTo(self, ras: Sequence[float]) -> None:
        """The slice through this point; nothing happens when the slice goes through it already."""
        if abs(self._depthOf(ras)) > 1e-3:
            self.node.JumpSliceByOffsetting(*ras)

    def render(self) -> None:
        self._view.render()

    def picture(self, path: str | Path) -> Path:
        """Writes what the view shows to a PNG."""
        self.render()
        return writePicture(self.renderWindow, path)

    def pixels(self) -> np.ndarray:
        """(height, width, 3) uint8 of what the view shows, first row on top."""
        from Testing.harness.application.rendering import pixelsOf

        self.render()
        return pixelsOf(self.renderWindow)

    # --- where

    def pixelAt(self, ras: Sequence[float]) -> tuple[int, int]:
        """x from the left and y from the bottom of the nearest pixel. Raises ValueError when it is out of sight."""
        x, y = self._xyzOf(ras)[:2]
        width, height = self.renderWindow.GetSize()
        if not (-0.5 <= x < width - 0.5 and -0.5 <= y < height - 0.5):
            raise ValueError(f"{tuple(ras)} is outside of the view {self.name}: pixel ({x:.1f}, {y:.1f}).")
        return round(x), round(y)

    def rasAt(self, pixel: Sequence[float]) -> np.ndarray:
        """(3,) world RAS mm of a place in the view."""
        return np.array(self.node.GetXYToRAS().MultiplyPoint((pixel[0], pixel[1], 0.0, 1.0))[:3])

    @property
    def millimetresPerPixel(self) -> float:
        return float(self.node.GetFieldOfView()[0] / self.node.GetDimensions()[0])

    def _xyzOf(self, ras: Sequence[float]) -> tuple[float, float, float]:
        from vtkmodules.vtkCommonMath import vtkMatrix4x4

        toXY = vtkMatrix4x4()
        vtkMatrix4x4.Invert(self.node.GetXYToRAS(), toXY)
        x, y, z, _ = toXY.MultiplyPoint((*map(float, ras), 1.0))
        return x, y, z

    def _depthOf(self, ras: Sequence[float]) -> float:
        """mm from the slice to the point."""
        plane = self.node.GetSliceToRAS()
        normal = [plane.GetElement(row, 2) for row in range(3)]
        origin = [plane.GetElement(row, 3) for row in range(3)]
        return float(np.dot(normal, np.subtract(ras, origin)))

    # --- the mouse and the keys

    def moveTo(self, ras: Sequence[float], modifiers: Iterable[str] = ()) -> None:
        """The pointer goes there, scrolling to the point's slice first."""
        self.scrollTo(ras)
        self.moveToPixel(self.pixelAt(ras), modifiers)

    def moveToPixel(self, pixel: tuple[int, int], modifiers: Iterable[str] = ()) -> None:
        self._pointer.enter(self)
        self._position = pixel
        self._send("MouseMoveEvent", modifiers)

    def clickAt(self, ras: Sequence[float], button: str = "Left", modifiers: Iterable[str] = ()) -> np.ndarray:
        """Moves there, presses and releases. Returns (3,) the RAS of the pixel that was hit."""
        self.moveTo(ras, modifiers)
        self.press(button, modifiers)
        self.release(button, modifiers)
        return self.rasAt(self._position)

    def dragFrom(
        self, ras: Sequence[float], to: Sequence[float], button: str = "Left", steps: int = 5, hold: bool = False
    ) -> np.ndarray:
        """Hovers over the first point, presses, moves in steps to the second, and releases unless `hold`.

        Returns:
            (3,) the RAS of the pixel where it ended.

        Raises:
            ValueError: the second point is not in the slice of the first.
        """
        self.moveTo(ras)
        if abs(self._depthOf(to)) > self.node.GetFieldOfView()[2] / 2 + 1e-3:
            raise ValueError(f"{tuple(to)} is not in the slice that is shown; a drag stays in the slice.")
        start, end = np.array(self._position), np.array(self.pixelAt(to))
        self.press(button)
        for step in range(1, steps + 1):
            x, y = np.round(start + (end - start) * step / steps).astype(int)
            self.moveToPixel((int(x), int(y)))
        if not hold:
            self.release(button)
        return self.rasAt(self._position)

    def press(self, button: str = "Left", modifiers: Iterable[str] = ()) -> None:
        """At the place where the pointer is."""
        self._send(f"{button}ButtonPressEvent", modifiers)

    def release(self, button: str = "Left", modifiers: Iterable[str] = ()) -> None:
        self._send(f"{button}ButtonReleaseEvent", modifiers)

    def wheel(self, notches: int, modifiers: Iterable[str] = ()) -> None:
        """Forward when positive; without modifiers, one notch is one slice."""
        for _ in range(abs(notches)):
            self._send("MouseWheelForwardEvent" if notches > 0 else "MouseWheelBackwardEvent", modifiers)

    def leave(self) -> None:
        """The pointer goes out of all views; a point that follows it disappears."""
        self._pointer.enter(None)

    def pressKey(self, key: str, modifiers: Iterable[str] = ()) -> None:
        """A key, by VTK's name ("Delete", "Escape", "a"), pressed and released while the pointer is in this view."""
        self._pointer.enter(self)
        self.interactor.SetKeySym(key)
        code = {"Delete": "\x7f", "Escape": "\x1b", "BackSpace": "\x08", "Return": "\r"}.get(key, key[:1])
        self.interactor.SetKeyCode(code)
        for event in ("KeyPressEvent", "CharEvent", "KeyReleaseEvent"):
            self._send(event, modifiers, keepKey=True)

    def _send(self, event: str, modifiers: Iterable[str] = (), keepKey: bool = False) -> None:
        pressed = [modifier in modifiers for modifier in _MODIFIERS]
        if unknown := set(modifiers) - set(_MODIFIERS):
            raise ValueError(f"No such modifier keys: {sorted(unknown)}.")
        interactor = self.interactor
        if keepKey:
            interactor.SetEventPosition(*self._position)
            interactor.SetControlKey(pressed[0])
            interactor.SetShiftKey(pressed[1])
        else:
            interactor.SetEventInformation(*self._position, pressed[0], pressed[1])
        interactor.SetAltKey(pressed[2])
        interactor.InvokeEvent(event)

    # --- end

    def close(self) -> None:
        """A view that is only forgotten goes on observing the scene, and renders at each change."""
        self.leave()
        self._view._displayable_manager_group.SetMRMLDisplayableNode(None)
        self.logic.SetMRMLScene(None)
        for logics in (self._applicationLogic.GetSliceLogics(), self._applicationLogic.GetViewLogics()):
            logics.RemoveItem(self.logic)
        self._view.finalize()
