from __future__ import annotations

import errno
import os
import shutil
import sys
from collections import namedtuple
from pathlib import Path

import pytest
import torch

from MemorizingSAM3DLib.engine.errors import CheckpointError, EngineError, OutputError
from MemorizingSAM3DLib.engine.models.checkpoints import load, save_native
from MemorizingSAM3DLib.engine.models.store import LicenceError, ModelState, ModelStore
from MemorizingSAM3DLib.engine.networks.sam3d import build_network
from MemorizingSAM3DLib.engine.runtime.worker import CancelledError
from Testing.engine.model_host import SHIPPED, TURBO, UNVERIFIED
from Testing.engine.small_networks import SMALL_FASTSAM3D, SMALL_NATIVE, small_state

LICENCE = "Apache-2.0"


def quiet(_text, _fraction):
    pass


@pytest.fixture
def a_store(a_host):
    return ModelStore(a_host.folder)


@pytest.fixture
def an_own_file(tmp_path):
    torch.save(small_state(SMALL_FASTSAM3D), tmp_path / "mine.pth")
    return tmp_path / "mine.pth"


def stored(store, name):
    return next(model for model in store.models() if model.entry.name == name)


def state(store, name):
    return stored(store, name).state


def names(folder):
    return sorted(os.listdir(folder)) if folder.exists() else []


def without_pytorch(monkeypatch):
    monkeypatch.setitem(sys.modules, "MemorizingSAM3DLib.engine.models.checkpoints", None)


def test_a_new_store_has_the_shipped_model_and_makes_no_folder(a_store, a_host):
    assert state(a_store, SHIPPED) is ModelState.SHIPPED
    assert stored(a_store, SHIPPED).path.is_file()
    assert {model.state for model in a_store.models()} == {ModelState.SHIPPED, ModelState.ABSENT}
    assert {model.size for model in a_store.models() if not model.entry.shipped} == {0}
    assert not a_host.folder.exists()


@pytest.mark.parametrize("name", [TURBO, UNVERIFIED])
def test_a_downloaded_model_is_converted_and_works(a_store, a_host, name):
    told = []
    path = a_store.download(name, LICENCE, lambda text, fraction: told.append((text, fraction)))

    assert path == a_host.file(name)
    assert path.read_bytes() == a_host.contents[name]
    model, entry = stored(a_store, name), a_host.entry(name)
    assert model.state is ModelState.HERE
    assert model.size > 1.5 * len(a_host.contents[name])  # with its conversion
    assert told[0][0].startswith(f"Downloading {entry.title}: 0 of ")
    assert told[-1] == (f"Converting {entry.title}", None)
    assert max(fraction for _text, fraction in told if fraction is not None) == 1.0
    assert a_store.check(name, quiet).family == entry.family


def test_what_is_here_is_not_fetched_again(a_store, a_host):
    a_store.download(TURBO, LICENCE, quiet)
    a_store.download(TURBO, LICENCE, quiet)

    assert len(a_host.server.requests) == 1


@pytest.mark.parametrize("licence", ["", "MIT", "apache-2.0"])
def test_without_the_accepted_licence_nothing_is_fetched(a_store, a_host, licence):
    with pytest.raises(LicenceError, match=r"licence Apache-2\.0, which was not accepted\. Nothing was downloaded"):
        a_store.download(TURBO, licence, quiet)

    assert a_host.server.requests == []
    assert not a_host.folder.exists()


def test_a_wrong_checksum_leaves_nothing(a_store, a_host):
    a_host.serve(TURBO, a_host.contents[TURBO][:-1] + b"!")
    with pytest.raises(CheckpointError, match="its SHA-256 is wrong, and it was removed"):
        a_store.download(TURBO, LICENCE, quiet)

    assert names(a_host.folder) == []
    assert state(a_store, TURBO) is ModelState.ABSENT


def test_a_file_without_a_checksum_that_is_no_model_is_removed(a_store, a_host):
    a_host.serve(UNVERIFIED, b"<html>Please log in.</html>" * 100)
    with pytest.raises(CheckpointError, match=r"sent cannot be used, and was removed\."):
        a_store.download(UNVERIFIED, LICENCE, quiet)

    assert names(a_host.folder) == []


