"""The dialog as a user meets it, on a computer and with an installer that the test controls."""

from __future__ import annotations

import json

import pytest

from MemorizingSAM3DLib.installation.installation import Result
from MemorizingSAM3DLib.installation.plan import Choice
from Testing.harness.pythonqt.driver import clickOn, whileModal
from Testing.harness.pythonqt.looks import cutOffWidgets, grab
from Testing.installation.fake_world import (
    EVERYTHING,
    FakeInstaller,
    FakeMachine,
    FakeStore,
    failing,
    make_complete_folder,
)


@pytest.fixture
def machine():
    return FakeMachine()


@pytest.fixture
def installer(machine):
    return FakeInstaller(machine)


@pytest.fixture
def store():
    return FakeStore()


@pytest.fixture
def openDialog(slicer_application, machine, installer, store, no_error_in_slots):
    """Opens the dialog, does `answer(ui)` in it, closes it if it is still open; returns the dialog."""
    import slicer

    from MemorizingSAM3DLib.ui.installation.dialog import InstallationDialog

    def open_(answer, resumed=None, **keywords):
        dialog = InstallationDialog(machine, installer, store, **keywords)
        ui = slicer.util.childWidgetVariables(dialog.widget)

        def respond(widget):
            answer(ui)
            if widget.visible:
                clickOn(ui.closeButton)

        whileModal(lambda: dialog.open(resumed), respond)
        return dialog

    return open_


def rows(ui):
    table = ui.packageTable
    return [[table.item(row, column).text() for column in range(4)] for row in range(table.rowCount)]


def test_before_anything_happens_it_says_what_why_how_large_and_where(openDialog, installer, machine):
    shown = {}

    def look(ui):
        shown.update(rows=rows(ui), summary=ui.summaryLabel.text, obstacle=ui.obstacleFrame.visible)

    dialog = openDialog(look)

    assert len(shown["rows"]) == 7
    assert shown["rows"][-1] == ["PyTorch 2.10 or later", "Computes the networks.", "2.5 GB", "download.pytorch.org"]
    assert "About 2.5 GB are downloaded" in shown["summary"]
    assert str(machine.folder) in shown["summary"]
    assert "200.0 GB are free" in shown["summary"]
    assert not shown["obstacle"]
    assert dialog.outcome is None
    assert installer.done == []


def test_one_press_installs_everything_and_nothing_more_is_asked(openDialog, installer, slicer_application):
    shown = {}

    def install(ui):
        clickOn(ui.installButton)
        shown.update(text=ui.progressLabel.text, install=ui.installButton.visible, restart=ui.restartButton.visible)

    dialog = openDialog(install)

    assert dialog.outcome.result is Result.DONE
    assert installer.done[-1] == "torch"
    assert shown["text"] == "Everything is installed. You can go on at once."
    assert (shown["install"], shown["restart"]) == (False, False)
    assert slicer_application.dialogs.shown == []


def test_pytorch_without_gpu_support_can_be_chosen_where_there_is_a_gpu(openDialog, installer):
    def choose(ui):
        clickOn(ui.cpuOnlyCheckBox)
        assert rows(ui)[-1][2] == "200 MB"
        clickOn(ui.installButton)

    openDialog(choose)

    assert installer.done[-1] == "torch for the CPU"


def test_without_a_gpu_there_is_nothing_to_choose(openDialog, machine):
    machine.nvidia = False
    shown = []
    openDialog(lambda ui: shown.append(ui.cpuOnlyCheckBox.visible))

    assert shown == [False]


def test_stop_takes_effect_after_the_current_package(openDialog, installer):
    def install(ui):
        installer.before = lambda name: clickOn(ui.closeButton) if name == "jsonschema" else None
        clickOn(ui.installButton)
        assert ui.progressLabel.text.startswith("Stopped. Installed: safetensors, jsonschema.")
        assert ui.installButton.text == "Try again"

    assert openDialog(install).outcome.result is Result.CANCELLED
    assert installer.done == ["safetensors", "jsonschema"]


def test_closing_the_window_while_it_works_stops_it_too(openDialog, installer):
    def install(ui):
        installer.before = lambda name: ui.closeButton.parent().reject() if name == "pooch" else None
        clickOn(ui.installButton)

    assert openDialog(install).outcome.result is Result.CANCELLED
    assert installer.done == ["safetensors", "jsonschema", "pooch"]


def test_progress_is_counted(openDialog, installer):
    seen = []

    def install(ui):
        installer.before = lambda name: seen.append((ui.progressBar.value, ui.progressLabel.text.partition(".")[0]))
        clickOn(ui.installButton)

    openDialog(install)

    assert seen[0] == (0, "1 of 7: safetensors (0")
    assert seen[-1] == (6, "7 of 7: PyTorch (2")


def test_what_stands_in_the_way_is_said_at_once(openDialog, installer):
    installer.has_torch_extension = False

    def look(ui):
        assert ui.obstacleFrame.visible
        assert "Extensions Manager" in ui.obstacleLabel.text
        assert not ui.installButton.enabled
        assert "Extensions Manager" in ui.installButton.toolTip

    assert openDialog(look).outcome is None


