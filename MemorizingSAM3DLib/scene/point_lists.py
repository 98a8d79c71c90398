"""The two lists of points that the user sees and drags: those of the selected segment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from MemorizingSAM3DLib.engine.prompts import Click
from MemorizingSAM3DLib.scene.prompts import (
    POSITIVE_ATTRIBUTE,
    PlacedPoint,
    createPromptNode,
    orderedPoints,
    setPointOrder,
)
from MemorizingSAM3DLib.scene.signals import Signal

_ROLE_ATTRIBUTE = "MemorizingSAM3D.Role"
_ROLE = "clicks of the selected segment"


@dataclass(frozen=True)
class Point:
    """A point as the user sees it. number: in click order, from 0. ras: world RAS, mm."""

    number: int
    ras: tuple[float, float, float]
    positive: bool
    nodeName: str


class PointLists:
    """Shows clicks as control points and tells when the user changed them.

    One pair of lists serves all segments: it holds the points of the segment that is selected. The nodes are found
    again by an attribute after a scene was loaded.

    Attributes:
        touched: emitted at any change of the points; `clicks` says whether it amounts to something.
        dragging: whether the user holds a point at this moment.
    """

    def __init__(self, scene: Any) -> None:
        self._scene = scene
        self.touched = Signal()
        self.dragging = False
        self._observed: dict[Any, list[int]] = {}
        self._showing = False
        self._shown: dict[tuple[str, str], tuple[tuple[float, ...], Click]] = {}

    @property
    def positiveNode(self) -> Any:
        """vtkMRMLMarkupsFiducialNode of the points inside, or None."""
        return self._find(True)

    @property
    def negativeNode(self) -> Any:
        """vtkMRMLMarkupsFiducialNode of the points outside, or None."""
        return self._find(False)

    def ensure(self) -> tuple[Any, Any]:
        """Both lists, made if they are not there."""
        nodes = []
        for positive, name in ((True, "Inside points"), (False, "Outside points")):
            node = self._find(positive)
            if node is None:
                node = createPromptNode(positive, name)
                node.SetAttribute(_ROLE_ATTRIBUTE, _ROLE)
            self._observe(node)
            nodes.append(node)
        return nodes[0], nodes[1]

    def points(self) -> list[Point]:
        """The points, in click order."""
        return [
            Point(number, placed.ras, placed.positive, placed.node.GetName())
            for number, placed in enumerate(self._placed())
        ]

    def clicks(self, frame: Any) -> tuple[Click, ...]:
        """The points as clicks in the scan's own RAS, in click order. A point that was not moved is exactly as shown.

        Args:
            frame: the `ScanFrame` of the scan.
        """
        clicks = []
        for placed in self._placed():
            place, click = self._shown.get((placed.node.GetID(), placed.pointID), ((), None))
            if click is None or place != placed.ras or click.positive != placed.positive:
                click = Click(frame.toScan(placed.ras), placed.positive)
            clicks.append(click)
        return tuple(clicks)

    def show(self, clicks: Sequence[Click], frame: Any) -> None:
        """Makes the points those of the clicks, given in the scan's own RAS. Nothing is emitted.

        The point that follows the mouse while the user is placing is left alone.
        """
        if not clicks and self.positiveNode is None and self.negativeNode is None:
            self._shown = {}
            return
        nodes = self.ensure()
        self._showing = True
        modified = [node.StartModify() for node in nodes]
        try:
            for node in nodes:
                for index in reversed(range(node.GetNumberOfControlPoints())):
                    if node.GetNthControlPointPositionStatus(index) == node.PositionDefined:
                        node.RemoveNthControlPoint(index)
            self._shown = {}
            order: dict[Any, dict[str, int]] = {node: {} for node in nodes}
            for number, click in enumerate(clicks):
                node = nodes[0] if click.positive else nodes[1]
                index = node.AddControlPointWorld(*frame.toWorld(click.ras))
                pointID = node.GetNthControlPointID(index)
                place = [0.0, 0.0, 0.0]
                node.GetNthControlPointPositionWorld(index, place)
                self._shown[(node.GetID(), pointID)] = (tuple(place), click)
                order[node][pointID] = number + 1
            for node in nodes:
                setPointOrder(node, order[node])
        finally:
            for node, before in zip(nodes, modified, strict=True):
                node.EndModify(before)
            self._showing = False

    def forget(self, node: Any) -> None:
        """Follows a node no longer: it is being removed."""
        for tag in self._observed.pop(node, ()):
            node.RemoveObserver(tag)

    def close(self) -> None:
        """Follows no node any longer."""
        for node in list(self._observed):
            self.forget(node)
        self.dragging = False
        self._shown = {}

    def _placed(self) -> list[PlacedPoint]:
        return orderedPoints(*(node for node in (self.positiveNode, self.negativeNode) if node is not None))

    def _find(self, positive: bool) -> Any:
        for node in self._observed:
            if node.GetScene() is self._scene and (node.GetAttribute(POSITIVE_ATTRIBUTE) == "true") == positive:
                return node
        className = "vtkMRMLMarkupsFiducialNode"
        for number in range(self._scene.GetNumberOfNodesByClass(className)):
            node = self._scene.GetNthNodeByClass(number, className)
            isOurs = node.GetAttribute(_ROLE_ATTRIBUTE) == _ROLE
            if isOurs and (node.GetAttribute(POSITIVE_ATTRIBUTE) == "true") == positive:
                return node
        return None

    def _observe(self, node: Any) -> None:
        if node in self._observed:
            return
        self._observed[node] = [
            *(
                node.AddObserver(event, self._onTouched)
                for event in (
                    node.PointPositionDefinedEvent,
                    node.PointPositionUndefinedEvent,
                    node.PointRemovedEvent,
                    node.PointModifiedEvent,
                )
            ),
            node.AddObserver(node.PointStartInteractionEvent, self._onStart),
            node.AddObserver(node.PointEndInteractionEvent, self._onEnd),
        ]

    def _onTouched(self, *_: Any) -> None:
        if not self._showing:
            self.touched.emit()

    def _onStart(self, *_: Any) -> None:
        self.dragging = True

    def _onEnd(self, *_: Any) -> None:
        self.dragging = False
        self._onTouched()
