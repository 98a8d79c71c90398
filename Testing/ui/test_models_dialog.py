"""The window of models on a host of this computer, by mouse."""

from __future__ import annotations

import errno
import sys
from pathlib import Path

import pytest
import torch

from MemorizingSAM3DLib.engine.networks.sam3d import build_network
from Testing.engine.file_server import PIECE
from Testing.engine.model_host import SHIPPED, TURBO, UNVERIFIED
from Testing.engine.small_networks import SMALL_FASTSAM3D, SMALL_NATIVE, small_state
from Testing.harness.application.waiting import waitFor
from Testing.harness.pythonqt.driver import CannotDoThat, clickOn, clickOnCell
from Testing.harness.pythonqt.looks import cutOffWidgets, grab, tabOrder

TITLES = {SHIPPED: "MemorizingSAM3D, native 4", TURBO: "SAM-Med3D turbo", UNVERIFIED: "FastSAM3D"}
STATE = 4  # the column


@pytest.fixture
def settings(slicer_application, a_host):
    """Slicer's settings, with the folder of models set."""
    from MemorizingSAM3DLib.ui import settings

    slicer_application.settings.setValue(settings.CACHE_FOLDER, str(a_host.folder))
    return settings


class Window:
    """The window, as its user has it."""

    def __init__(self):
        from MemorizingSAM3DLib.ui.models_dialog import ModelsDialog

        self.models = ModelsDialog()
        self.ui = self.models.ui
        self.models.show()

    def rows(self):
        table = self.ui.modelTable
        return [[table.item(row, column).text() for column in range(5)] for row in range(table.rowCount)]

    def row(self, title):
        return next(row for row in self.rows() if row[0] == title)

    def select(self, title):
        clickOnCell(self.ui.modelTable, [row[0] for row in self.rows()].index(title), 0)

    def press(self, button, title=None):
        if title is not None:
            self.select(title)
        clickOn(button)

    def settle(self):
        waitFor(lambda: not self.models.manager.isBusy, 20, "the work to end")

    def download(self, title):
        self.press(self.ui.downloadButton, title)
        self.settle()

    @property
    def error(self):
        return self.ui.errorLabel.text if self.ui.errorFrame.visible else ""


@pytest.fixture
def window(settings, no_error_in_slots):
    window = Window()
    yield window
    window.models.close()


@pytest.fixture
def answer(slicer_application):
    return slicer_application.dialogs.answer


@pytest.fixture
def an_own_file(tmp_path, monkeypatch):
    """A .pth of the user's own, which is what the file dialog returns."""
    torch.save(small_state(SMALL_FASTSAM3D), tmp_path / "mine.pth")
    chooseInFileDialog(monkeypatch, str(tmp_path / "mine.pth"))
    return tmp_path / "mine.pth"


def chooseInFileDialog(monkeypatch, path):
    monkeypatch.setattr(sys.modules["MemorizingSAM3DLib.ui.models_dialog"], "askForFile", lambda parent: path)


def chosen():
    from MemorizingSAM3DLib.ui.settings import chosenModel

    return chosenModel().model


def test_at_first_the_shipped_model_is_in_use_and_selected(window):
    assert [row[0] for row in window.rows()][0] == TITLES[SHIPPED]
    assert window.row(TITLES[SHIPPED])[STATE] == "comes with the extension, in use"
    title, family, size, licence, state = window.row(TITLES[TURBO])
    assert (family, licence, state) == ("SAM-Med3D", "Apache-2.0", "not downloaded")
    assert size.endswith(" MB")
    assert window.models._selected.source == SHIPPED
    assert not window.ui.useButton.enabled and "It is in use." in window.ui.useButton.toolTip
    assert not window.ui.downloadButton.enabled
    assert not window.ui.removeButton.enabled
    assert window.error == ""


def test_every_model_says_where_it_comes_from_and_how_it_is_checked(window):
    window.select(TITLES[TURBO])
    assert "Its SHA-256 is checked." in window.ui.detailsLabel.text
    assert "Wang et al." in window.ui.detailsLabel.text
    window.select(TITLES[UNVERIFIED])
    assert "publish no SHA-256" in window.ui.detailsLabel.text
    assert "127.0.0.1" in window.ui.detailsLabel.text


def test_the_folder_for_those_without_internet_is_named(window, a_host):
    assert str(a_host.folder) in window.ui.offlineLabel.text


