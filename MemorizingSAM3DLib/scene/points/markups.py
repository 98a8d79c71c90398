"""Markups control points to clicks.

Whether a point is positive is decided, in this order, by: the caller; the point's own description ("+", "-",
"positive", "negative"); the list's attribute `MemorizingSAM3D.Positive`; and else it is positive.

Order. A session replays clicks in the order in which they were made, but the positive and the negative points are in
two lists, points can be deleted and re-sorted in the Markups module, and their IDs count within one list only. So every
point is given a number that grows over all lists, in the list's attribute `MemorizingSAM3D.Order` (JSON, point ID to
number), when `recordOrder` sees it for the first time. The attribute is saved with the scene. Points are told apart for
as long as `recordOrder` is called between them, which the module does each time a point is placed; points of several
lists that are seen for the first time together (a scene made elsewhere) follow list by list."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from MemorizingSAM3DLib.engine.errors import ClickError
from MemorizingSAM3DLib.engine.prompts import Click

POSITIVE_ATTRIBUTE = "MemorizingSAM3D.Positive"
ORDER_ATTRIBUTE = "MemorizingSAM3D.Order"
# Bluish green and vermilion of Okabe and Ito's palette (Color Universal Design, 2008), told apart with any colour
# vision; the glyphs differ too.
POSITIVE_COLOR = (0.0, 158 / 255, 115 / 255)
NEGATIVE_COLOR = (213 / 255, 94 / 255, 0.0)
_SIGN_OF_DESCRIPTION = {"+": True, "positive": True, "-": False, "\N{MINUS SIGN}": False, "negative": False}


class PlacedPoint(NamedTuple):
    """A control point: its list, its ID there, world RAS mm, and whether it is positive."""

    node: Any
    pointID: str
    ras: tuple[float, float, float]
    positive: bool


def clicksFromNodes(*markupsNodes: Any) -> list[Click]:
    """The clicks of lists of control points, merged in the order in which they were placed.

    Args:
        markupsNodes: vtkMRMLMarkupsNodes (fiducial lists). Points that are not defined (the one that follows the mouse
            while placing, skipped ones) are left out. What is positive, the module's docstring says.

    Returns:
        Clicks in world RAS mm: transforms of the lists are applied.

    Raises:
        ClickError: no list, or one that was removed from the scene.
    """
    return _clicks([(node, None) for node in markupsNodes])


def recordOrder(*markupsNodes: Any) -> None:
    """Numbers the points that have no number yet and forgets points that are gone. Call it after each placement."""
    for node in markupsNodes:
        order = _readOrder(node)
        counter = 1 + _highestNumber(node.GetScene())
        kept: dict[str, int] = {}
        for index in _definedPoints(node):
            pointID = node.GetNthControlPointID(index)
            kept[pointID] = order.get(pointID, counter)
            counter += kept[pointID] == counter
        if kept != order:
            node.SetAttribute(ORDER_ATTRIBUTE, json.dumps(kept))


def createPromptNode(positive: bool, name: str) -> Any:
    """Adds a list for positive or negative clicks to the scene.

    Returns:
        vtkMRMLMarkupsFiducialNode; points drawn as a green plus or an orange diamond, without text.
    """
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name)
    node.SetAttribute(POSITIVE_ATTRIBUTE, "true" if positive else "false")
    node.SetControlPointLabelFormat("+%d" if positive else "-%d")
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    color = POSITIVE_COLOR if positive else NEGATIVE_COLOR
    display.SetColor(*color)
    display.SetSelectedColor(*color)
    display.SetActiveColor(*(min(1.0, channel + 0.3) for channel in color))
    display.SetGlyphType(display.ThickCross2D if positive else display.Diamond2D)
    display.SetGlyphScale(4.0)
    display.SetPointLabelsVisibility(False)
    display.SetPropertiesLabelVisibility(False)
    return node


def orderedPoints(*markupsNodes: Any) -> list[PlacedPoint]:
    """The defined points of several lists, merged in the order in which they were placed.

    Raises:
        ClickError: no list, or one that was removed from the scene.
    """
    return _ordered([(node, None) for node in markupsNodes])


def setPointOrder(markupsNode: Any, order: dict[str, int]) -> None:
    """Numbers the points of a list: point ID to number, over all lists that are read together."""
    markupsNode.SetAttribute(ORDER_ATTRIBUTE, json.dumps(order))


def _clicks(labelled: list[tuple[Any, bool | None]]) -> list[Click]:
    return [Click(point.ras, point.positive) for point in _ordered(labelled)]


def _ordered(labelled: list[tuple[Any, bool | None]]) -> list[PlacedPoint]:
    for node, _ in labelled:
        if node is None or node.GetScene() is None:
            raise ClickError("The list of points is no longer in the scene.", "Choose or create a list of points.")
    recordOrder(*(node for node, _ in labelled))
    numbered = []
    for node, positive in labelled:
        order = _readOrder(node)
        for index in _definedPoints(node):
            ras = [0.0, 0.0, 0.0]
            node.GetNthControlPointPositionWorld(index, ras)
            isPositive = _isPositive(node, index) if positive is None else positive
            pointID = node.GetNthControlPointID(index)
            numbered.append((order[pointID], PlacedPoint(node, pointID, (ras[0], ras[1], ras[2]), isPositive)))
    return [point for _, point in sorted(numbered, key=lambda pair: pair[0])]


def _definedPoints(node: Any) -> list[int]:
    return [
        index
        for index in range(node.GetNumberOfControlPoints())
        if node.GetNthControlPointPositionStatus(index) == node.PositionDefined
    ]


def _isPositive(node: Any, index: int) -> bool:
    ofPoint = _SIGN_OF_DESCRIPTION.get((node.GetNthControlPointDescription(index) or "").strip().lower())
    if ofPoint is not None:
        return ofPoint
    return (node.GetAttribute(POSITIVE_ATTRIBUTE) or "true").strip().lower() not in ("false", "0", "no")


def _highestNumber(scene: Any) -> int:
    # Over all lists of the scene, not only the given ones: two lists may be read one at a time and merged later.
    className = "vtkMRMLMarkupsNode"
    nodes = [scene.GetNthNodeByClass(n, className) for n in range(scene.GetNumberOfNodesByClass(className))]
    return max((number for node in nodes for number in _readOrder(node).values()), default=0)


def _readOrder(node: Any) -> dict[str, int]:
    # A text edited by hand or by another extension must not lose the user's points: what is not an order counts as
    # none.
    try:
        order = json.loads(node.GetAttribute(ORDER_ATTRIBUTE) or "{}")
    except (ValueError, RecursionError):
        return {}
    if not isinstance(order, dict):
        return {}
    return {str(pointID): number for pointID, number in order.items() if isinstance(number, int)}