def test_a_cut_connection_keeps_the_part_and_the_next_try_goes_on(a_store, a_host):
    size = len(a_host.contents[TURBO])
    a_host.server.cut_after = [size // 2, 0]
    with pytest.raises(CheckpointError, match=r"broke off .* are kept: try again, and it goes on from there"):
        a_store.download(TURBO, LICENCE, quiet)
    model = stored(a_store, TURBO)
    assert model.state is ModelState.PARTLY
    assert 0 < model.part <= size // 2
    assert model.size >= model.part

    told = []
    a_store.download(TURBO, LICENCE, lambda text, fraction: told.append(fraction))
    assert a_host.server.requests[-1] == (f"bytes={model.part}-", 206)
    assert told[0] == pytest.approx(model.part / size)  # where it stopped, and not at nothing
    assert (state(a_store, TURBO), stored(a_store, TURBO).part) == (ModelState.HERE, 0)


def test_a_cancelled_download_is_kept_to_go_on_from(a_store, a_host):
    def cancel(_text, fraction):
        if fraction is not None and fraction > 0.3:
            raise CancelledError

    with pytest.raises(CancelledError):
        a_store.download(TURBO, LICENCE, cancel)
    assert state(a_store, TURBO) is ModelState.PARTLY

    a_store.download(TURBO, LICENCE, quiet)
    assert [status for _range, status in a_host.server.requests] == [200, 206]


def test_cancelled_before_its_conversion_a_download_is_whole(a_store):
    def cancel(text, _fraction):
        if text.startswith("Converting"):
            raise CancelledError

    with pytest.raises(CancelledError):
        a_store.download(TURBO, LICENCE, cancel)

    assert state(a_store, TURBO) is ModelState.HERE
    assert a_store.check(TURBO, quiet).family == "sam_med3d"


def test_the_disk_must_have_room_for_the_converted_form_too(a_store, a_host, monkeypatch):
    usage = namedtuple("usage", "total used free")
    free = len(a_host.contents[TURBO]) * 3 // 2
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: usage(2**40, 2**40 - free, free))
    with pytest.raises(CheckpointError, match=r"its converted form included, but .* MB left\. Make room, or choose"):
        a_store.download(TURBO, LICENCE, quiet)

    assert a_host.server.requests == []


def test_a_conversion_that_cannot_be_written_does_not_cost_the_download(a_store, a_host, tmp_path):
    twin = ModelStore(tmp_path / "twin")
    twin.download(TURBO, LICENCE, quiet)
    converted = next(name for name in names(twin.folder) if name.endswith(".safetensors"))
    (a_host.folder / converted).mkdir(parents=True)  # in the way
    with pytest.raises(OutputError):
        a_store.download(TURBO, LICENCE, quiet)

    assert state(a_store, TURBO) is ModelState.HERE
    (a_host.folder / converted).rmdir()
    a_store.download(TURBO, LICENCE, quiet)
    assert len(a_host.server.requests) == 2  # the twin's, and one here


@pytest.mark.skipif(os.name == "nt", reason="Windows does not remove a file that is written")
def test_a_part_that_is_removed_meanwhile_is_named(a_store, a_host):
    part = a_host.file(TURBO).with_name(a_host.file(TURBO).name + ".part")
    with pytest.raises(CheckpointError, match=r"\.part was removed while SAM-Med3D turbo was downloaded"):
        a_store.download(TURBO, LICENCE, lambda _text, _fraction: part.unlink(missing_ok=True))


def test_without_a_network_the_user_is_told_where_to_copy_the_file(a_store, a_host):
    a_host.server.close()
    with pytest.raises(CheckpointError, match=r"cannot be reached .*copy it to .*sam_med3d_turbo\.pth"):
        a_store.download(TURBO, LICENCE, quiet)

    a_host.put(TURBO)
    assert state(a_store, TURBO) is ModelState.HERE
    assert a_store.check(TURBO, quiet).title == "SAM-Med3D turbo"


def test_without_pytorch_a_model_is_downloaded_and_converted_later(a_store, a_host, monkeypatch):
    without_pytorch(monkeypatch)
    assert a_store.download(UNVERIFIED, LICENCE, quiet) == a_host.file(UNVERIFIED)
    assert names(a_host.folder) == ["FastSAM3D.pth"]
    with pytest.raises(EngineError, match=r"Without PyTorch and safetensors.*Press 'Install\.\.\.'"):
        a_store.check(UNVERIFIED, quiet)

    monkeypatch.undo()
    assert load(str(a_host.file(UNVERIFIED)), cache=a_host.folder).config.family == "fastsam3d"


def test_a_damaged_file_says_how_to_get_a_whole_one(a_store, a_host):
    path = a_host.put(TURBO)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(
        CheckpointError, match=r"changed or damaged\. Remove it and download it again: Models in Slicer"
    ):
        a_store.check(TURBO, quiet)

    a_store.remove(TURBO)
    a_store.download(TURBO, LICENCE, quiet)
    assert a_store.check(TURBO, quiet).family == "sam_med3d"


