"""The two lists of points that the user sees and drags: those of the selected segment.

Whether the user holds a control point.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from MemorizingSAM3DLib.engine.prompts import Click
from MemorizingSAM3DLib.scene.points.markups import (
    POSITIVE_ATTRIBUTE,
    PlacedPoint,
    createPromptNode,
    orderedPoints,
    recordOrder,
    setPointOrder,
)
from MemorizingSAM3DLib.scene.scan import Ras, ScanFrame
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


_ROLE_ATTRIBUTE = "MemorizingSAM3D.Role"
_ROLE = "clicks of the selected segment"
_SAME_PLACE_MM = 1e-3  # what the inverse of a non-linear transform may be wrong by
_ownerOf: dict[Any, PointLists] = {}  # of lists in use: two controllers on one scene have a pair each


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
    again by an attribute after a scene was loaded. Points stay where they are in the world, whatever transform is put
    above their lists.

    Attributes:
        touched: emitted at any change of the points; `clicks` says whether it amounts to something.
    """

    def __init__(self, scene: Any) -> None:
        self._scene = scene
        self.touched = Signal()
        self._dragging = Dragging()
        self._dragging.ended.connect(self.touched.emit)
        self._observed: dict[Any, list[int]] = {}
        self._showing = False
        self._shown: dict[tuple[str, str], tuple[Ras, Click]] = {}

    @property
    def dragging(self) -> bool:
        """Whether the user holds a point at this moment."""
        return self._dragging.isGoingOn

    @property
    def positiveNode(self) -> Any:
        """vtkMRMLMarkupsFiducialNode of the points inside, or None."""
        return self._find(True)

    @property
    def negativeNode(self) -> Any:
        """vtkMRMLMarkupsFiducialNode of the points outside, or None."""
        return self._find(False)

    def ensure(self) -> tuple[Any, Any]:
        """Both lists, made if they are not there. Others like them, which an imported scene brought along, go."""
        nodes = []
        for positive, name in ((True, "Inside points"), (False, "Outside points")):
            node = self._find(positive)
            if node is None:
                node = createPromptNode(positive, name)
                node.SetAttribute(_ROLE_ATTRIBUTE, _ROLE)
            self._observe(node)
            nodes.append(node)
        if not self._scene.IsImporting():
            for stray in self._unowned():
                self._scene.RemoveNode(stray)
        return nodes[0], nodes[1]

    def points(self) -> list[Point]:
        """The points, in click order."""
        return [
            Point(number, placed.ras, placed.positive, placed.node.GetName())
            for number, placed in enumerate(self._placed())
        ]

    def clicks(self, frame: ScanFrame) -> tuple[Click, ...]:
        """The points as clicks in the scan's own RAS, in click order. A point that was not moved is exactly as shown.

        Args:
            frame: of the scan.
        """
        return tuple(self._clickOf(placed, frame) for placed in self._placed())

    def show(self, clicks: Sequence[Click], frame: ScanFrame) -> None:
        """Makes the points those of the clicks, given in the scan's own RAS. Nothing is emitted.

        Points that are right stay untouched: they may be under the mouse, selected or locked. The one that follows the
        mouse while the user is placing stays the last of its list, where Slicer looks for it.
        """
        nodes = self.ensure()
        known = [(placed, self._clickOf(placed, frame)) for placed in self._placed()]
        self._shown = {}
        with self._changing(*nodes):
            for node, positive in zip(nodes, (True, False), strict=True):
                present = {placed.pointID: click for placed, click in known if placed.node is node}
                wanted = {number: click for number, click in enumerate(clicks) if click.positive is positive}
                for pointID in [ID for ID, click in present.items() if click.positive is not positive]:
                    _remove(node, pointID)  # its description says otherwise than the list
                    del present[pointID]
                self._showIn(node, present, wanted, frame)

    def clear(self) -> None:
        """Shows no points."""
        self._shown = {}
        with self._changing(*self._observed):
            for placed in self._placed():
                _remove(placed.node, placed.pointID)

    def forget(self, node: Any) -> bool:
        """Follows a node no longer: it is being removed. Returns whether it was one of the two lists."""
        if node not in self._observed:
            return False
        for tag in self._observed.pop(node):
            node.RemoveObserver(tag)
        del _ownerOf[node]
        self._dragging.forget()
        return True

    def close(self) -> None:
        """Follows no node any longer."""
        for node in list(self._observed):
            self.forget(node)
        self._shown = {}

    def _showIn(self, node: Any, present: dict[str, Click], wanted: dict[int, Click], frame: ScanFrame) -> None:
        """Makes the points of one list the wanted ones.

        Args:
            present: point ID to click. wanted: number in click order to click.
        """
        having: dict[Click, list[str]] = {}
        for pointID, click in present.items():
            having.setdefault(click, []).append(pointID)
        chosen = {number: having[click].pop(0) for number, click in wanted.items() if having.get(click)}
        left = [pointID for pointIDs in having.values() for pointID in pointIDs]
        for number, click in wanted.items():
            if number not in chosen:
                chosen[number] = left.pop(0) if left else addPoint(node, frame.toWorld(click.ras))
            index = node.GetNthControlPointIndexByID(chosen[number])
            target, place = frame.toWorld(click.ras), _placeOf(node, index)
            if max(abs(a - b) for a, b in zip(target, place, strict=True)) > _SAME_PLACE_MM:
                node.SetNthControlPointPositionWorld(index, *target)
            self._shown[(node.GetID(), chosen[number])] = (_placeOf(node, index), click)
        for pointID in left:
            _remove(node, pointID)
        setPointOrder(node, {pointID: number + 1 for number, pointID in chosen.items()})

    def _clickOf(self, placed: PlacedPoint, frame: ScanFrame) -> Click:
        place, click = self._shown.get((placed.node.GetID(), placed.pointID), (None, None))
        if click is None or place != placed.ras or click.positive != placed.positive:
            return Click(frame.toScan(placed.ras), placed.positive)
        return click

    def _placed(self) -> list[PlacedPoint]:
        return orderedPoints(*(node for node in (self.positiveNode, self.negativeNode) if node is not None))

    def _find(self, positive: bool) -> Any:
        for nodes in (lambda: list(self._observed), self._unowned):  # the scene is searched only when it has to be
            for node in nodes():
                if node.GetScene() is self._scene and (node.GetAttribute(POSITIVE_ATTRIBUTE) == "true") == positive:
                    return node
        return None

    def _unowned(self) -> list[Any]:
        className = "vtkMRMLMarkupsFiducialNode"
        nodes = [
            self._scene.GetNthNodeByClass(number, className)
            for number in range(self._scene.GetNumberOfNodesByClass(className))
        ]
        return [node for node in nodes if node.GetAttribute(_ROLE_ATTRIBUTE) == _ROLE and node not in _ownerOf]

    def _observe(self, node: Any) -> None:
        if node in self._observed:
            return
        _ownerOf[node] = self
        self._observed[node] = [
            node.AddObserver(node.PointPositionDefinedEvent, self._onDefined),
            node.AddObserver(node.PointPositionUndefinedEvent, self._onTouched),
            node.AddObserver(node.PointRemovedEvent, self._onTouched),
            node.AddObserver(node.PointModifiedEvent, self._onTouched),
            node.AddObserver(node.TransformModifiedEvent, self._onTransformed),
            *self._dragging.observe(node),
        ]

    @contextmanager
    def _changing(self, *nodes: Any) -> Iterator[None]:
        """Changes of our own: nothing is emitted, and a list whose number of points the user has locked gives way."""
        self._showing = True
        before = [(node, node.StartModify(), node.GetFixedNumberOfControlPoints()) for node in nodes]
        try:
            for node in nodes:
                node.SetFixedNumberOfControlPoints(False)
            yield
        finally:
            for node, modified, fixed in before:
                node.SetFixedNumberOfControlPoints(fixed)
                node.EndModify(modified)
            self._showing = False

    def _onTouched(self, *_: Any) -> None:
        if not self._showing:
            self.touched.emit()

    def _onDefined(self, *_: Any) -> None:
        if not self._showing:
            # At once: of two points that are seen together nobody knows any more which was placed first.
            recordOrder(*self._observed)
            self.touched.emit()

    def _onTransformed(self, node: Any, _event: Any) -> None:
        with self._changing(node):
            for (nodeID, pointID), (place, click) in list(self._shown.items()):
                index = node.GetNthControlPointIndexByID(pointID) if nodeID == node.GetID() else -1
                if index >= 0 and node.GetNthControlPointPositionStatus(index) == node.PositionDefined:
                    node.SetNthControlPointPositionWorld(index, *place)
                    self._shown[(nodeID, pointID)] = (_placeOf(node, index), click)


def _placeOf(node: Any, index: int) -> Ras:
    place = [0.0, 0.0, 0.0]
    node.GetNthControlPointPositionWorld(index, place)
    return place[0], place[1], place[2]


def addPoint(node: Any, place: Ras) -> str:
    """Adds a point behind those that are placed and returns its ID."""
    index = node.AddControlPointWorld(*place)
    if index > 0 and node.GetNthControlPointPositionStatus(index - 1) == node.PositionPreview:
        node.SwapControlPoints(index - 1, index)
        index -= 1
    return str(node.GetNthControlPointID(index))


def _remove(node: Any, pointID: str) -> None:
    node.RemoveNthControlPoint(node.GetNthControlPointIndexByID(pointID))
