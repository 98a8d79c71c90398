from __future__ import annotations

import sys
import time

import pytest
import torch

from MemorizingSAM3DLib.engine.errors import CheckpointError
from MemorizingSAM3DLib.engine.models.store import ModelState
from MemorizingSAM3DLib.scene.compute.model_manager import MissingPackageError, ModelManager
from Testing.engine.file_server import PIECE
from Testing.engine.model_host import TURBO, UNVERIFIED
from Testing.engine.small_networks import SMALL_FASTSAM3D, small_state

LICENCE = "Apache-2.0"


class Heard:
    """A manager, and all that it has said."""

    def __init__(self, folder):
        self.manager = ModelManager(str(folder))
        self.messages, self.progress, self.changes, self.done, self.wakes = [], [], [], [], 0
        manager = self.manager
        manager.failed.connect(self.messages.append)
        manager.progressChanged.connect(lambda: self.progress.append((manager.text, manager.fraction)))
        manager.changed.connect(lambda: self.changes.append(manager.isBusy))
        manager.wakeUp.connect(self._wake)

    def _wake(self):
        self.wakes += 1

    def settle(self):
        while self.manager.poll(0.01):
            pass

    def state(self, name):
        return next(model.state for model in self.manager.models() if model.entry.name == name)


@pytest.fixture
def heard(a_host):
    heard = Heard(a_host.folder)
    yield heard
    heard.manager.close()


@pytest.fixture
def hanging(heard, a_host):
    """A download that waits in the middle."""
    a_host.server.hang_after = 3 * PIECE
    heard.manager.download(TURBO, LICENCE, lambda: heard.done.append(TURBO))
    assert a_host.server.hangs.wait(20)
    return heard


def waitForPart(heard):
    part = heard.manager.store.folder / "sam_med3d_turbo.pth.part"
    end = time.monotonic() + 20
    while not part.exists() or part.stat().st_size < PIECE:
        assert time.monotonic() < end, "nothing comes"
        heard.manager.poll(0.01)


def test_a_download_is_told_of_from_its_beginning_to_its_end(heard):
    heard.manager.download(TURBO, LICENCE, lambda: heard.done.append(TURBO))
    assert heard.manager.isBusy
    assert heard.wakes == 1
    heard.settle()

    assert heard.done == [TURBO]
    assert heard.messages == []
    assert heard.changes == [True, False]
    assert heard.state(TURBO) is ModelState.HERE
    assert (heard.manager.text, heard.manager.fraction, heard.manager.isBusy) == ("", None, False)


def test_progress_comes_while_it_is_downloaded(hanging, a_host):
    waitForPart(hanging)
    end = time.monotonic() + 20
    while not hanging.manager.fraction:
        assert time.monotonic() < end, "no progress"
        hanging.manager.poll(0.01)

    assert hanging.manager.text.startswith("Downloading SAM-Med3D turbo: ")
    assert 0 < hanging.manager.fraction < 1
    assert hanging.done == []
    a_host.server.go_on.set()
    hanging.settle()
    assert hanging.done == [TURBO]


def test_a_cancelled_download_is_no_failure_and_keeps_its_part(hanging, a_host):
    waitForPart(hanging)
    hanging.manager.cancel()
    assert hanging.manager.isStopping
    a_host.server.go_on.set()
    hanging.settle()

    assert (hanging.messages, hanging.done) == ([], [])
    assert not hanging.manager.isStopping
    assert hanging.changes[-1] is False
    assert hanging.state(TURBO) is ModelState.PARTLY


def test_after_a_cancelled_download_the_next_goes_on(hanging, a_host):
    waitForPart(hanging)
    hanging.manager.cancel()
    a_host.server.go_on.set()
    hanging.settle()
    hanging.manager.download(TURBO, LICENCE, lambda: hanging.done.append(TURBO))
    hanging.settle()

    assert hanging.done == [TURBO]
    assert a_host.server.requests[-1][1] == 206


