"""`qMRMLNodeComboBox` selects as Slicer's does (slicer_qt_api.md, ecosystem.md section 3), on real nodes."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from Testing.harness.pythonqt.driver import CannotDoThat, choose, whileModal
from Testing.harness.pythonqt.fixtures import a_pythonqt, a_qt_application, no_error_in_slots  # noqa: F401
from Testing.harness.pythonqt.modules import modules

qt = modules["qt"]
pytestmark = pytest.mark.usefixtures("a_pythonqt")
MODEL = "vtkMRMLModelNode"


@pytest.fixture
def models(a_scene):
    return lambda *names: [a_scene.AddNewNodeByClass(MODEL, name) for name in names]


@pytest.fixture
def selector():
    """A selector of models without menu items and without a scene."""
    return new_selector()


def new_selector():
    import slicer

    made = slicer.qMRMLNodeComboBox()
    made.nodeTypes = [MODEL]
    made.addEnabled = made.removeEnabled = False
    return made


def listed(selector):
    return [selector.nodeFromIndex(index).GetName() for index in range(selector.nodeCount())]


def current(selector):
    node = selector.currentNode()
    return None if node is None else node.GetName()


def test_without_a_scene_it_is_disabled_and_empty(selector):
    assert not selector.enabled and selector.nodeCount() == 0 and selector.currentNode() is None


def test_setting_the_scene_selects_the_first_node(selector, a_scene, models):
    models("a", "b")
    selector.setMRMLScene(a_scene)
    assert (current(selector), listed(selector), selector.enabled) == ("a", ["a", "b"], True)


def test_setting_the_scene_selects_none_where_none_is_offered(selector, a_scene, models):
    models("a")
    selector.noneEnabled = True
    selector.setMRMLScene(a_scene)
    assert current(selector) is None and selector.currentNodeID == ""


def test_a_node_asked_for_before_the_scene_came_is_selected_then(selector, a_scene, models):
    second = models("a", "b")[1]
    selector.setCurrentNodeID(second.GetID())
    selector.setMRMLScene(a_scene)
    assert current(selector) == "b"


def test_the_first_node_added_to_an_empty_list_is_selected(selector, a_scene, models):
    selector.setMRMLScene(a_scene)
    models("a", "b")
    assert current(selector) == "a"


@pytest.mark.parametrize("option", ["noneEnabled", "addEnabled", "removeEnabled", "renameEnabled"])
def test_a_node_added_to_a_list_with_other_entries_is_not_selected(selector, a_scene, models, option):
    setattr(selector, option, True)
    selector.setMRMLScene(a_scene)
    models("a")
    assert current(selector) is None


@pytest.mark.parametrize("with_none", [False, True])
@pytest.mark.parametrize("menu", [False, True])
@pytest.mark.parametrize(("removed", "next_one"), [(0, "b"), (1, "c"), (2, "b")])
def test_removing_the_current_node_selects_the_one_in_its_row(
    selector, a_scene, models, with_none, menu, removed, next_one
):
    nodes = models("a", "b", "c")
    selector.noneEnabled, selector.addEnabled = with_none, menu
    selector.setMRMLScene(a_scene)
    selector.setCurrentNode(nodes[removed])
    a_scene.RemoveNode(nodes[removed])
    assert current(selector) == next_one


@pytest.mark.parametrize("with_none", [False, True])
@pytest.mark.parametrize("menu", [False, True])
def test_removing_the_only_node_leaves_none(selector, a_scene, models, with_none, menu):
    selector.noneEnabled, selector.addEnabled = with_none, menu
    (node,) = models("a")
    selector.setMRMLScene(a_scene)
    selector.setCurrentNode(node)
    heard = []
    selector.connect("currentNodeChanged(vtkMRMLNode*)", heard.append)
    a_scene.RemoveNode(node)
    assert current(selector) is None and heard[-1] is None


def test_removing_another_node_keeps_the_current_one_without_a_word(selector, a_scene, models):
    nodes = models("a", "b")
    selector.setMRMLScene(a_scene)
    selector.setCurrentNode(nodes[1])
    heard = []
    selector.connect("currentNodeChanged(vtkMRMLNode*)", heard.append)
    a_scene.RemoveNode(nodes[0])
    assert current(selector) == "b" and heard == []


def test_every_change_is_told_in_three_ways(selector, a_scene, models):
    nodes = models("a", "b")
    selector.setMRMLScene(a_scene)
    heard = []
    selector.connect("currentNodeChanged(vtkMRMLNode*)", heard.append)
    selector.connect("currentNodeChanged(bool)", heard.append)
    selector.connect("currentNodeIDChanged(QString)", heard.append)
    selector.setCurrentNode(nodes[1])
    assert heard == [nodes[1], True, nodes[1].GetID()]


def test_selecting_the_same_node_again_is_not_told(selector, a_scene, models):
    (node,) = models("a")
    selector.setMRMLScene(a_scene)
    heard = []
    selector.connect("currentNodeChanged(vtkMRMLNode*)", heard.append)
    selector.setCurrentNode(node)
    assert heard == []


def test_two_nodes_of_one_name_are_told_apart(selector, a_scene, models):
    nodes = models("same", "same")
    selector.setMRMLScene(a_scene)
    heard = []
    selector.connect("currentNodeChanged(vtkMRMLNode*)", heard.append)
    selector.setCurrentNode(nodes[1])
    assert heard == [nodes[1]]


def test_renaming_the_current_node_counts_as_a_change(selector, a_scene, models):
    (node,) = models("a")
    selector.setMRMLScene(a_scene)
    heard = []
    selector.connect("currentNodeChanged(vtkMRMLNode*)", heard.append)
    node.SetName("b")
    assert heard == [node] and listed(selector) == ["b"]


def test_none_is_selected_by_setting_none(selector, a_scene, models):
    models("a")
    selector.setMRMLScene(a_scene)
    selector.setCurrentNode(None)
    assert selector.currentNode() is None and selector.currentNodeID == ""


def test_only_its_node_types_are_listed(selector, a_scene, models):
    models("a")
    a_scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "points")
    selector.setMRMLScene(a_scene)
    assert listed(selector) == ["a"]
    selector.nodeTypes = ["vtkMRMLMarkupsFiducialNode"]
    assert listed(selector) == ["points"]


def test_derived_types_can_be_left_out(selector, a_scene):
    a_scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "scan")
    a_scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    selector.setMRMLScene(a_scene)
    assert listed(selector) == ["scan", "labels"]
    selector.showChildNodeTypes = False
    assert listed(selector) == ["scan"]
    selector.showChildNodeTypes = True
    selector.hideChildNodeTypes = ["vtkMRMLLabelMapVolumeNode"]
    assert listed(selector) == ["scan"]


def test_a_string_for_the_node_types_becomes_its_letters(selector):
    selector.nodeTypes = "abc"
    assert selector.nodeTypes == ("a", "b", "c")


def test_hidden_nodes_are_not_listed_and_hiding_the_current_one_deselects_it(selector, a_scene, models):
    (node,) = models("a")
    selector.setMRMLScene(a_scene)
    node.SetHideFromEditors(True)
    assert listed(selector) == [] and current(selector) is None
    node.SetHideFromEditors(False)
    assert listed(selector) == ["a"]


def test_attributes_filter(selector, a_scene, models):
    nodes = models("a", "b", "c")
    nodes[1].SetAttribute("Purpose", "points")
    nodes[2].SetAttribute("Purpose", "other")
    selector.addAttribute(MODEL, "Purpose")
    selector.setMRMLScene(a_scene)
    assert listed(selector) == ["b", "c"]
    selector.addAttribute(MODEL, "Purpose", "points")
    assert listed(selector) == ["b"]
    selector.removeAttribute(MODEL, "Purpose")
    assert listed(selector) == ["a", "b", "c"]


def test_a_new_node_has_the_base_name_and_is_selected(selector, a_scene):
    selector.baseName = "Lesion"
    selector.setMRMLScene(a_scene)
    heard = []
    selector.connect("nodeAddedByUser(vtkMRMLNode*)", heard.append)
    first, second = selector.addNode(), selector.addNode(MODEL)
    assert [node.GetName() for node in heard] == ["Lesion", "Lesion_1"]
    assert heard == [first, second] and selector.currentNode() is second


def test_a_new_node_is_not_selected_if_that_is_not_wanted(selector, a_scene, models):
    models("a")
    selector.selectNodeUponCreation = False
    selector.setMRMLScene(a_scene)
    selector.addNode()
    assert current(selector) == "a" and selector.nodeCount() == 2


def test_a_node_of_a_foreign_type_is_not_made(selector, a_scene):
    selector.setMRMLScene(a_scene)
    assert selector.addNode("vtkMRMLTextNode") is None


def test_closing_the_scene_empties_it(selector, a_scene, models):
    models("a", "b")
    selector.setMRMLScene(a_scene)
    a_scene.Clear(False)
    assert selector.nodeCount() == 0 and selector.currentNode() is None


def test_taking_the_scene_away_disables_it(selector, a_scene, models):
    models("a")
    selector.setMRMLScene(a_scene)
    selector.setMRMLScene(None)
    assert not selector.enabled and selector.currentNode() is None


def test_what_slicer_has_in_cpp_only_is_refused(selector):
    for name in ("nodes", "nodeFactory", "setNodeTypes", "comboBox", "setNoneEnabled", "currentNodeId_"):
        with pytest.raises(AttributeError):
            getattr(selector, name)


def shown(selector):
    selector.resize(200, 30)
    selector.show()
    return selector


def test_a_user_chooses_a_node(selector, a_scene, models):
    nodes = models("a", "b")
    selector.setMRMLScene(a_scene)
    heard = []
    selector.connect("nodeActivated(vtkMRMLNode*)", heard.append)
    choose(shown(selector), "b")
    assert current(selector) == "b" and heard == [nodes[1]]


def test_a_user_chooses_none_by_its_display_name(selector, a_scene, models):
    (node,) = models("a")
    selector.noneEnabled, selector.noneDisplay = True, "Create on first click"
    selector.setMRMLScene(a_scene)
    selector.setCurrentNode(node)
    choose(shown(selector), "Create on first click")
    assert selector.currentNode() is None


def test_a_user_makes_and_deletes_a_node(selector, a_scene):
    selector.addEnabled = selector.removeEnabled = True
    selector.setMRMLScene(a_scene)
    heard = []
    selector.connect("nodeAddedByUser(vtkMRMLNode*)", lambda node: heard.append("added"))
    selector.connect("nodeAddedByUserAction(vtkMRMLNode*)", lambda node: heard.append("by action"))
    choose(shown(selector), "Create new Model")
    assert heard == ["added", "by action"] and selector.nodeCount() == 1 and selector.currentNode() is not None
    choose(selector, "Delete current Model")
    assert selector.nodeCount() == 0 and selector.currentNode() is None


def test_a_user_renames_a_node(selector, a_scene, models):
    (node,) = models("old")
    selector.renameEnabled = True
    selector.setMRMLScene(a_scene)

    def answer(dialog):
        dialog.setTextValue("new")
        dialog.accept()

    whileModal(lambda: choose(shown(selector), "Rename current Model"), answer)
    assert node.GetName() == "new"


def test_a_user_cannot_choose_what_is_not_there(selector, a_scene, models):
    models("a")
    selector.setMRMLScene(a_scene)
    with pytest.raises(CannotDoThat, match="There is no 'b'"):
        choose(shown(selector), "b")


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 2)),
        st.tuples(st.just("remove"), st.integers(0, 9)),
        st.tuples(st.just("select"), st.integers(-1, 9)),
        st.tuples(st.just("hide"), st.integers(0, 9)),
        st.tuples(st.just("none"), st.integers(0, 1)),
    ),
    max_size=15,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions=ACTIONS, menu=st.booleans())
def test_it_always_shows_what_the_scene_has_and_a_node_that_is_listed(a_scene, actions, menu):
    for node in list(a_scene.GetNodesByClass(MODEL)):
        a_scene.RemoveNode(node)
    selector, told = new_selector(), []
    selector.addEnabled = menu
    selector.setMRMLScene(a_scene)
    selector.connect("currentNodeChanged(vtkMRMLNode*)", told.append)
    nodes = []
    for kind, number in actions:
        before = selector.currentNode()
        if kind == "add":
            nodes.append(a_scene.AddNewNodeByClass(MODEL, f"node {number}"))
        elif kind == "none":
            selector.noneEnabled = bool(number)
        elif kind == "select" and (number < 0 or not nodes):
            selector.setCurrentNode(None)
        elif nodes:
            node = nodes[number % len(nodes)]
            if kind == "remove":
                nodes.remove(node)
                a_scene.RemoveNode(node)
            elif kind == "hide":
                node.SetHideFromEditors(not node.GetHideFromEditors())
            else:
                selector.setCurrentNode(node)
        visible = [node for node in nodes if not node.GetHideFromEditors()]
        assert [selector.nodeFromIndex(index) for index in range(selector.nodeCount())] == visible
        assert selector.currentNode() is None or selector.currentNode() in visible
        if selector.currentNode() is not before:
            assert told and told[-1] is selector.currentNode()
    selector.setMRMLScene(None)
