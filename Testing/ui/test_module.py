from __future__ import annotations

import gc
import subprocess
import sys
import textwrap
import unittest
import weakref

import numpy as np
import pytest

from MemorizingSAM3DLib.scene.signals import Signal
from Testing.harness.application.waiting import processEvents
from Testing.harness.pythonqt.driver import clickOn, pressKey
from Testing.ui.conftest import MODULE_FILE

# Come with the extension's dependencies, and are not to be asked for before the user agreed to install them.
THIRD_PARTY = ("torch", "jsonschema", "pooch", "safetensors", "rich", "typer", "nibabel", "monai", "matplotlib")


def observerTags(vtkObject):
    """Tags are given in rising order and only those in use have a command."""
    return {tag for tag in range(1, 20000) if vtkObject.GetCommand(tag) is not None}


def qtImage(name):
    import qt

    from MemorizingSAM3DLib.engine.files import resource_path

    return qt.QPixmap(str(resource_path("Icons", name))).toImage()


def test_the_module_says_what_it_is(slicer_application, a_module):
    module = a_module.module
    assert module.title == "MemorizingSAM3D"
    assert tuple(module.categories) == ("Segmentation",)
    assert tuple(module.dependencies) == ()
    assert module.contributors and module.helpText and module.acknowledgementText
    assert not module.icon.isNull()


def test_the_help_says_what_it_does_where_to_begin_and_what_it_is_not(a_module):
    for words in ("by clicking", "category MemorizingSAM3D of Sample Data", "tutorial", "Not a medical device"):
        assert words in a_module.module.helpText


def test_the_papers_are_acknowledged(a_module):
    for paper in ("FastSAM3D", "Memorizing SAM", "MAIS", "SAM-Med3D"):
        assert f"{paper}: " in a_module.module.acknowledgementText


def test_the_icon_has_pictures_of_its_own_for_small_sizes(a_module):
    icon = a_module.module.icon
    toolbar = qtImage("MemorizingSAM3DToolbar.png")

    assert icon.pixmap(toolbar.width(), toolbar.height()).toImage() == toolbar


def test_the_panel_has_a_logic_that_can_be_used_without_it(a_module, controller):
    assert a_module.logic.controller is controller
    assert a_module.logic.getParameterNode().scan is None


def test_closing_the_module_leaves_no_observer_behind(slicer_application, controller, a_scene, no_error_in_slots):
    controller.scanNode = None
    before = observerTags(a_scene)
    opened = slicer_application.openModule(MODULE_FILE)
    assert observerTags(a_scene) > before
    opened.close()

    assert observerTags(a_scene) == before
    assert controller.isClosed


def test_a_closed_module_no_longer_answers_the_controller(slicer_application, controller, no_error_in_slots):
    slicer_application.openModule(MODULE_FILE).close()

    signals = {name: value for name, value in vars(controller).items() if isinstance(value, Signal)}
    assert len(signals) == 7
    assert {name: signal._functions for name, signal in signals.items() if signal._functions} == {}


def test_a_reload_works_on_with_the_same_scan(ui, controller, a_module, a_chosen_scan):
    from MemorizingSAM3DLib.ui.panel.shortcuts import KEYS

    old = weakref.ref(a_module.widget.panel)
    a_module.reload()
    gc.collect()

    assert old() is None
    assert a_module.widget.ui is not ui
    assert a_module.widget.ui.scanSelector.currentNode() is a_chosen_scan
    clickOn(a_module.widget.ui.insideButton)
    assert controller.placing is True
    pressKey(a_module.dock, KEYS["outside"])
    assert controller.placing is False


def test_the_developers_reload_button_reloads_the_library_too(
    slicer_application, controller, a_module, monkeypatch, no_error_in_slots
):
    before = dict(sys.modules)
    old = sys.modules["MemorizingSAM3DLib.ui.panel.panel"]
    try:
        a_module.widget.onReload()
        assert sys.modules["MemorizingSAM3DLib.ui.panel.panel"] is not old
    finally:
        a_module.close()
        for name in [name for name in sys.modules if name.startswith("MemorizingSAM3DLib")]:
            del sys.modules[name]
        for name in [name for name in before if name.startswith("MemorizingSAM3DLib")]:
            sys.modules[name] = before[name]
            package, _, submodule = name.rpartition(".")
            if package:  # a package names its modules too
                setattr(before[package], submodule, before[name])


def test_two_widgets_share_one_controller_which_lives_as_long_as_one_of_them(
    slicer_application, controller, a_module, a_volume_node
):
    second = a_module.module.createNewWidgetRepresentation()
    secondWidget = second.self()
    a_module.widget.ui.scanSelector.setCurrentNode(a_volume_node)

    assert secondWidget.logic.controller is a_module.logic.controller
    assert secondWidget.ui.scanSelector.currentNode() is a_volume_node
    secondWidget.cleanup()
    assert not controller.isClosed
    clickOn(a_module.widget.ui.nextSegmentButton)
    assert controller.calls.count("newSegment") == 1


