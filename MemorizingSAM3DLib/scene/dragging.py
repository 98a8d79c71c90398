"""Whether the user holds a control point."""

from __future__ import annotations

from typing import Any

from MemorizingSAM3DLib.scene.signals import Signal


class Dragging:
    """From the moment at which the user takes hold of a point of some lists until it is let go.

    Slicer tells of both. Only the key S, which snaps a point to the slice, begins an interaction that never ends: that
    one is over when the mouse leaves the point.

    Attributes:
        isGoingOn: whether a point is held. ended: emitted when it is let go.
    """

    def __init__(self) -> None:
        self.isGoingOn = False
        self.ended = Signal()
        self._followed: tuple[Any, int] | None = None

    def observe(self, node: Any) -> list[int]:
        """Follows the points of a vtkMRMLMarkupsNode; returns the observers' tags."""
        return [
            node.AddObserver(node.PointStartInteractionEvent, self._onStart),
            node.AddObserver(node.PointEndInteractionEvent, self._onEnd),
        ]

    def forget(self) -> None:
        """No point is held any longer; nothing is emitted."""
        self.isGoingOn = False
        if self._followed is not None:
            displayNode, tag = self._followed
            displayNode.RemoveObserver(tag)
            self._followed = None

    def _onStart(self, node: Any, _event: Any) -> None:
        from vtkmodules.vtkCommonCore import vtkCommand

        self.forget()
        self.isGoingOn = True
        displayNode = node.GetDisplayNode()
        if displayNode is not None and _isUnderTheMouse(displayNode):
            self._followed = (displayNode, displayNode.AddObserver(vtkCommand.ModifiedEvent, self._onMouseMoved))

    def _onMouseMoved(self, displayNode: Any, _event: Any) -> None:
        if not _isUnderTheMouse(displayNode):
            self._onEnd()

    def _onEnd(self, *_: Any) -> None:
        self.forget()
        self.ended.emit()


def _isUnderTheMouse(displayNode: Any) -> bool:
    return bool(displayNode.GetActiveComponentType() == displayNode.ComponentControlPoint)
