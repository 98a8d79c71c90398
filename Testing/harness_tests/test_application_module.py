"""A scripted module of the usual form runs in the harness as it would in Slicer."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from Testing.harness.application.fixtures import (  # noqa: F401
    installed_application,
    slice_views,
    slicer_application,
)

EXAMPLE = Path(__file__).parents[1] / "harness" / "application" / "example" / "ExampleModule.py"


@pytest.fixture
def example(slicer_application):  # noqa: F811
    return slicer_application.openModule(EXAMPLE)


@pytest.fixture
def a_scan(slicer_application):  # noqa: F811
    """Voxels 0 to 999."""
    import slicer

    return slicer.util.addVolumeFromArray(np.arange(1000, dtype=np.int16).reshape(10, 10, 10), None, "scan")


def test_opening_sets_up_and_enters_the_module(example):
    import slicer

    assert example.widget.calls == ["setup", "enter"]
    assert example.module.title == "Example"
    assert tuple(example.module.categories) == ("Examples",)
    assert slicer.modules.examplemodule is example.module
    assert slicer.modules.ExampleModuleWidget is example.widget
    assert slicer.util.getModuleWidget("ExampleModule") is example.widget
    assert slicer.util.getModuleLogic("ExampleModule") is example.logic
    assert slicer.util.modulePath("ExampleModule") == EXAMPLE.resolve().as_posix()
    assert example.parent.isEntered


def test_widgets_and_parameters_follow_each_other(example, a_scan):
    ui, parameters = example.widget.ui, example.widget._parameterNode

    ui.thresholdSlider.value = 42
    ui.invertCheckBox.checked = True
    ui.inputSelector.setCurrentNode(a_scan)
    assert (parameters.threshold, parameters.invert, parameters.inputVolume) == (42, True, a_scan)

    parameters.threshold = -7
    parameters.invert = False
    parameters.inputVolume = None
    assert (ui.thresholdSlider.value, ui.invertCheckBox.checked, ui.inputSelector.currentNode()) == (-7, False, None)


def test_the_annotations_set_the_limits_of_the_slider(example):
    assert (example.widget.ui.thresholdSlider.minimum, example.widget.ui.thresholdSlider.maximum) == (-100, 200)


def test_a_module_that_was_left_does_not_follow_any_more(example):
    parameters = example.widget._parameterNode

    example.exit()
    parameters.invert = True
    example.widget.ui.thresholdSlider.value = 5

    assert not example.widget.ui.invertCheckBox.checked
    assert parameters.threshold == 100
    example.enter()
    assert example.widget.ui.invertCheckBox.checked
    assert example.widget.ui.thresholdSlider.value == 100
    assert example.widget.calls == ["setup", "enter", "exit", "enter"]


def test_a_button_runs_the_logic(example, a_scan):
    example.widget._parameterNode.inputVolume = a_scan

    example.widget.ui.applyButton.click()

    assert example.widget.ui.resultLabel.text == "899 voxels"


def test_a_failure_is_shown_to_the_user(example, slicer_application):  # noqa: F811
    from Testing.harness.pythonqt.errors import takeRecordedErrors

    example.widget.ui.applyButton.click()

    assert slicer_application.dialogs.errors == ["The count failed.\n\nSelect a scan first."]
    assert "ValueError" in slicer_application.dialogs.last.details["detailedText"]
    assert [type(error.exception) for error in takeRecordedErrors()] == [ValueError]


@pytest.mark.parametrize(("answer", "shown"), [(True, "101 voxels"), (False, "")])
def test_a_question_gets_the_scripted_answer(example, slicer_application, a_scan, answer, shown):  # noqa: F811
    example.widget._parameterNode.inputVolume = a_scan
    example.widget.ui.invertCheckBox.checked = True
    slicer_application.dialogs.answer(answer)

    example.widget.ui.applyButton.click()

    assert slicer_application.dialogs.last.kind == "yesNo"
    assert example.widget.ui.resultLabel.text == shown


def test_a_question_without_an_answer_fails_the_test(slicer_application):  # noqa: F811
    import slicer

    with pytest.raises(AssertionError, match="Really"):
        slicer.util.confirmOkCancelDisplay("Really?")


def test_closing_the_scene_reaches_the_module(example, slicer_application, a_scan):  # noqa: F811
    example.widget._parameterNode.threshold = 50
    example.widget._parameterNode.inputVolume = a_scan

    slicer_application.closeScene()

    assert example.widget.calls[-2:] == ["startClose", "endClose"]
    assert example.widget._parameterNode.threshold == 100
    assert example.widget.ui.thresholdSlider.value == 100
    assert example.widget.ui.inputSelector.currentNode() is None


def test_a_bundle_brings_the_parameters_back(example, slicer_application, a_scan, tmp_path):  # noqa: F811
    example.widget._parameterNode.threshold = 50
    example.widget._parameterNode.inputVolume = a_scan

    assert slicer_application.saveMrb(tmp_path / "scene.mrb")
    slicer_application.loadMrb(tmp_path / "scene.mrb")
    example.exit()
    example.enter()

    assert example.widget._parameterNode.threshold == 50
    assert example.widget._parameterNode.inputVolume.GetName() == "scan"
    assert example.widget.ui.inputSelector.currentNode().GetName() == "scan"


def test_a_reload_makes_a_new_panel_from_the_file(example):
    before, widget = sys.modules["ExampleModule"], example.widget

    example.reload()

    assert widget.calls[-1] == "cleanup"
    assert example.widget is not widget
    assert example.widget.calls == ["setup"], "as in Slicer, which does not call enter()"
    assert type(example.widget) is sys.modules["ExampleModule"].ExampleModuleWidget
    assert sys.modules["ExampleModule"] is not before
    assert example.parent.isEntered


def test_closing_the_module_cleans_up(example, slicer_application):  # noqa: F811
    import slicer

    widget = example.widget
    example.close()

    assert widget.calls[-2:] == ["exit", "cleanup"]
    assert not hasattr(slicer.modules, "examplemodule")
    assert not slicer_application.modules
    slicer_application.closeScene()
    assert widget.calls[-1] == "cleanup", "it observes the scene no more"


def test_the_module_is_told_when_the_application_has_started(example, slicer_application):  # noqa: F811
    import slicer

    slicer_application.completeStartup()

    assert slicer.modules.exampleStartups >= 1


def test_the_modules_own_test_runs(example, slicer_application):  # noqa: F811
    import slicer

    slicer.selfTests["ExampleModule"](msec=10)

    assert int(slicer_application.settings.value("ExampleModule/tested")) == 1
    assert [dialog.text for dialog in slicer_application.dialogs.shown] == ["Counting nothing"]


def test_reload_and_test_in_developer_mode(slicer_application):  # noqa: F811
    slicer_application.settings.setValue("Developer/DeveloperMode", True)
    example = slicer_application.openModule(EXAMPLE)
    widget = example.widget

    widget.reloadTestAction.trigger()

    assert example.widget is not widget
    assert int(slicer_application.settings.value("ExampleModule/tested")) == 1


def test_selecting_another_module_leaves_this_one(example, slicer_application):  # noqa: F811
    import slicer

    slicer.util.selectModule("SegmentEditor")
    assert not example.parent.isEntered
    slicer.util.selectModule("ExampleModule")

    assert example.parent.isEntered
    assert slicer_application.selectedModules == ["SegmentEditor", "ExampleModule"]
    assert slicer.util.selectedModule() == "ExampleModule"


def test_untranslated_text_is_found(slicer_application):  # noqa: F811
    from Testing.harness.application.translation import isMarked

    slicer_application.translation.marking = True
    example = slicer_application.openModule(EXAMPLE)

    assert isMarked(example.widget.ui.applyButton.toolTip)
    assert not isMarked(example.widget.ui.applyButton.text), "that of the .ui file is not"
    assert ("ExampleModule", "Example") in slicer_application.translation.texts


def test_the_panel_is_as_wide_as_the_dock(slicer_application, tmp_path):  # noqa: F811
    example = slicer_application.openModule(EXAMPLE, width=350)

    assert example.picture(tmp_path / "panel.png").stat().st_size > 1000
    assert 300 < example.parent.width <= 350


@pytest.fixture
def in_a_main_window(slicer_application, slice_views):  # noqa: F811
    slicer_application.openMainWindow()
    return slicer_application.openModule(EXAMPLE, width=350)


def test_in_a_main_window_the_panel_is_docked(in_a_main_window, slicer_application):  # noqa: F811
    import slicer

    assert slicer.util.mainWindow().className() == "qSlicerMainWindow"
    assert not slicer.app.commandOptions().noMainWindow
    assert slicer_application.mainWindow.isAncestorOf(in_a_main_window.dock)
    assert 300 < in_a_main_window.parent.width <= 350
    assert slicer.util.moduleSelector().selectedModule == "ExampleModule"


def test_a_shortcut_of_the_panel_works_in_the_views_while_the_panel_is_shown(in_a_main_window):
    import qt
    import slicer

    from Testing.harness.pythonqt.driver import pressKey

    pressed = []
    shortcut = qt.QShortcut(in_a_main_window.parent)
    shortcut.setKey(qt.QKeySequence("Alt+I"))
    shortcut.connect("activated()", lambda: pressed.append(slicer.util.selectedModule()))
    view = slicer.app.layoutManager().sliceWidget("Red").sliceView()

    pressKey(view, "Alt+I")
    slicer.util.selectModule("Data")
    pressKey(view, "Alt+I")
    slicer.util.moduleSelector().selectPreviousModule()
    pressKey(view, "Alt+I")

    assert pressed == ["ExampleModule", "ExampleModule"]


def test_the_picture_of_the_main_window_shows_panel_and_views(
    in_a_main_window,
    slicer_application,  # noqa: F811
    slice_views,  # noqa: F811
    a_scan,
    tmp_path,
):
    import SimpleITK as sitk

    slice_views.show(a_scan)

    path = slicer_application.picture(tmp_path / "window.png")

    pixels = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))[..., :3].astype(int)
    panel, views = pixels[:, :350], pixels[:, 360:]
    assert (panel > 200).mean() > 0.5, "the light panel"
    assert ((views > 60) & (views < 200)).mean() > 0.05, "the grey scan on black"
