"""How the panel looks, in the narrowest dock and on a fine screen, and how it is reached without a mouse."""

from __future__ import annotations

import re
import sys

import pytest

from MemorizingSAM3DLib.engine.files import resource_path
from Testing.harness.application.translation import isMarked
from Testing.harness.pythonqt.driver import clickOn
from Testing.harness.pythonqt.looks import cutOffWidgets, grab, tabOrder
from Testing.ui.conftest import MODULE_FILE

SECTIONS = ("pointsSection", "handSection", "caseMemorySection", "interactionMemorySection", "advancedSection")
STATES = ("empty", "at work", "all open")


@pytest.fixture(params=STATES)
def a_state(request, ui, controller, a_module, a_volume_node):
    """The panel as a user meets it: new; with segments, points, a warning, an error and work; everything opened."""
    if request.param == "empty":
        return request.param
    a_volume_node.SetName("CT thorax abdomen with contrast 1.5 mm soft tissue kernel 2026-08-21")
    ui.scanSelector.setCurrentNode(a_volume_node)
    for name in ("Liver", "Right kidney", "Lesion in segment 4a, near the vein"):
        controller.newSegment(name)
    for ras, positive in (((-12.4, 103.0, -1022.7), True), ((-30.0, 98.5, -1020.0), False), ((1.0, 2.0, 3.0), True)):
        controller.place(ras, positive)
    controller.undo()
    controller.setLocked(controller.segmentationNode.GetSegmentation().GetNthSegmentID(0), True)
    controller.startPlacing(True)
    controller.setStatus(
        model="MemorizingSAM3D, native 4",
        device="NVIDIA RTX 6000 Ada Generation (48 GB), bfloat16",
        busy="Encoding the scan",
        progress=0.4,
        canCancel=True,
        lastClickMilliseconds=412.0,
        warning="Running on the CPU: slower than on a GPU. No CUDA GPU was found by PyTorch.",
    )
    controller.failed.emit("The click is outside the scan. Click inside the scan.")
    if request.param == "all open":
        for name in SECTIONS:
            section = getattr(ui, name)
            if section.collapsed:
                section.collapsed = False
    return request.param


@pytest.mark.parametrize("scale", [1.0, 2.0])
@pytest.mark.parametrize("width", [350, 500])
def test_nothing_is_cut_off(a_state, a_module, tmp_path, width, scale):
    a_module.resize(width, 1750)
    grab(a_module.parent, tmp_path / f"panel-{a_state}-{width}-{scale:g}.png", scale)

    assert cutOffWidgets(a_module.parent) == []
    assert a_module.parent.width <= width


def test_tab_goes_from_top_to_bottom(a_state, a_module):
    order = [widget for widget in tabOrder(a_module.parent) if widget.objectName and "qt_" not in widget.objectName]
    places = {}
    for widget in order:
        top = widget.mapTo(a_module.parent, widget.rect.topLeft())
        places[widget.objectName] = (top.y() // 16, top.x())

    names = [name for name in places if name != "dismissErrorButton"]
    assert "insideButton" in names or a_state == "empty"
    assert names == sorted(names, key=lambda name: places[name])


@pytest.fixture
def controls(ui):
    """What a user can press, type into or choose from, by name; without what is inside of CTK's and Slicer's."""
    names = re.findall(
        r'<widget class="\w+" name="(\w+)"', resource_path("UI", "MemorizingSAM3D.ui").read_text("utf-8")
    )
    kinds = "(Button|Selector|CheckBox|ComboBox|SpinBox|Slider|Table)$"
    return {name: getattr(ui, name) for name in names if re.search(kinds, name)}


def test_every_control_says_what_it_is_and_what_it_does(controls):
    assert len(controls) > 25
    for name, widget in controls.items():
        assert widget.accessibleName or widget.text, f"{name} has no name for a screen reader"
        assert widget.toolTip, f"{name} has no tooltip"
        assert "&lt;" not in widget.toolTip, f"{name} shows markup"


def test_every_disabled_control_says_why(a_state, controls):
    for name, widget in controls.items():
        if not widget.enabled:
            assert "<b>" in widget.toolTip, f"{name} is disabled without a reason"


def ownText(text):
    """Without markup and without keys."""
    return re.sub(r"<[^>]*>|\(?Alt\+\w\)?", "", text)


def test_every_text_of_the_code_goes_through_translation(
    slicer_application, controller, a_volume_node, monkeypatch, no_error_in_slots
):
    for name in [name for name in sys.modules if name.startswith("MemorizingSAM3DLib.ui")]:
        monkeypatch.delitem(sys.modules, name)  # so that they are imported with this application's translation
    slicer_application.translation.marking = True
    opened = slicer_application.openModule(MODULE_FILE)
    ui = opened.widget.ui
    ui.scanSelector.setCurrentNode(a_volume_node)
    controller.place((1, 2, 3))
    controller.setLocked(controller.selectedSegmentID, True)
    controller.setStatus(lastClickMilliseconds=412.0, hasInteractionMemory=True, recalled="")

    asInTheFile = {ui.scanSelector, ui.segmentationSelector, ui.segmentTable, ui.pointTable, ui.previewCheckBox}
    widgets = [widget for widget in vars(ui).values() if hasattr(widget, "toolTip") and widget not in asInTheFile]
    toolTips = [widget.toolTip for widget in widgets if "<p>" in widget.toolTip]
    texts = [ui.hintLabel.text, ui.pointsSection.text, ui.lockSegmentButton.text, ui.busyLabel.text,
             ui.lastClickLabel.text, ui.pointTable.item(0, 1).text(), ui.undoButton.text, ui.caseMemoryLabel.text,
             ui.interactionMemoryLabel.text]  # fmt: skip
    assert len(toolTips) > 25
    for text in toolTips + texts:
        assert isMarked(ownText(text)), text


def test_a_section_opens_by_a_click(ui, a_module):
    a_module.resize(350, 1900)
    for name in SECTIONS:
        section = getattr(ui, name)
        clickOn(section)
        assert not section.collapsed, name
