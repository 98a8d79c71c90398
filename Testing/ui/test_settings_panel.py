from __future__ import annotations

import importlib
from types import SimpleNamespace

import pytest

from MemorizingSAM3DLib.scene.model_choice import ModelChoice
from Testing.harness.pythonqt.driver import choose, clickOn
from Testing.harness.pythonqt.looks import cutOffWidgets, grab
from Testing.ui.conftest import MODULE_FILE


@pytest.fixture
def a_page(slicer_application, no_error_in_slots):
    from MemorizingSAM3DLib.ui.settings_panel import SettingsPanel

    panel = SettingsPanel()
    panel.page.resize(520, 360)
    panel.page.show()
    yield panel
    panel.page.hide()
    panel.page.deleteLater()


@pytest.fixture
def page_ui(a_page):
    import slicer

    return slicer.util.childWidgetVariables(a_page.page)


def chosen():
    from MemorizingSAM3DLib.ui.settings import chosenModel

    return chosenModel()


def test_a_page_that_nobody_touched_is_the_default_choice(a_page):
    assert chosen() == ModelChoice()


def test_what_is_chosen_on_the_page_is_set(page_ui):
    choose(page_ui.modelComboBox, "SAM-Med3D turbo")
    choose(page_ui.deviceComboBox, "CPU")
    choose(page_ui.precisionComboBox, "Single (float32)")
    page_ui.threadsSpinBox.setValue(4)
    page_ui.cacheFolderEdit.currentPath = "/models"

    assert chosen() == ModelChoice("sam-med3d-turbo", "cpu", "float32", 4, "/models")


def test_the_model_that_is_shipped_is_set_as_none_in_particular(page_ui):
    choose(page_ui.modelComboBox, "FastSAM3D")
    choose(page_ui.modelComboBox, "MemorizingSAM3D, native 2 (comes with the extension)")

    assert chosen().model == ""


def test_a_file_of_ones_own_is_asked_for_only_when_it_is_the_model(page_ui):
    assert not page_ui.modelFileEdit.enabled
    assert "Choose 'A file'" in page_ui.modelFileEdit.toolTip

    choose(page_ui.modelComboBox, "A file")
    page_ui.modelFileEdit.currentPath = "/models/mine.safetensors"

    assert page_ui.modelFileEdit.enabled
    assert chosen().model == "/models/mine.safetensors"


def test_the_size_of_the_downloaded_models_is_measured_on_demand(page_ui, tmp_path):
    (tmp_path / "FastSAM3D.pth").write_bytes(b"0" * 3_000_000)
    page_ui.cacheFolderEdit.currentPath = str(tmp_path)
    clickOn(page_ui.cacheSizeButton)

    assert page_ui.cacheSizeLabel.text == f"3 MB in {tmp_path}"


def test_nothing_is_cut_off(a_page, tmp_path):
    grab(a_page.page, tmp_path / "settings.png")

    assert cutOffWidgets(a_page.page) == []


def test_the_page_is_added_once(slicer_application):
    import slicer

    from MemorizingSAM3DLib.ui.settings_panel import registerSettingsPage

    registerSettingsPage()
    registerSettingsPage()

    dialog = slicer_application.app.settingsDialog()
    assert len(slicer.util.findChildren(dialog, name="MemorizingSAM3DSettings")) == 1


def test_without_a_main_window_no_page_is_made(slicer_application, a_module, monkeypatch):
    import slicer

    calls = []
    page = importlib.import_module("MemorizingSAM3DLib.ui.settings_panel")
    monkeypatch.setattr(page, "registerSettingsPage", lambda: calls.append(1))
    slicer_application.completeStartup()
    assert calls == []

    monkeypatch.setattr(slicer.util, "mainWindow", lambda: SimpleNamespace())
    slicer_application.completeStartup()
    assert calls == [1]


def test_the_button_opens_the_page_and_a_change_reaches_the_controller(ui, controller, slicer_application):
    clickOn(ui.advancedSection)
    slicer_application.settings.setValue("MemorizingSAM3D/Device", "cpu")
    clickOn(ui.settingsButton)

    assert ("openSettingsDialog", "MemorizingSAM3D") in slicer_application.requests
    assert controller.model == ModelChoice(device="cpu")


def test_a_change_by_slicers_own_menu_arrives_when_the_dialog_is_closed(
    controller, slicer_application, monkeypatch, no_error_in_slots
):
    import slicer

    monkeypatch.setattr(slicer.util, "mainWindow", lambda: SimpleNamespace())
    slicer_application.openModule(MODULE_FILE)
    slicer_application.settings.setValue("MemorizingSAM3D/Threads", 2)
    slicer_application.app.settingsDialog().accept()

    assert controller.model == ModelChoice(threads=2)


def test_settings_that_did_not_change_load_nothing_anew(ui, controller, a_module):
    clickOn(ui.advancedSection)
    clickOn(ui.settingsButton)
    a_module.exit()
    a_module.enter()

    assert controller.model is None


def test_a_change_by_slicers_own_menu_arrives_when_the_module_is_opened(controller, a_module, slicer_application):
    a_module.exit()
    slicer_application.settings.setValue("MemorizingSAM3D/Threads", 2)
    a_module.enter()

    assert controller.model == ModelChoice(threads=2)
