from __future__ import annotations

import importlib
import subprocess
import sys
import textwrap
from types import SimpleNamespace

import pytest

from MemorizingSAM3DLib.installation import installation
from MemorizingSAM3DLib.installation.plan import Choice
from Testing.harness.pythonqt.driver import clickOn, processEvents, whileModal
from Testing.harness.pythonqt.looks import cutOffWidgets, grab
from Testing.harness.pythonqt.wrapping import unwrap
from Testing.installation.fake_world import EVERYTHING, FakeInstaller, FakeMachine, FakeStore
from Testing.ui.conftest import MODULE_FILE

BLOCKED = ("torch", "safetensors", "jsonschema", "pooch", "requests", "rich", "typer", "nibabel")


@pytest.fixture
def machine(slicer_application, monkeypatch):
    """The computer that the panel sees: a new Slicer."""
    fake = FakeMachine()
    fake.installer = FakeInstaller(fake)
    banner = importlib.import_module("MemorizingSAM3DLib.ui.installation.banner")
    monkeypatch.setattr(banner, "ThisPython", lambda: fake)
    monkeypatch.setattr(banner, "SlicerInstaller", lambda machine: fake.installer)
    return fake


@pytest.fixture
def a_new_slicer(machine, a_module):
    """The module, open in a Slicer without any of the packages."""
    return a_module


def install(dialog):
    import slicer

    ui = slicer.util.childWidgetVariables(dialog)
    clickOn(ui.installButton)
    clickOn(ui.closeButton)


def test_with_everything_there_nobody_sees_it(ui):
    assert not ui.installFrame.visible


def test_a_new_slicer_shows_what_is_missing(machine, ui):
    assert ui.installFrame.visible
    assert ui.installLabel.text == (
        "Packages are missing that segmenting needs: safetensors, jsonschema, pooch, rich, typer, nibabel, PyTorch."
    )


def test_damage_is_named(machine, ui, a_module):
    machine.versions = dict(EVERYTHING)
    machine.damages["torch"] = "2 of its files are missing"
    a_module.exit()
    a_module.enter()

    assert ui.installLabel.text == "Packages do not work: PyTorch (2 of its files are missing)."


def test_opening_the_module_installs_nothing_and_asks_nothing(machine, ui, slicer_application):
    processEvents()

    assert machine.installer.done == []
    assert slicer_application.dialogs.shown == []


def test_a_click_asks_installs_and_the_banner_goes(machine, ui):
    whileModal(lambda: clickOn(ui.installButton), install)

    assert machine.installer.done[-1] == "torch"
    assert not ui.installFrame.visible


def test_thinking_better_of_it_changes_nothing(machine, ui):
    whileModal(lambda: clickOn(ui.installButton), lambda dialog: dialog.reject())

    assert machine.installer.done == []
    assert ui.installFrame.visible


def test_what_was_installed_elsewhere_is_seen_when_the_module_is_opened_again(machine, ui, a_module):
    a_module.exit()
    machine.versions = dict(EVERYTHING)
    a_module.enter()

    assert not ui.installFrame.visible


def test_no_scan_is_prepared_before_the_packages_are_there(
    machine, slicer_application, controller, a_volume_node, no_error_in_slots
):
    import slicer

    selection = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSelectionNode")
    selection.SetActiveVolumeID(a_volume_node.GetID())
    ui = slicer_application.openModule(MODULE_FILE, width=350, height=1000).widget.ui
    assert controller.scanNode is None

    whileModal(lambda: clickOn(ui.installButton), install)
    assert controller.scanNode is a_volume_node


def test_with_a_main_window_the_dialog_belongs_to_it(machine, slicer_application, controller, no_error_in_slots):
    window = slicer_application.openMainWindow()
    ui = slicer_application.openModule(MODULE_FILE, width=350, height=1000).widget.ui
    parents = []

    def look(dialog):
        parents.append(unwrap(dialog).parentWidget())
        dialog.reject()

    whileModal(lambda: clickOn(ui.installButton), look)
    assert parents == [window]


def test_after_a_restart_the_installation_goes_on(machine, slicer_application, controller, no_error_in_slots):
    from MemorizingSAM3DLib.ui.settings import SettingsStore

    installation.keep(SettingsStore(), Choice(cpu_only=True))
    finished = []

    def look(dialog):
        finished.append(dialog.windowTitle)
        dialog.accept()

    whileModal(lambda: slicer_application.openModule(MODULE_FILE, width=350, height=1000), look)

    assert finished == ["MemorizingSAM3D: install packages"]
    assert machine.installer.done[-1] == "torch for the CPU"
    assert SettingsStore().read() == ""


@pytest.mark.parametrize("width", [350, 500])
def test_nothing_is_cut_off(a_new_slicer, tmp_path, width):
    a_new_slicer.resize(width, 1700)
    grab(a_new_slicer.parent, tmp_path / f"banner-{width}.png")

    assert cutOffWidgets(a_new_slicer.parent) == []


def test_the_button_says_what_it_does_and_that_it_asks_first(machine, ui):
    assert "before you agree" in ui.installButton.toolTip


