from __future__ import annotations

import importlib
import sys
from types import SimpleNamespace

import pytest

from MemorizingSAM3DLib.scene.compute.model_choice import ModelChoice
from Testing.engine.model_host import TURBO
from Testing.harness.pythonqt.driver import choose, clickOn
from Testing.harness.pythonqt.looks import cutOffWidgets, grab
from Testing.ui.conftest import MODULE_FILE


@pytest.fixture
def a_new_page(slicer_application, no_error_in_slots):
    """Makes the page, with what is set at that moment."""
    from MemorizingSAM3DLib.ui.settings_page import SettingsPanel

    panels = []

    def make():
        panels.append(SettingsPanel())
        panels[-1].page.resize(520, 360)
        panels[-1].page.show()
        return panels[-1]

    yield make
    for panel in panels:
        panel.page.hide()
        panel.page.deleteLater()


@pytest.fixture
def a_page(a_new_page):
    return a_new_page()


@pytest.fixture
def page_ui(a_page):
    return controlsOf(a_page)


def controlsOf(panel):
    import slicer

    return slicer.util.childWidgetVariables(panel.page)


def entries(combo):
    return [combo.itemText(number) for number in range(combo.count)]


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
    choose(page_ui.modelComboBox, "MemorizingSAM3D, native 4 (comes with the extension)")

    assert chosen().model == ""


def test_a_file_of_ones_own_is_chosen_among_the_models(slicer_application, a_new_page, tmp_path):
    own = tmp_path / "mine.safetensors"
    own.touch()
    slicer_application.settings.setValue("MemorizingSAM3D/ModelFile", str(own))
    page_ui = controlsOf(a_new_page())
    choose(page_ui.modelComboBox, "mine.safetensors (your file)")

    assert chosen().model == str(own)
    assert not page_ui.modelStateLabel.visible


def test_the_page_asks_for_no_path_of_a_model(page_ui):
    assert not hasattr(page_ui, "modelFileEdit")
    assert [text for text in entries(page_ui.modelComboBox) if "file" in text.lower()] == []
    assert "use a file of your own" in page_ui.modelsButton.toolTip


def test_a_file_of_ones_own_that_is_gone_is_named(slicer_application, a_new_page):
    slicer_application.settings.setValue("MemorizingSAM3D/ModelFile", "/models/mine.safetensors")
    page_ui = controlsOf(a_new_page())
    choose(page_ui.modelComboBox, "mine.safetensors (your file)")

    assert page_ui.modelStateLabel.text == "There is no file /models/mine.safetensors any more."


def test_a_model_that_is_not_here_says_where_to_get_it(page_ui, a_host):
    page_ui.cacheFolderEdit.currentPath = str(a_host.folder)
    assert not page_ui.modelStateLabel.visible
    choose(page_ui.modelComboBox, "SAM-Med3D turbo")
    assert page_ui.modelStateLabel.visible
    assert page_ui.modelStateLabel.text == "It is not on this computer yet. Press Models to download it."

    choose(page_ui.modelComboBox, "MemorizingSAM3D, native 4 (comes with the extension)")
    assert not page_ui.modelStateLabel.visible


def test_a_model_that_is_here_needs_nothing(page_ui, a_host):
    a_host.put(TURBO)
    page_ui.cacheFolderEdit.currentPath = str(a_host.folder)
    choose(page_ui.modelComboBox, "SAM-Med3D turbo")

    assert not page_ui.modelStateLabel.visible


def test_without_the_packages_the_page_says_so_where_the_model_is(page_ui, monkeypatch):
    for name in ("store", "download"):
        monkeypatch.delitem(sys.modules, f"MemorizingSAM3DLib.engine.models.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "pooch", None)
    choose(page_ui.modelComboBox, "SAM-Med3D turbo")

    assert "is not installed yet" in page_ui.modelStateLabel.text
    assert chosen().model == "sam-med3d-turbo"


def test_a_choice_in_the_window_of_models_is_shown_on_the_page(page_ui, tmp_path):
    from MemorizingSAM3DLib.ui import settings

    settings.chooseModel("fastsam3d")
    assert page_ui.modelComboBox.currentText == "FastSAM3D"
    assert chosen().model == "fastsam3d"

    settings.chooseModelFile(str(tmp_path / "mine.safetensors"))
    assert page_ui.modelComboBox.currentText == "mine.safetensors (your file)"
    assert "There is no file" in page_ui.modelStateLabel.text

    settings.forgetModelFile()
    assert page_ui.modelComboBox.currentText == "MemorizingSAM3D, native 4 (comes with the extension)"
    assert "mine.safetensors (your file)" not in entries(page_ui.modelComboBox)
    assert chosen() == ModelChoice()


def test_the_models_button_opens_one_window(a_page, page_ui):
    clickOn(page_ui.modelsButton)
    models = a_page._models
    clickOn(page_ui.modelsButton)

    assert a_page._models is models and models.isOpen
    models.close()
    clickOn(page_ui.modelsButton)
    assert a_page._models is not models and a_page._models.isOpen
    a_page._models.close()


def test_the_size_of_the_downloaded_models_is_measured_on_demand(page_ui, tmp_path):
    (tmp_path / "FastSAM3D.pth").write_bytes(b"0" * 3_000_000)
    page_ui.cacheFolderEdit.currentPath = str(tmp_path)
    clickOn(page_ui.cacheSizeButton)

    assert page_ui.cacheSizeLabel.text == f"3 MB in {tmp_path}"


@pytest.mark.parametrize("scale", [1.0, 2.0])
@pytest.mark.parametrize("model", ["SAM-Med3D turbo", "MemorizingSAM3D, native 4 (comes with the extension)"])
def test_nothing_is_cut_off(a_page, page_ui, a_host, tmp_path, model, scale):
    page_ui.cacheFolderEdit.currentPath = str(a_host.folder)
    choose(page_ui.modelComboBox, model)
    grab(a_page.page, tmp_path / f"settings-{scale:g}.png", scale)

    assert cutOffWidgets(a_page.page) == []


def test_the_page_is_added_once(slicer_application):
    import slicer

    from MemorizingSAM3DLib.ui.settings_page import registerSettingsPage

    registerSettingsPage()
    registerSettingsPage()

    dialog = slicer_application.app.settingsDialog()
    assert len(slicer.util.findChildren(dialog, name="MemorizingSAM3DSettings")) == 1


def test_without_a_main_window_no_page_is_made(slicer_application, a_module, monkeypatch):
    import slicer

    calls = []
    page = importlib.import_module("MemorizingSAM3DLib.ui.settings_page")
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
