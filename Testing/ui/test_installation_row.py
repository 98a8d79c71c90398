from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from Testing.harness.pythonqt.driver import clickOn, whileModal
from Testing.installation.fake_world import EVERYTHING, FakeInstaller, FakeMachine, FakeStore


@pytest.fixture
def machine():
    return FakeMachine(EVERYTHING)


@pytest.fixture
def installer(machine):
    return FakeInstaller(machine)


@pytest.fixture
def makeRow(slicer_application, machine, installer, no_error_in_slots):
    """The settings page with the rows of this computer; returns its widgets."""
    import slicer

    from MemorizingSAM3DLib.engine.resources import resource_path
    from MemorizingSAM3DLib.ui.installation_row import InstallationRow

    made = []

    def make():
        page = slicer.util.loadUI(str(resource_path("UI", "Settings.ui")))
        ui = slicer.util.childWidgetVariables(page)
        made.append((page, InstallationRow(ui, machine, installer, FakeStore())))
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
    monkeypatch.setitem(sys.modules, "MemorizingSAM3DLib.engine.cuda_check", fake)
    return asked


def test_the_page_says_that_everything_is_there(makeRow):
    assert makeRow().packagesStateLabel.text == "Every package is there; PyTorch 2.13.0+cu130."


def test_the_page_lists_what_is_wrong(makeRow, machine):
    del machine.versions["rich"]
    machine.versions["torch"] = "2.8"

    assert makeRow().packagesStateLabel.text.splitlines() == [
        "rich: missing",
        "torch: version 2.8, 2.10 or later is needed",
    ]


def test_accelerators_that_are_there_are_named(makeRow, machine):
    machine.modules.add("faiss")

    assert "Also: faiss." in makeRow().packagesStateLabel.text


def test_the_gpu_is_not_looked_for_before_it_is_asked_for(makeRow, a_gpu):
    ui = makeRow()
    assert ui.gpuStateLabel.text == "Not checked yet."
    assert a_gpu == []

    clickOn(ui.checkPackagesButton)
    assert ui.gpuStateLabel.text == "NVIDIA Test 1 computes (sm_86)."


def test_checking_imports_what_looks_whole(makeRow, machine, a_gpu):
    machine.import_problems["torch"] = "OSError: [WinError 126]"
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


def test_repair_installs_anew_what_cannot_be_imported(makeRow, machine, installer, a_gpu):
    machine.import_problems["safetensors"] = "ImportError: DLL load failed"
    ui = makeRow()
    clickOn(ui.checkPackagesButton)
    whileModal(lambda: clickOn(ui.repairPackagesButton), repairing)

    assert installer.done == ["remove safetensors", "safetensors"]
    assert ui.packagesStateLabel.text.startswith("Every package is there")


def test_repair_of_a_whole_installation_renews_pytorch(makeRow, installer):
    ui = makeRow()
    whileModal(lambda: clickOn(ui.repairPackagesButton), repairing)

    assert installer.done == ["remove torch", "torch"]