def test_a_failure_says_why_and_can_be_tried_again(openDialog, installer):
    def install(ui):
        installer.before = failing("typer", "getaddrinfo failed")
        clickOn(ui.installButton)
        assert "cannot be reached" in ui.obstacleLabel.text
        assert ui.progressLabel.text == "It did not work. Installed: safetensors, jsonschema, pooch, rich."
        installer.before = lambda name: None
        clickOn(ui.installButton)

    assert openDialog(install).outcome.result is Result.DONE


def test_a_declined_pytorch_is_not_called_an_error(openDialog, installer):
    installer.declines = True

    def install(ui):
        clickOn(ui.installButton)
        assert ui.progressLabel.text.startswith("PyTorch was declined")
        assert not ui.obstacleFrame.visible

    assert openDialog(install).outcome.result is Result.DECLINED


def test_a_package_in_use_leads_to_a_restart_and_what_was_agreed_is_kept(
    openDialog, machine, store, slicer_application
):
    machine.versions = {**EVERYTHING, "torch": "2.8"}
    machine.loaded.add("torch")

    def install(ui):
        clickOn(ui.cpuOnlyCheckBox)
        clickOn(ui.installButton)
        assert "goes on by itself" in ui.progressLabel.text
        clickOn(ui.restartButton)

    assert openDialog(install).outcome.result is Result.RESTART
    assert [request[0] for request in slicer_application.requests] == ["confirmRestart"]
    assert "not saved will be lost" in slicer_application.requests[0][1]
    assert json.loads(store.text)["choice"]["cpu_only"] is True


def test_later_leaves_slicer_running(openDialog, machine, store, slicer_application):
    machine.loaded.add("rich")

    def install(ui):
        clickOn(ui.installButton)
        assert ui.closeButton.text == "Later"

    openDialog(install)

    assert slicer_application.requests == []
    assert store.text == ""


def test_after_a_restart_it_goes_on_without_asking(openDialog, machine, installer):
    machine.versions = {**EVERYTHING, "torch": "2.8"}
    dialog = openDialog(lambda ui: None, resumed=Choice(cpu_only=True))

    assert dialog.outcome.result is Result.DONE
    assert installer.done == ["remove torch", "torch for the CPU"]


def test_everything_can_come_from_a_folder_with_a_model(openDialog, machine, installer, tmp_path):
    machine.online = False
    installer.has_torch_extension = False
    folder = make_complete_folder(tmp_path / "wheels")

    def install(ui):
        clickOn(ui.folderRadioButton)
        assert "Choose the folder" in ui.installButton.toolTip
        ui.folderEdit.currentPath = str(folder)
        assert {row[3] for row in rows(ui)} == {"wheels"}
        assert "Nothing is downloaded" in ui.summaryLabel.text
        assert ui.modelCheckBox.text == "Use the model our_model.safetensors"
        clickOn(ui.modelCheckBox)
        clickOn(ui.installButton)

    assert openDialog(install).outcome.result is Result.DONE
    assert installer.done[-1] == "torch from wheels"
    from MemorizingSAM3DLib.ui.settings import chosenModel

    assert chosenModel().model == str(folder / "our_model.safetensors")


def test_a_folder_that_lacks_a_wheel_is_refused_with_its_name(openDialog, installer, tmp_path):
    folder = make_complete_folder(tmp_path)
    (folder / "attrs-26.1.0-py3-none-any.whl").unlink()

    def look(ui):
        clickOn(ui.folderRadioButton)
        ui.folderEdit.currentPath = str(folder)
        assert "attrs 22.2.0 or later" in ui.obstacleLabel.text
        assert not ui.installButton.enabled

    openDialog(look)
    assert installer.done == []


def test_extras_are_not_offered_where_there_are_no_wheels(openDialog):
    shown = []
    openDialog(lambda ui: shown.extend([ui.faissCheckBox.visible, ui.flashAttentionCheckBox.visible]))

    assert shown == [False, False]


def test_an_extra_that_has_wheels_can_be_chosen(openDialog, machine, installer):
    machine.system = "Linux"

    def choose(ui):
        assert not ui.flashAttentionCheckBox.visible
        clickOn(ui.faissCheckBox)
        clickOn(ui.installButton)

    openDialog(choose)
    assert installer.done[-1] == "faiss-gpu"


def test_every_control_has_a_name_and_a_tooltip(openDialog):
    def look(ui):
        for name, control in vars(ui).items():
            if name.endswith(("Button", "CheckBox", "Edit", "Table")) and name != "modelCheckBox":
                assert getattr(control, "text", "") or control.accessibleName, name
                assert control.toolTip, name

    openDialog(look)


@pytest.mark.parametrize("case", ["new", "obstacles", "folder", "failed", "done"])
def test_nothing_is_cut_off(openDialog, machine, installer, tmp_path, case):
    def look(ui):
        if case == "folder":
            clickOn(ui.folderRadioButton)
            ui.folderEdit.currentPath = str(make_complete_folder(tmp_path / "wheels"))
        if case == "failed":
            installer.before = failing("torch", "")
            clickOn(ui.installButton)
        if case == "done":
            clickOn(ui.installButton)
        widget = ui.closeButton.window()
        grab(widget, tmp_path / f"installation-{case}.png")
        assert cutOffWidgets(widget) == []

    if case == "obstacles":
        installer.has_torch_extension = False
        machine.free = 1e9
    openDialog(look)
