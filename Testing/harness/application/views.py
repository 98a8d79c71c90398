"""The three slice views of Slicer's layouts, Red, Green and Yellow, on the scene of the headless application."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from Testing.harness.application.slice_view import ClickableSliceView, Pointer

# Names, orientations and colours are those of Slicer's layout descriptions.
_LAYOUT = {
    "Red": ("Axial", (0.953, 0.290, 0.200)),
    "Green": ("Coronal", (0.431, 0.690, 0.294)),
    "Yellow": ("Sagittal", (0.929, 0.835, 0.298)),
}


class SliceViews:
    """`views.red`, `views.green`, `views.yellow`; there is one mouse pointer for all of them."""

    def __init__(self, scene: Any, applicationLogic: Any, size: tuple[int, int]) -> None:
        pointer = Pointer()
        self._views = {
            name: ClickableSliceView(scene, applicationLogic, name, orientation, color, size, pointer)
            for name, (orientation, color) in _LAYOUT.items()
        }

    def __iter__(self) -> Iterator[ClickableSliceView]:
        return iter(self._views.values())

    def __getitem__(self, name: str) -> ClickableSliceView:
        return self._views[name]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._views)

    @property
    def red(self) -> ClickableSliceView:
        return self._views["Red"]

    @property
    def green(self) -> ClickableSliceView:
        return self._views["Green"]

    @property
    def yellow(self) -> ClickableSliceView:
        return self._views["Yellow"]

    def show(self, volumeNode: Any) -> None:
        """The scan as background of all views, in full."""
        for view in self:
            view.show(volumeNode)

    def renderLive(self, live: bool = True) -> None:
        """Whether the views render by themselves in the event loop, as in Slicer; else only for pictures."""
        for view in self:
            view.rendering.live = live

    def leave(self) -> None:
        """The mouse pointer goes out of all views."""
        self.red.leave()

    def close(self) -> None:
        for view in self:
            view.close()


@contextmanager
def openSliceViews(application: Any, size: tuple[int, int] = (400, 300)) -> Iterator[SliceViews]:
    """Views on the scene of a `HeadlessApplication`; afterwards they and the nodes that they brought are gone."""
    from MemorizingSAM3DLib.scene.vtk_messages import capturedMessages

    scene = application.scene
    before = {scene.GetNthNode(index).GetID() for index in range(scene.GetNumberOfNodes())}
    with capturedMessages():  # VTK looks for an X server first, and says so
        views = SliceViews(scene, application.applicationLogic, size)
        for view in views:
            view.render()
    try:
        yield views
    finally:
        views.close()
        for node in [scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes())]:
            if node.GetID() not in before and scene.IsNodePresent(node):
                scene.RemoveNode(node)
