from __future__ import annotations

import pytest

from MemorizingSAM3DLib.scene.dragging import Dragging
from MemorizingSAM3DLib.scene.prompts import createPromptNode


@pytest.fixture
def a_list(a_scene):
    node = createPromptNode(True, "points")
    node.AddControlPointWorld(1.0, 2.0, 3.0)
    return node


@pytest.fixture
def a_dragging(a_list):
    dragging = Dragging()
    dragging.heard = []
    dragging.ended.connect(lambda: dragging.heard.append(dragging.isGoingOn))
    tags = dragging.observe(a_list)
    yield dragging
    for tag in tags:
        a_list.RemoveObserver(tag)


def test_a_point_is_held_from_the_beginning_of_an_interaction_to_its_end(a_dragging, a_list):
    assert not a_dragging.isGoingOn
    a_list.InvokeEvent(a_list.PointStartInteractionEvent)
    a_list.SetNthControlPointPositionWorld(0, 4.0, 5.0, 6.0)
    assert a_dragging.isGoingOn
    assert a_dragging.heard == []
    a_list.InvokeEvent(a_list.PointEndInteractionEvent)

    assert not a_dragging.isGoingOn
    assert a_dragging.heard == [False]


def test_an_interaction_without_an_end_is_over_when_the_mouse_leaves_the_point(a_dragging, a_list):
    display = a_list.GetDisplayNode()
    display.SetActiveControlPoint(0)
    a_list.InvokeEvent(a_list.PointStartInteractionEvent)
    display.SetGlyphScale(3.0)
    assert a_dragging.isGoingOn
    display.SetActiveComponent(display.ComponentNone, -1)

    assert not a_dragging.isGoingOn
    assert a_dragging.heard == [False]
    display.SetActiveControlPoint(0)
    display.SetActiveComponent(display.ComponentNone, -1)
    assert a_dragging.heard == [False]


def test_a_forgotten_point_is_let_go_without_a_word(a_dragging, a_list):
    display = a_list.GetDisplayNode()
    display.SetActiveControlPoint(0)
    a_list.InvokeEvent(a_list.PointStartInteractionEvent)
    a_dragging.forget()
    display.SetActiveComponent(display.ComponentNone, -1)

    assert not a_dragging.isGoingOn
    assert a_dragging.heard == []