def test_coming_and_going_leaves_no_observer_behind(a_module, a_scene, controller):
    node = a_scene.GetSingletonNode("MemorizingSAM3D", "vtkMRMLScriptedModuleNode")
    before = observerTags(node)
    for _ in range(3):
        a_module.exit()
        a_module.enter()

    assert observerTags(node) == before


def test_a_parameter_node_that_was_removed_is_made_again(ui, a_module, a_scene, controller, a_volume_node):
    a_module.exit()
    a_scene.RemoveNode(a_scene.GetSingletonNode("MemorizingSAM3D", "vtkMRMLScriptedModuleNode"))
    a_module.enter()
    ui.scanSelector.setCurrentNode(a_volume_node)

    assert controller.scanNode is a_volume_node
    assert a_module.logic.getParameterNode().scan is a_volume_node


def test_leaving_the_module_lets_another_modules_place_mode_alone(ui, controller, a_module, a_chosen_scan):
    a_module.exit()

    assert "stopPlacing" not in controller.calls


def test_leaving_the_module_ends_placing(ui, controller, a_module, a_chosen_scan):
    clickOn(ui.insideButton)
    a_module.exit()

    assert controller.placing is None


def test_without_a_parent_the_panel_is_a_window_of_its_own(slicer_application, controller, a_module):
    widget = sys.modules["MemorizingSAM3D"].MemorizingSAM3DWidget()
    processEvents()

    assert widget.ui.insideButton.visible
    widget.cleanup()
    widget.parent.deleteLater()


def test_closing_a_scene_while_another_module_is_open_adds_no_node_of_ours(
    controller, a_scene, a_module, slicer_application
):
    a_module.exit()
    node = a_scene.GetSingletonNode("MemorizingSAM3D", "vtkMRMLScriptedModuleNode")
    a_scene.RemoveNode(node)
    slicer_application.closeScene()

    assert a_scene.GetSingletonNode("MemorizingSAM3D", "vtkMRMLScriptedModuleNode") is None


def test_scenes_that_come_and_go_leave_nothing_behind(ui, controller, a_module, slicer_application):
    import slicer

    for number in range(3):
        scan = slicer.util.addVolumeFromArray(np.zeros((4, 5, 6), dtype=np.int16), np.eye(4), f"scan {number}")
        ui.scanSelector.setCurrentNode(scan)
        assert controller.scanNode is scan
        controller.setSegmentation(None)
        slicer_application.closeScene()
        assert controller.scanNode is None


def test_slicers_own_test_runs_the_scenarios_of_the_library_on_the_panels_controller(a_module, controller, monkeypatch):
    from types import ModuleType

    ran = []
    scenarios = ModuleType("MemorizingSAM3DLib.scene.self_test")
    scenarios.runScenarios = lambda test, controller: ran.append((type(test).__name__, controller))
    monkeypatch.setitem(sys.modules, "MemorizingSAM3DLib.scene.self_test", scenarios)
    import slicer

    slicer.selfTests["MemorizingSAM3D"](msec=1)

    assert ran == [("MemorizingSAM3DTest", controller)]
    assert not controller.isClosed


def test_where_packages_are_missing_slicers_own_test_is_skipped_and_says_what_to_do(a_module, monkeypatch):
    import slicer

    from MemorizingSAM3DLib.installation.this_python import ThisPython

    monkeypatch.setattr(ThisPython, "version", lambda self, package: None)
    with pytest.raises(unittest.SkipTest, match=r"torch: not installed\. Open the module, choose Install"):
        slicer.selfTests["MemorizingSAM3D"](msec=1)


def test_opening_imports_nothing_that_slicer_does_not_have(tmp_path):
    """In a process of its own, where nothing is imported yet."""
    script = f"""
        import sys
        sys.path.insert(0, {str(MODULE_FILE.parent.parent)!r})
        from MemorizingSAM3DLib.scene.headless.application import headlessApplication
        headless = headlessApplication()
        from Testing.harness.application.slicer_application import slicerApplication
        from Testing.harness.pythonqt.errors import takeRecordedErrors
        with slicerApplication(headless) as application:
            before = set(sys.modules)
            opened = application.openModule({str(MODULE_FILE)!r})
            assert opened.widget.ui.insideButton.visible
            assert not takeRecordedErrors()
            print(*{{name.partition(".")[0] for name in set(sys.modules) - before}})
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=170, cwd=tmp_path
    )

    assert result.returncode == 0, result.stderr[-2000:]
    imported = set(result.stdout.split())
    assert "MemorizingSAM3DLib" in imported
    assert not imported & set(THIRD_PARTY)