def test_a_slicer_without_the_packages_opens_the_module_and_shows_the_banner(tmp_path):
    """In a process of its own, in which none of them can be imported or found."""
    script = f"""
        import importlib.metadata, sys
        sys.path.insert(0, {str(MODULE_FILE.parent.parent)!r})
        blocked = set({BLOCKED!r})

        class Blocker:
            @staticmethod
            def find_spec(name, path=None, target=None):
                if name.partition(".")[0] in blocked:
                    raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

        real = importlib.metadata.distribution
        def distribution(name):
            if name in blocked:
                raise importlib.metadata.PackageNotFoundError(name)
            return real(name)

        from MemorizingSAM3DLib.scene.headless.application import headlessApplication
        from Testing.harness.application.slicer_application import slicerApplication
        from Testing.harness.pythonqt.errors import takeRecordedErrors
        headless = headlessApplication()
        with slicerApplication(headless) as application:
            for name in [name for name in sys.modules if name.partition(".")[0] in blocked]:
                del sys.modules[name]
            sys.meta_path.insert(0, Blocker)
            importlib.metadata.distribution = distribution
            opened = application.openModule({str(MODULE_FILE)!r})
            ui = opened.widget.ui
            assert not takeRecordedErrors()
            assert ui.insideButton.visible and ui.installFrame.visible
            assert ui.installButton.enabled
            assert not application.dialogs.shown
            print(ui.installLabel.text)
            opened.close()
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=170, cwd=tmp_path
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    for name in (*BLOCKED[1:], "PyTorch"):
        assert name in ended.stdout


@pytest.fixture
def a_machine():
    return FakeMachine(EVERYTHING)


@pytest.fixture
def installer(a_machine):
    return FakeInstaller(a_machine)


@pytest.fixture
def makeRow(slicer_application, a_machine, installer, no_error_in_slots):
    """The settings page with the rows of this computer; returns its widgets."""
    import slicer

    from MemorizingSAM3DLib.engine.files import resource_path
    from MemorizingSAM3DLib.ui.installation.banner import InstallationRow

    made = []

    def make():
        page = slicer.util.loadUI(str(resource_path("UI", "Settings.ui")))
        ui = slicer.util.childWidgetVariables(page)
        made.append((page, InstallationRow(ui, a_machine, installer, FakeStore())))
        page.show()
        return ui

    yield make
    for page, row in made:
        row.close()
        page.hide()
        page.deleteLater()


@pytest.fixture
def a_gpu(monkeypatch):
    """How often the GPU was looked for."""
    asked = []
    fake = SimpleNamespace(check_cuda=lambda: asked.append(1) or "NVIDIA Test 1 computes (sm_86).")
    monkeypatch.setitem(sys.modules, "MemorizingSAM3DLib.engine.runtime.cuda_check", fake)
    return asked


def test_the_page_says_that_everything_is_there(makeRow):
    assert makeRow().packagesStateLabel.text == "Every package is there; PyTorch 2.13.0+cu130."


def test_the_page_lists_what_is_wrong(makeRow, a_machine):
    del a_machine.versions["rich"]
    a_machine.versions["torch"] = "2.8"

    assert makeRow().packagesStateLabel.text.splitlines() == [
        "rich: missing",
        "torch: version 2.8, 2.10 or later is needed",
    ]


def test_accelerators_that_are_there_are_named(makeRow, a_machine):
    a_machine.modules.add("faiss")

    assert "Also: faiss." in makeRow().packagesStateLabel.text


def test_the_gpu_is_not_looked_for_before_it_is_asked_for(makeRow, a_gpu):
    ui = makeRow()
    assert ui.gpuStateLabel.text == "Not checked yet."
    assert a_gpu == []

    clickOn(ui.checkPackagesButton)
    assert ui.gpuStateLabel.text == "NVIDIA Test 1 computes (sm_86)."


def test_checking_imports_what_looks_whole(makeRow, a_machine, a_gpu):
    a_machine.import_problems["torch"] = "OSError: [WinError 126]"
    ui = makeRow()
    clickOn(ui.checkPackagesButton)

    assert "torch: it cannot be imported: OSError: [WinError 126]" in ui.packagesStateLabel.text
    assert ui.gpuStateLabel.text == "Not known without PyTorch."
    assert a_gpu == []


def repairing(dialog):
    import slicer

    ui = slicer.util.childWidgetVariables(dialog)
    clickOn(ui.installButton)
    clickOn(ui.closeButton)


def test_repair_installs_anew_what_cannot_be_imported(makeRow, a_machine, installer, a_gpu):
    a_machine.import_problems["safetensors"] = "ImportError: DLL load failed"
    ui = makeRow()
    clickOn(ui.checkPackagesButton)
    whileModal(lambda: clickOn(ui.repairPackagesButton), repairing)

    assert installer.done == ["remove safetensors", "safetensors"]
    assert ui.packagesStateLabel.text.startswith("Every package is there")


def test_repair_of_a_whole_installation_renews_pytorch(makeRow, installer):
    ui = makeRow()
    whileModal(lambda: clickOn(ui.repairPackagesButton), repairing)

    assert installer.done == ["remove torch", "torch"]