def test_a_failure_is_told_in_words_and_the_next_work_goes_on(heard, a_host):
    a_host.serve(TURBO, b"something else" * 1000)
    heard.manager.download(TURBO, LICENCE, lambda: heard.done.append(TURBO))
    heard.settle()
    assert ["SHA-256 is wrong" in message for message in heard.messages] == [True]
    assert heard.done == []

    heard.manager.download(UNVERIFIED, LICENCE, lambda: heard.done.append(UNVERIFIED))
    heard.settle()
    assert heard.done == [UNVERIFIED]


def test_a_licence_that_was_not_accepted_fetches_nothing(heard, a_host):
    heard.manager.download(TURBO, "MIT", lambda: heard.done.append(TURBO))
    heard.settle()

    assert ["not accepted. Nothing was downloaded." in message for message in heard.messages] == [True]
    assert (heard.done, a_host.server.requests) == ([], [])


def test_work_has_ended_when_its_end_is_told(heard):
    seen = []
    heard.manager.download(TURBO, LICENCE, lambda: seen.append((heard.manager.isBusy, heard.manager.text)))
    heard.settle()

    assert seen == [(False, "")]


def test_a_model_is_checked_by_name_or_by_path(heard, a_host, tmp_path):
    a_host.put(TURBO)
    torch.save(small_state(SMALL_FASTSAM3D), tmp_path / "mine.pth")
    for source in (TURBO, str(tmp_path / "mine.pth")):
        heard.manager.check(source, heard.done.append)
    heard.settle()

    assert [(found.title, found.family) for found in heard.done] == [
        ("SAM-Med3D turbo", "sam_med3d"),
        ("mine.pth", "fastsam3d"),
    ]


def test_a_damaged_model_is_told_in_words(heard, a_host):
    a_host.put(TURBO).write_bytes(b"damaged")
    heard.manager.check(TURBO, heard.done.append)
    heard.settle()

    assert ["changed or damaged" in message for message in heard.messages] == [True]
    assert heard.done == []


def test_removing_and_forgetting_happen_at_once(heard, a_host, tmp_path):
    a_host.put(TURBO)
    size = len(a_host.contents[TURBO])
    assert heard.manager.remove(TURBO) == size
    assert heard.changes == [False]
    assert heard.state(TURBO) is ModelState.ABSENT
    with pytest.raises(CheckpointError):
        heard.manager.remove(TURBO)

    own = tmp_path / "mine.pth"
    torch.save(small_state(SMALL_FASTSAM3D), own)
    heard.manager.check(str(own), heard.done.append)
    heard.settle()
    assert heard.manager.forgetFile(str(own)) > 0
    assert own.is_file()
    assert list(a_host.folder.iterdir()) == []


def test_a_closed_manager_delivers_nothing_and_does_not_wait_for_a_hanging_connection(hanging, a_host):
    hanging.manager.close()
    assert not hanging.manager.isBusy
    a_host.server.go_on.set()
    hanging.settle()

    assert (hanging.done, hanging.messages) == ([], [])


def test_another_manager_waits_for_the_download_of_a_closed_one(hanging, a_host):
    """The user closes the window while the connection hangs, opens it again, and goes on."""
    waitForPart(hanging)
    hanging.manager.close()
    again = Heard(a_host.folder)
    a_host.server.hang_after = None
    again.manager.download(TURBO, LICENCE, lambda: again.done.append(TURBO))
    a_host.server.go_on.set()
    again.settle()

    assert (again.done, again.messages) == ([TURBO], [])
    assert again.state(TURBO) is ModelState.HERE
    again.manager.close()


def test_a_missing_package_is_named_before_anything_begins(heard, monkeypatch):
    for name in ("store", "download"):
        monkeypatch.delitem(sys.modules, f"MemorizingSAM3DLib.engine.models.{name}")
    monkeypatch.setitem(sys.modules, "pooch", None)
    for use in (
        heard.manager.models,
        lambda: heard.manager.download(TURBO, LICENCE, lambda: None),
        lambda: heard.manager.check(TURBO, lambda checked: None),
        lambda: heard.manager.remove(TURBO),
    ):
        with pytest.raises(MissingPackageError, match=r"\(.*pooch.*\)\. Press 'Install\.\.\.' on top"):
            use()
    assert not heard.manager.isBusy