def test_a_damaged_file_without_a_checksum_is_seen_too(a_store, a_host):
    path = a_host.put(UNVERIFIED)
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(CheckpointError, match="truncated"):
        a_store.check(UNVERIFIED, quiet)


def test_a_model_that_is_not_here_is_not_checked(a_store):
    with pytest.raises(CheckpointError, match="is not on this computer yet"):
        a_store.check(TURBO, quiet)


def test_a_check_can_be_given_up(a_store, a_host):
    a_host.put(TURBO)
    told = []

    def cancel(text, _fraction):
        told.append(text)
        if len(told) == 2:
            raise CancelledError

    with pytest.raises(CancelledError):
        a_store.check(TURBO, cancel)
    assert told == [f"Checking {TURBO}"] * 2


def test_removing_frees_the_file_its_parts_and_its_conversion(a_store, a_host):
    a_store.download(TURBO, LICENCE, quiet)
    size = stored(a_store, TURBO).size
    (a_host.folder / "notes.txt").write_text("mine")

    assert a_store.remove(TURBO) == size
    assert names(a_host.folder) == ["notes.txt"]
    assert state(a_store, TURBO) is ModelState.ABSENT


def test_what_is_not_here_or_came_with_the_package_cannot_be_removed(a_store):
    with pytest.raises(CheckpointError, match="is not in"):
        a_store.remove(TURBO)
    with pytest.raises(CheckpointError, match="came with MemorizingSAM3D"):
        a_store.remove(SHIPPED)


def test_a_file_in_use_is_named_and_stays(a_store, a_host, an_own_file, monkeypatch):
    a_host.put(TURBO)
    a_store.check(str(an_own_file), quiet)

    def in_use(file, missing_ok=False):
        raise PermissionError(errno.EACCES, "in use by another process", str(file))

    monkeypatch.setattr(Path, "unlink", in_use)  # Windows, where a file that is open cannot be removed
    for removal in (lambda: a_store.remove(TURBO), lambda: a_store.remove_conversion(an_own_file)):
        with pytest.raises(CheckpointError, match=r"cannot be removed \(in use.*Close the programs that use it"):
            removal()
    assert state(a_store, TURBO) is ModelState.HERE


def test_a_file_of_the_users_own_is_converted_once_and_stays_when_its_conversion_goes(a_store, a_host, an_own_file):
    found = a_store.check(str(an_own_file), quiet)
    assert (found.source, found.title, found.family) == (str(an_own_file), "mine.pth", "fastsam3d")
    assert found.parameters == sum(tensor.numel() for tensor in build_network(SMALL_FASTSAM3D).parameters())
    (converted,) = names(a_host.folder)

    size = (a_host.folder / converted).stat().st_size
    assert a_store.remove_conversion(an_own_file) == size
    assert names(a_host.folder) == []
    assert an_own_file.is_file()
    assert a_store.remove_conversion(an_own_file) == 0


def test_the_conversions_of_files_with_longer_names_stay(a_store, a_host, an_own_file):
    other = an_own_file.with_name("mine.v2.pth")
    other.write_bytes(an_own_file.read_bytes())
    for file in (an_own_file, other):
        a_store.check(str(file), quiet)
    a_store.remove_conversion(an_own_file)

    assert [name.startswith("mine.v2.") for name in names(a_host.folder)] == [True]


def test_a_conversion_that_a_known_model_may_use_stays(a_store, a_host, tmp_path):
    a_store.download(TURBO, LICENCE, quiet)
    before = names(a_host.folder)
    copy = tmp_path / a_host.file(TURBO).name
    copy.write_bytes(a_host.contents[TURBO])

    assert a_store.remove_conversion(copy) == 0
    assert names(a_host.folder) == before


def test_a_native_file_of_the_users_own_needs_no_conversion(a_store, a_host, tmp_path):
    path = tmp_path / "mine.safetensors"
    save_native(build_network(SMALL_NATIVE), path, {})

    assert a_store.check(str(path), quiet).family == "native"
    assert a_store.remove_conversion(path) == 0
    assert names(a_host.folder) == []
    assert path.is_file()


def test_a_file_that_is_no_model_is_refused(a_store, tmp_path):
    (tmp_path / "scan.safetensors").write_bytes(b"no model at all")
    with pytest.raises(CheckpointError):
        a_store.check(str(tmp_path / "scan.safetensors"), quiet)
    with pytest.raises(CheckpointError, match="There is no checkpoint"):
        a_store.check(str(tmp_path / "nothing.pth"), quiet)