def test_a_download_asks_for_the_licence_and_then_the_model_can_be_used(window, answer, slicer_application, a_host):
    answer(True)
    window.download(TITLES[TURBO])
    question = slicer_application.dialogs.last
    assert question.kind == "yesNo" and "Apache-2.0" in question.text
    assert window.row(TITLES[TURBO])[STATE] == "downloaded"
    assert window.ui.busyLabel.text == "SAM-Med3D turbo is downloaded. Press Use to segment with it."
    assert chosen() == ""

    window.press(window.ui.useButton)
    window.settle()
    assert chosen() == TURBO
    assert window.row(TITLES[TURBO])[STATE] == "downloaded, in use"
    assert window.row(TITLES[SHIPPED])[STATE] == "comes with the extension"
    assert window.error == ""


def test_who_declines_the_licence_downloads_nothing(window, answer, a_host):
    answer(False)
    window.press(window.ui.downloadButton, TITLES[TURBO])

    assert not window.models.manager.isBusy
    assert a_host.server.requests == []
    assert window.row(TITLES[TURBO])[STATE] == "not downloaded"


def test_a_model_that_was_chosen_before_it_was_here_is_in_use_at_once(settings, answer, no_error_in_slots):
    settings.chooseModel(TURBO)
    window, heard = Window(), []
    assert window.row(TITLES[TURBO])[STATE] == "not downloaded, in use"
    settings.modelChosen.connect(lambda: heard.append(chosen()))
    answer(True)
    window.download(TITLES[TURBO])

    assert heard == [TURBO]
    assert window.ui.busyLabel.text == "SAM-Med3D turbo is downloaded, and in use."
    window.models.close()


def test_going_back_to_the_shipped_model_needs_no_check(window, settings, a_host):
    settings.chooseModel(TURBO)
    window.press(window.ui.useButton, TITLES[SHIPPED])

    assert not window.models.manager.isBusy
    assert chosen() == ""


def test_progress_is_shown_and_only_cancel_can_be_pressed(window, answer, a_host):
    a_host.server.hang_after = 3 * PIECE
    answer(True)
    window.press(window.ui.downloadButton, TITLES[TURBO])
    waitFor(lambda: window.ui.busyBar.value > 0, what="progress")

    assert "Downloading SAM-Med3D turbo: 0 of " in window.ui.busyLabel.text
    assert 0 < window.ui.busyBar.value < window.ui.busyBar.maximum
    for button in (window.ui.useButton, window.ui.downloadButton, window.ui.removeButton, window.ui.addFileButton):
        assert not button.enabled and "Something is being done already" in button.toolTip
    with pytest.raises(CannotDoThat):
        clickOn(window.ui.downloadButton)

    clickOn(window.ui.cancelButton)
    assert "being stopped" in window.ui.busyLabel.text
    assert not window.ui.cancelButton.enabled
    a_host.server.go_on.set()
    window.settle()
    assert window.error == ""
    assert window.row(TITLES[TURBO])[STATE] == "partly downloaded"


def test_a_cancelled_download_goes_on_and_says_so_before(window, answer, slicer_application, a_host):
    a_host.server.hang_after = 3 * PIECE
    answer(True, True)
    window.press(window.ui.downloadButton, TITLES[TURBO])
    waitFor(lambda: window.ui.busyBar.value > 0, what="progress")
    clickOn(window.ui.cancelButton)
    a_host.server.go_on.set()
    window.settle()
    assert window.ui.downloadButton.text == "Go on…"

    window.download(TITLES[TURBO])
    assert "are here already: the download goes on from there" in slicer_application.dialogs.last.text
    assert a_host.server.requests[-1][1] == 206
    assert window.row(TITLES[TURBO])[STATE] == "downloaded"


def test_a_cut_connection_is_told_and_the_next_try_goes_on(window, answer, a_host):
    a_host.server.cut_after = [3 * PIECE, 0]
    answer(True, True)
    window.download(TITLES[TURBO])
    assert "broke off" in window.error and "it goes on from there" in window.error

    window.download(TITLES[TURBO])
    assert window.error == ""
    assert window.row(TITLES[TURBO])[STATE] == "downloaded"


def test_a_wrong_checksum_is_told_and_nothing_stays(window, answer, a_host):
    a_host.serve(TURBO, a_host.contents[TURBO][:-1] + b"!")
    answer(True)
    window.download(TITLES[TURBO])

    assert "SHA-256 is wrong, and it was removed" in window.error
    assert window.row(TITLES[TURBO])[STATE] == "not downloaded"
    clickOn(window.ui.dismissErrorButton)
    assert window.error == ""


def test_without_a_network_the_remedy_is_told(window, answer, a_host):
    a_host.server.close()
    answer(True)
    window.download(TITLES[TURBO])

    assert "cannot be reached" in window.error
    assert f"copy it to {a_host.file(TURBO)}" in window.error


def test_a_damaged_file_is_not_used(window, a_host):
    a_host.put(TURBO).write_bytes(b"damaged")
    window.models.refresh()
    window.press(window.ui.useButton, TITLES[TURBO])
    window.settle()

    assert "changed or damaged" in window.error
    assert chosen() == ""


