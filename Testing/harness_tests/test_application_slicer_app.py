"""`slicer.app`, `slicer.modules`, `slicer.util`: what Slicer has is there, what it has not is refused."""

from __future__ import annotations

import time

import numpy as np
import pytest

from Testing.harness.application.fixtures import (  # noqa: F401
    installed_application,
    slice_views,
    slicer_application,
)
from Testing.harness.application.heartbeat import heartbeat
from Testing.harness.application.waiting import processEvents, waitFor


@pytest.fixture
def app(slicer_application):  # noqa: F811
    import slicer

    return slicer.app


def test_code_believes_that_it_runs_in_slicer(app):
    import slicer

    from MemorizingSAM3DLib.scene.headless.application import bootScene
    from MemorizingSAM3DLib.scene.vtk_messages import runsInsideSlicer

    assert runsInsideSlicer()
    assert bootScene() is slicer.mrmlScene is app.mrmlScene()


@pytest.mark.parametrize("name", ["activeMRMLThreeDViewNode", "pluginManager", "mainWindow", "scene", "version"])
def test_a_name_that_slicer_does_not_have_is_refused(app, name):
    with pytest.raises(AttributeError):
        getattr(app, name)


def test_attributes_cannot_be_made_up(app):
    with pytest.raises(AttributeError):
        app.mine = 1
    with pytest.raises(AttributeError):
        app.majorVersion = 6


def test_a_signal_that_slicer_does_not_have_is_refused(app):
    from Testing.harness.pythonqt.errors import SilentFailure, takeRecordedErrors

    with pytest.raises(SilentFailure):
        app.connect("startupFinished()", print)
    takeRecordedErrors()


def test_versions_and_folders(app, tmp_path):
    from pathlib import Path

    assert (app.majorVersion, app.minorVersion) >= (5, 10)
    assert app.applicationName == "Slicer"
    assert app.isInstalled
    for folder in (app.temporaryPath, app.slicerHome, app.cachePath):
        assert Path(folder).is_dir()


def test_there_is_no_main_window(app):
    import slicer

    assert app.commandOptions().noMainWindow
    assert slicer.util.mainWindow() is None


def test_settings_are_kept(app):
    import qt
    import slicer

    app.userSettings().setValue("MemorizingSAM3D/device", "cpu")

    assert slicer.util.settingsValue("MemorizingSAM3D/device", "auto") == "cpu"
    assert qt.QSettings().value("MemorizingSAM3D/device") == "cpu"


def test_a_settings_page_can_be_added(app, slicer_application):  # noqa: F811
    import ctk

    panel = ctk.ctkSettingsPanel()
    app.settingsDialog().addPanel("Memorizing SAM 3D", panel)
    app.openSettingsDialog("Memorizing SAM 3D")

    assert app.settingsDialog().currentPanel == panel
    assert slicer_application.requests == [("openSettingsDialog", "Memorizing SAM 3D")]


def test_what_would_end_the_test_is_recorded(app, slicer_application):  # noqa: F811
    import slicer

    slicer.util.restart()
    slicer.util.exit(1)

    assert slicer_application.requests == [("restart",), ("exit", 1)]


def test_the_layout_manager_has_the_open_views(slicer_application, slice_views, app):  # noqa: F811
    import slicer

    layoutManager = app.layoutManager()

    assert tuple(layoutManager.sliceViewNames()) == ("Red", "Green", "Yellow")
    assert layoutManager.sliceWidget("Red").mrmlSliceNode() is slice_views.red.node
    assert layoutManager.sliceWidget("Red").sliceLogic() is slice_views.red.logic
    assert layoutManager.sliceWidget("Blue") is None
    assert layoutManager.threeDViewCount == 0
    node = layoutManager.sliceWidget("Green").mrmlSliceNode()
    assert slicer.app.layoutManager().sliceWidget("Green").sliceView().mrmlSliceNode() is node


def test_without_views_the_layout_manager_has_none(app):
    assert tuple(app.layoutManager().sliceViewNames()) == ()


def test_slicer_util_shows_a_scan_in_the_views(slicer_application, slice_views, app):  # noqa: F811
    import slicer

    scan = slicer.util.addVolumeFromArray(np.zeros((10, 10, 10), np.int16), None, "scan")

    slicer.util.setSliceViewerLayers(background=scan, fit=True)
    slicer.util.resetSliceViews()
    slicer.util.forceRenderAllViews()

    assert {view.compositeNode.GetBackgroundVolumeID() for view in slice_views} == {scan.GetID()}
    center = slice_views.red.rasAt((199.5, 149.5))
    assert np.allclose(center[:2], 4.5, atol=slice_views.red.millimetresPerPixel)


