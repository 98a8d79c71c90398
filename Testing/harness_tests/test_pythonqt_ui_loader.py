"""Loading .ui files: with CTK's and Slicer's widgets, and strict about what Qt would ignore."""

from __future__ import annotations

import pytest

from Testing.harness.pythonqt.errors import SilentFailure, takeRecordedErrors
from Testing.harness.pythonqt.fixtures import a_pythonqt, a_qt_application, no_error_in_slots  # noqa: F401

pytestmark = pytest.mark.usefixtures("a_pythonqt")

CONNECTION = """<connection><sender>{sender}</sender><signal>{signal}</signal><receiver>{receiver}</receiver>
 <slot>{slot}</slot></connection>"""
SCENE = {"sender": "Panel", "signal": "mrmlSceneChanged(vtkMRMLScene*)", "slot": "setMRMLScene(vtkMRMLScene*)"}


@pytest.fixture
def load(tmp_path):
    """Loads a panel with these widgets and connections, as modules do."""
    import slicer

    def load_panel(*widgets, connections=()):
        file = tmp_path / "Panel.ui"
        items = "".join(f"<item>{widget}</item>" for widget in widgets)
        lines = "".join(CONNECTION.format(**connection) for connection in connections)
        file.write_text(
            f'<ui version="4.0"><class>Panel</class><widget class="qMRMLWidget" name="Panel">'
            f'<layout class="QVBoxLayout" name="layout">{items}</layout></widget>'
            f"<connections>{lines}</connections></ui>"
        )
        return slicer.util.loadUI(str(file))

    return load_panel


def widget(kind, name, inside="", **properties):
    lines = "".join(f'<property name="{key}">{value}</property>' for key, value in properties.items())
    return f'<widget class="{kind}" name="{name}">{lines}{inside}</widget>'


SELECTOR = widget(
    "qMRMLNodeComboBox", "selector", nodeTypes="<stringlist><string>vtkMRMLModelNode</string></stringlist>"
)


def test_widgets_are_what_the_file_says(load):
    panel = load(
        widget("ctkSliderWidget", "slider", decimals="<number>1</number>", maximum="<double>5.5</double>"),
        widget("QCheckBox", "box", text="<string>Memory</string>", checked="<bool>true</bool>"),
        SELECTOR,
    )
    assert (panel.className(), panel.slider.decimals, panel.slider.maximum) == ("qMRMLWidget", 1, 5.5)
    assert (panel.box.text, panel.box.checked) == ("Memory", True)
    assert panel.selector.nodeTypes == ("vtkMRMLModelNode",)


def test_slicers_own_functions_find_the_widgets(load):
    import slicer

    inner = f'<layout class="QVBoxLayout" name="inner"><item>{SELECTOR}</item></layout>'
    panel = load(widget("ctkCollapsibleButton", "section", inner, text="<string>Inputs</string>"))
    ui = slicer.util.childWidgetVariables(panel)
    assert ui.selector is panel.section.selector and ui.section.text == "Inputs"
    assert slicer.util.findChild(panel, "selector") is ui.selector


def test_enums_and_flags_are_read(load):
    policy = "<enum>Qt::StrongFocus</enum>"
    siblings = "<set>ctkSliderWidget::SynchronizeWidth|ctkSliderWidget::SynchronizeDecimals</set>"
    alignment = "<set>Qt::AlignRight|Qt::AlignTop</set>"
    panel = load(
        widget("ctkSliderWidget", "slider", synchronizeSiblings=siblings, focusPolicy=policy),
        widget("ctkCollapsibleButton", "section", buttonTextAlignment=alignment),
    )
    import qt

    assert panel.slider.synchronizeSiblings == 3 and panel.slider.focusPolicy == qt.Qt.StrongFocus
    assert panel.section.buttonTextAlignment == qt.Qt.AlignRight | qt.Qt.AlignTop


def test_a_dynamic_property_survives(load):
    inside = '<property name="SlicerParameterName" stdset="0"><string>threshold</string></property>'
    panel = load(widget("ctkSliderWidget", "slider", inside))
    assert panel.slider.property("SlicerParameterName") == "threshold"
    assert panel.slider.SlicerParameterName == "threshold"


def test_the_scene_reaches_the_widgets_by_the_connections_of_the_file(load, a_scene):
    node = a_scene.AddNewNodeByClass("vtkMRMLModelNode", "a")
    panel = load(SELECTOR, connections=[{**SCENE, "receiver": "selector"}])
    assert panel.selector.mrmlScene() is None
    panel.setMRMLScene(a_scene)
    assert panel.selector.mrmlScene() is a_scene and panel.selector.currentNode() is node


def test_connections_between_plain_widgets_work(load):
    connection = {"sender": "box", "signal": "toggled(bool)", "receiver": "label", "slot": "setVisible(bool)"}
    panel = load(widget("QCheckBox", "box"), widget("QLabel", "label"), connections=[connection])
    panel.show()
    panel.box.checked = True
    assert panel.label.visible
    panel.box.checked = False
    assert not panel.label.visible


@pytest.mark.parametrize(
    "bad",
    [
        widget("QLabel", "label", caption="<string>x</string>"),
        widget("ctkSliderWidget", "slider", steps="<number>1</number>"),
        widget("qMRMLNodeComboBox", "selector", nodetypes="<stringlist/>"),
        widget("QComboBox", "box", count="<number>3</number>"),
        widget("qMRMLNodeCombo", "selector"),
        widget("ctkSlider", "slider"),
    ],
)
def test_what_slicer_does_not_have_fails(load, bad):
    with pytest.raises(SilentFailure):
        load(bad)
    takeRecordedErrors()


def test_a_widget_that_the_harness_lacks_says_so(load):
    with pytest.raises(NotImplementedError, match="ctkMatrixWidget"):
        load(widget("ctkMatrixWidget", "matrix"))


def test_a_value_of_the_wrong_kind_fails(load):
    with pytest.raises(AttributeError, match="does not accept"):
        load(widget("ctkSliderWidget", "slider", decimals="<string>two</string>"))


@pytest.mark.parametrize(
    "connection",
    [
        {**SCENE, "receiver": "selektor"},
        {**SCENE, "receiver": "selector", "signal": "sceneChanged(vtkMRMLScene*)"},
        {**SCENE, "receiver": "selector", "slot": "setScene(vtkMRMLScene*)"},
        {**SCENE, "receiver": "selector", "signal": "mrmlSceneChanged(vtkMRMLScene)"},
    ],
)
def test_a_connection_that_cannot_be_made_fails(load, connection):
    with pytest.raises(SilentFailure):
        load(SELECTOR, connections=[connection])
    takeRecordedErrors()


def test_two_widgets_of_one_name_fail(load):
    with pytest.raises(SilentFailure, match="two widgets"):
        load(widget("QLabel", "same"), widget("QLabel", "same"))
    takeRecordedErrors()


def test_a_collapsed_section_stays_collapsed(load):
    inner = '<layout class="QVBoxLayout" name="inner"><item><widget class="QLabel" name="label"/></item></layout>'
    panel = load(widget("ctkCollapsibleButton", "section", inner, collapsed="<bool>true</bool>"))
    panel.show()
    assert panel.section.collapsed and not panel.section.label.visible
    panel.section.collapsed = False
    assert panel.section.label.visible