def test_removing_asks_and_frees_the_space(window, answer, slicer_application, a_host):
    a_host.put(TURBO)
    window.models.refresh()
    answer(False)
    window.press(window.ui.removeButton, TITLES[TURBO])
    assert a_host.file(TURBO).is_file()
    assert "Remove SAM-Med3D turbo from this computer? That frees" in slicer_application.dialogs.last.text
    assert "in use" not in slicer_application.dialogs.last.text

    answer(True)
    window.press(window.ui.removeButton, TITLES[TURBO])
    assert not a_host.file(TURBO).exists()
    assert window.ui.busyLabel.text.startswith("SAM-Med3D turbo is removed: ")
    assert window.row(TITLES[TURBO])[STATE] == "not downloaded"


def test_when_the_model_in_use_is_removed_the_shipped_one_takes_its_place(
    window, settings, answer, slicer_application, a_host
):
    a_host.put(TURBO)
    settings.chooseModel(TURBO)
    answer(True)
    window.press(window.ui.removeButton, TITLES[TURBO])

    assert "the model that comes with the extension takes its place" in slicer_application.dialogs.last.text
    assert chosen() == ""
    assert window.row(TITLES[SHIPPED])[STATE] == "comes with the extension, in use"


def test_a_file_that_another_program_uses_stays_in_use(window, settings, answer, a_host, monkeypatch):
    def in_use(file, missing_ok=False):
        raise PermissionError(errno.EACCES, "in use by another process", str(file))

    a_host.put(TURBO)
    settings.chooseModel(TURBO)
    answer(True)
    monkeypatch.setattr(Path, "unlink", in_use)
    window.press(window.ui.removeButton, TITLES[TURBO])

    assert "Close the programs that use it." in window.error
    assert chosen() == TURBO
    assert window.row(TITLES[TURBO])[STATE] == "downloaded, in use"


def test_a_pth_of_the_users_own_is_converted_and_used(window, an_own_file, a_host):
    window.press(window.ui.addFileButton)
    window.settle()

    assert chosen() == str(an_own_file)
    row = window.row("mine.pth")
    assert row[STATE] == "your file, in use"
    assert window.ui.busyLabel.text.startswith("mine.pth works, and is in use: ")
    assert window.models._selected.source == str(an_own_file)
    assert "Your file stays." in window.ui.detailsLabel.text
    assert [file.name.partition(".")[0] for file in a_host.folder.iterdir()] == ["mine"]


def test_removing_an_own_file_drops_only_its_converted_copy(window, an_own_file, answer, slicer_application, a_host):
    window.press(window.ui.addFileButton)
    window.settle()
    answer(True)
    window.press(window.ui.removeButton, "mine.pth")

    assert "Your own file stays where it is." in slicer_application.dialogs.last.text
    assert an_own_file.is_file()
    assert list(a_host.folder.iterdir()) == []
    assert "mine.pth" not in [row[0] for row in window.rows()]
    assert chosen() == ""


def test_removing_an_own_file_that_is_not_in_use_changes_no_choice(window, an_own_file, settings, answer, a_host):
    settings.chooseModelFile(str(an_own_file))
    a_host.put(TURBO)
    settings.chooseModel(TURBO)
    answer(True)
    window.press(window.ui.removeButton, "mine.pth")

    assert chosen() == TURBO
    assert settings.ownModelFile() == ""


def test_a_native_file_of_the_users_own_is_used_as_it_is(window, a_host, tmp_path, monkeypatch):
    from MemorizingSAM3DLib.engine.models.checkpoints import save_native

    save_native(build_network(SMALL_NATIVE), tmp_path / "mine.safetensors", {})
    chooseInFileDialog(monkeypatch, str(tmp_path / "mine.safetensors"))
    window.press(window.ui.addFileButton)
    window.settle()

    assert chosen() == str(tmp_path / "mine.safetensors")
    assert not a_host.folder.exists()


def test_a_file_that_is_no_model_is_told_and_not_chosen(window, tmp_path, monkeypatch):
    (tmp_path / "report.pth").write_text("no model " * 100)
    chooseInFileDialog(monkeypatch, str(tmp_path / "report.pth"))
    window.press(window.ui.addFileButton)
    window.settle()

    assert "no PyTorch" in window.error
    assert chosen() == ""
    assert "report.pth" not in [row[0] for row in window.rows()]


def test_who_chooses_no_file_changes_nothing(window, monkeypatch):
    chooseInFileDialog(monkeypatch, "")
    window.press(window.ui.addFileButton)

    assert not window.models.manager.isBusy
    assert (chosen(), window.error) == ("", "")