def test_the_real_logics_are_there(app):
    import slicer

    assert slicer.modules.segmentations.logic().IsA("vtkSlicerSegmentationsModuleLogic")
    assert app.moduleLogic("Markups").IsA("vtkSlicerMarkupsLogic")
    assert slicer.modules.volumes.name == "Volumes"
    assert "SegmentEditor" in app.moduleManager().modulesNames()
    assert app.moduleManager().factoryManager().isLoaded("Segmentations")
    with pytest.raises(AttributeError, match="no attribute 'pytorchutils'"):
        _ = slicer.modules.pytorchutils


def test_a_module_that_does_not_exist_cannot_be_selected(slicer_application):  # noqa: F811
    import slicer

    with pytest.raises(ValueError, match="SegmentEditro"):
        slicer.util.selectModule("SegmentEditro")


def test_messages_take_what_slicers_take(slicer_application):  # noqa: F811
    import slicer

    slicer.util.errorDisplay("Broken.", windowTitle="Oh", detailedText="Traceback")
    slicer.util.delayDisplay("Soon", autoCloseMsec=10)

    kinds = [(dialog.kind, dialog.text, dialog.windowTitle) for dialog in slicer_application.dialogs.shown]
    assert kinds == [("error", "Broken.", "Oh"), ("delay", "Soon", None)]
    with pytest.raises(TypeError):
        slicer.util.errorDisplay()


def test_missing_packages_are_asked_for_and_recorded(slicer_application):  # noqa: F811
    import slicer.packaging

    slicer_application.packages.missing.add("numpy")
    slicer_application.dialogs.answer(False, True)

    with pytest.raises(RuntimeError, match="declined"):
        slicer.packaging.pip_ensure(["numpy>=2", "packaging"], requester="MemorizingSAM3D")
    slicer.packaging.pip_ensure(["numpy>=2", "packaging"], requester="MemorizingSAM3D")

    assert slicer_application.packages.installed == ["numpy>=2"]
    assert "MemorizingSAM3D" in slicer_application.dialogs.last.text
    assert slicer.packaging.pip_check("numpy>=2")


def test_requirements_are_read(slicer_application, tmp_path):  # noqa: F811
    import slicer.packaging

    (tmp_path / "requirements.txt").write_text(
        "# comment\n-c constraints.txt\nnumpy>=2\nabsent-package>=1 ; python_version<'3'\n"
    )
    requirements = slicer.packaging.load_requirements(tmp_path / "requirements.txt")

    assert [requirement.name for requirement in requirements] == ["numpy", "absent-package"]
    assert slicer.packaging.pip_check(requirements), "the marker of the second does not apply"
    assert not slicer.packaging.pip_check("absent-package>=1")


def test_translation_knows_its_callers_context(slicer_application):  # noqa: F811
    from slicer.i18n import tr, translate

    assert tr("Scan") == "Scan"
    assert translate("qSlicerAbstractCoreModule", "Segmentation") == "Segmentation"
    assert ("test_application_slicer_app", "Scan") in slicer_application.translation.texts


def test_waiting_lets_timers_run_and_gives_up_in_time(app):
    import qt

    ticks = []
    qt.QTimer.singleShot(20, lambda: ticks.append(1))

    waitFor(lambda: ticks, 5)

    with pytest.raises(TimeoutError, match="for nothing"):
        waitFor(lambda: False, 0.05, "nothing")


def test_the_heartbeat_sees_a_stall(app):
    with heartbeat() as beat:
        waitFor(lambda: len(beat.stalls) > 5)
        time.sleep(0.2)
        processEvents()

    assert beat.longestStall > 150
    assert beat.percentile(50) < beat.longestStall
    assert "1 over 100 ms" in beat.report()


def test_live_views_render_once_for_many_changes(slicer_application, slice_views):  # noqa: F811
    import slicer

    scan = slicer.util.addVolumeFromArray(np.zeros((10, 10, 10), np.int16), None, "scan")
    slice_views.show(scan)
    slice_views.renderLive()
    red = slice_views.red.rendering
    requested, rendered = red.requested, red.rendered

    for offset in (2, 3, 4):
        slice_views.red.logic.SetSliceOffset(offset)
    assert red.rendered == rendered
    processEvents()

    assert red.requested >= requested + 3
    assert red.rendered == rendered + 1
