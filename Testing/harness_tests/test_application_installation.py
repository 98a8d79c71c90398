"""The harness leaves nothing behind."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[1] / "harness" / "application" / "example" / "ExampleModule.py"
STAND_INS = ("app", "modules", "selfTests", "ScriptedLoadableModule", "parameterNodeWrapper", "i18n", "packaging")


def state():
    import slicer

    return (
        {name: vars(slicer).get(name) for name in STAND_INS},
        dict(vars(slicer.util)),
        list(sys.path),
        {name for name in sys.modules if name.split(".")[0] in ("qt", "ctk", "slicer", "ExampleModule")},
    )


def test_afterwards_slicer_is_as_before(a_headless_application, a_scene):
    import slicer

    from MemorizingSAM3DLib.scene.vtk_messages import runsInsideSlicer
    from Testing.harness.application.slicer_application import slicerApplication

    before = state()
    with slicerApplication(a_headless_application) as application:
        application.openModule(EXAMPLE)
        assert runsInsideSlicer()
        assert slicer.modules.segmentations.name == "Segmentations"

    assert state() == before
    assert not runsInsideSlicer()
    assert not hasattr(slicer, "qMRMLNodeComboBox")


def test_it_can_be_installed_again(a_headless_application, a_scene):
    from Testing.harness.application.slicer_application import slicerApplication

    for _ in range(2):
        with slicerApplication(a_headless_application) as application:
            assert application.openModule(EXAMPLE).widget.calls == ["setup", "enter"]


def test_a_module_that_fails_to_set_up_is_closed_again(a_headless_application, a_scene, tmp_path):
    import slicer

    from Testing.harness.application.slicer_application import slicerApplication

    broken = tmp_path / "Broken.py"
    broken.write_text("""
from slicer.ScriptedLoadableModule import *
class Broken(ScriptedLoadableModule): pass
class BrokenWidget(ScriptedLoadableModuleWidget):
    def setup(self):
        raise RuntimeError("no torch")
""")
    before = state()
    with slicerApplication(a_headless_application) as application:
        with pytest.raises(RuntimeError, match="no torch"):
            application.openModule(broken)
        assert not hasattr(slicer.modules, "broken")
        assert application.modules == []
        assert "Broken" not in sys.modules
    assert state() == before