def test_an_own_file_that_is_gone_is_said_to_be(window, an_own_file, settings):
    settings.chooseModelFile(str(an_own_file))
    an_own_file.unlink()
    window.models.refresh()
    window.select("mine.pth")

    assert window.row("mine.pth")[STATE] == "your file, not found, in use"
    assert "not there any more" in window.ui.useButton.toolTip


def test_a_missing_package_is_told_and_nothing_can_be_pressed(settings, monkeypatch, no_error_in_slots):
    for name in ("store", "download"):
        monkeypatch.delitem(sys.modules, f"MemorizingSAM3DLib.engine.models.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "pooch", None)
    window = Window()

    assert "Press 'Install...' on top of the module's panel first." in window.error
    assert window.rows() == []
    assert not window.ui.offlineLabel.visible
    for button in (window.ui.useButton, window.ui.downloadButton, window.ui.removeButton, window.ui.cancelButton):
        assert not button.enabled
    window.models.close()


def test_without_pytorch_a_model_can_be_downloaded_and_using_it_says_what_is_missing(window, answer, monkeypatch):
    monkeypatch.setitem(sys.modules, "MemorizingSAM3DLib.engine.models.checkpoints", None)
    answer(True)
    window.download(TITLES[TURBO])
    assert window.error == ""
    window.press(window.ui.useButton, TITLES[TURBO])
    window.settle()

    assert "Without PyTorch and safetensors" in window.error
    assert chosen() == ""


def test_closing_the_window_ends_the_download_which_goes_on_in_the_next(window, answer, a_host):
    a_host.server.hang_after = 3 * PIECE
    answer(True, True)
    window.press(window.ui.downloadButton, TITLES[TURBO])
    waitFor(lambda: window.ui.busyBar.value > 0, what="progress")
    clickOn(window.ui.closeButton)
    assert not window.models.isOpen
    assert not window.models.manager.isBusy

    again = Window()
    a_host.server.hang_after = None
    a_host.server.go_on.set()
    again.download(TITLES[TURBO])
    assert [status for _range, status in a_host.server.requests] == [200, 206]
    assert again.row(TITLES[TURBO])[STATE] == "downloaded"
    again.models.close()


def test_the_panels_button_opens_one_window_and_a_choice_reaches_the_controller(
    ui, controller, a_module, a_host, slicer_application, an_own_file
):
    from MemorizingSAM3DLib.ui.settings import CACHE_FOLDER

    slicer_application.settings.setValue(CACHE_FOLDER, str(a_host.folder))
    clickOn(ui.advancedSection)
    clickOn(ui.modelsButton)
    models = a_module.widget.panel._models
    clickOn(ui.modelsButton)
    assert a_module.widget.panel._models is models and models.isOpen
    assert not models.dialog.modal  # the user works on while a model is downloaded

    clickOn(models.ui.addFileButton)
    waitFor(lambda: not models.manager.isBusy)
    assert controller.model.model == str(an_own_file)
    a_module.close()
    assert not models.isOpen


def test_in_front_of_modal_settings_the_window_is_modal(settings, no_error_in_slots):
    import qt

    from MemorizingSAM3DLib.ui.models_dialog import ModelsDialog

    parent = qt.QDialog()
    parent.setModal(True)
    models = ModelsDialog(parent)
    models.show()
    assert models.dialog.modal
    models.close()
    parent.deleteLater()


STATES = ("new", "downloading", "everything to say")


@pytest.fixture(params=STATES)
def a_state(request, window, settings, answer, a_host, tmp_path):
    """The window as a user meets it: new; while it downloads; with a long own file, a part and an error."""
    if request.param == "downloading":
        a_host.server.hang_after = 3 * PIECE
        answer(True)
        window.press(window.ui.downloadButton, TITLES[TURBO])
        waitFor(lambda: window.ui.busyBar.value > 0, what="progress")
    elif request.param == "everything to say":
        a_host.server.cut_after = [3 * PIECE, 0]
        answer(True)
        window.download(TITLES[UNVERIFIED])
        own = tmp_path / "SAM-Med3D fine-tuned on our own thorax and abdomen scans, epoch 199, best Dice.pth"
        own.write_bytes(bytes(1000))
        settings.chooseModelFile(str(own))
        window.select(TITLES[UNVERIFIED])
        assert window.error
    yield request.param
    a_host.server.go_on.set()


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_nothing_is_cut_off(a_state, window, tmp_path, scale):
    grab(window.models.dialog, tmp_path / f"models-{a_state}-{scale:g}.png", scale)

    assert cutOffWidgets(window.models.dialog) == []


def test_tab_goes_from_top_to_bottom(window):
    window.select(TITLES[TURBO])
    names = [widget.objectName for widget in tabOrder(window.models.dialog) if widget.objectName]

    wanted = ["modelTable", "downloadButton", "addFileButton", "closeButton"]
    assert [name for name in names if name in wanted] == wanted
