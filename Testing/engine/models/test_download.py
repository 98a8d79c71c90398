from __future__ import annotations

import errno
import hashlib
import io
import os
import socket
import threading
from collections import namedtuple
from pathlib import Path

import pytest

from MemorizingSAM3DLib.engine.errors import CheckpointError
from MemorizingSAM3DLib.engine.models import download
from MemorizingSAM3DLib.engine.models.download import (
    cache_folder,
    cached_models,
    converted_path,
    fetch,
    model_path,
    part_size,
    remove,
)
from MemorizingSAM3DLib.engine.models.registry import ModelEntry, Registry
from Testing.engine.file_server import CONTENT, PIECE


def an_entry(url: str | None, sha256: str | None = hashlib.sha256(CONTENT).hexdigest()) -> ModelEntry:
    return ModelEntry("a-model", "A model", "fastsam3d", "Apache-2.0", url, "model.pth", len(CONTENT), sha256, "-", "-")


def test_a_model_is_fetched_once_and_then_taken_from_the_cache(a_server, tmp_path):
    told: list[tuple[int, int | None]] = []
    path = fetch(an_entry(a_server.url), tmp_path, lambda have, total: told.append((have, total)))
    assert path == tmp_path / "model.pth"
    assert path.read_bytes() == CONTENT
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert sorted(told) == told and len(told) > 2
    assert fetch(an_entry(a_server.url), tmp_path) == path
    assert len(a_server.requests) == 1
    assert os.listdir(tmp_path) == ["model.pth"]


def test_a_download_that_breaks_off_goes_on_by_itself(a_server, tmp_path):
    a_server.cut_after = [5 * PIECE, 3 * PIECE]
    told: list[int] = []
    path = fetch(an_entry(a_server.url), tmp_path, lambda have, _total: told.append(have))
    assert path.read_bytes() == CONTENT
    assert [status for _, status in a_server.requests] == [200, 206, 206]
    assert a_server.requests[1][0] == f"bytes={5 * PIECE}-"
    assert a_server.requests[2][0] == f"bytes={8 * PIECE}-"
    assert sorted(told) == told


def test_a_download_that_was_stopped_goes_on_at_the_next_call(a_server, tmp_path):
    class StoppedError(Exception):
        pass

    def stop(have: int, _total: int | None) -> None:
        if have > 400_000:
            raise StoppedError

    with pytest.raises(StoppedError):
        fetch(an_entry(a_server.url), tmp_path, stop)
    assert not (tmp_path / "model.pth").exists()
    kept = (tmp_path / "model.pth.part").stat().st_size
    assert 400_000 < kept < len(CONTENT)
    assert fetch(an_entry(a_server.url), tmp_path).read_bytes() == CONTENT
    assert a_server.requests[-1] == (f"bytes={kept}-", 206)


def test_a_file_that_changed_at_its_source_is_not_mended_with_the_old_part(a_server, tmp_path):
    a_server.cut_after = [5 * PIECE + 7, 0]
    with pytest.raises(CheckpointError, match=r"broke off.*0\.3 MB are kept"):
        fetch(an_entry(a_server.url), tmp_path)
    a_server.content, a_server.tag = CONTENT[::-1], '"two"'
    entry = an_entry(a_server.url, hashlib.sha256(CONTENT[::-1]).hexdigest())
    assert fetch(entry, tmp_path).read_bytes() == CONTENT[::-1]
    assert a_server.requests[-1] == (f"bytes={5 * PIECE}-", 200)


def test_a_server_without_ranges_is_asked_for_everything_again(a_server, tmp_path):
    a_server.ranges, a_server.tag = False, None
    a_server.cut_after = [5 * PIECE]
    assert fetch(an_entry(a_server.url), tmp_path).read_bytes() == CONTENT
    assert [status for _, status in a_server.requests] == [200, 200]


def test_a_part_that_is_already_whole_is_only_verified(a_server, tmp_path):
    (tmp_path / "model.pth.part").write_bytes(CONTENT)
    assert fetch(an_entry(a_server.url), tmp_path).read_bytes() == CONTENT
    assert [status for _, status in a_server.requests] == [416]


def test_a_part_that_is_longer_than_the_file_is_dropped(a_server, tmp_path):
    (tmp_path / "model.pth.part").write_bytes(CONTENT * 2)
    assert fetch(an_entry(a_server.url), tmp_path).read_bytes() == CONTENT
    assert [status for _, status in a_server.requests] == [416, 200]


def test_a_busy_server_is_named_as_such(a_server, tmp_path):
    a_server.status = [503]
    with pytest.raises(CheckpointError, match="HTTP 503"):
        fetch(an_entry(a_server.url), tmp_path)


def test_a_wrong_hash_is_an_error_and_leaves_no_file(a_server, tmp_path):
    with pytest.raises(CheckpointError, match="SHA-256 is wrong, and it was removed"):
        fetch(an_entry(a_server.url, "0" * 64), tmp_path)
    assert os.listdir(tmp_path) == []


def test_a_cached_file_that_was_damaged_is_fetched_again(a_server, tmp_path):
    (tmp_path / "model.pth").write_bytes(CONTENT[:-1])
    assert fetch(an_entry(a_server.url), tmp_path).read_bytes() == CONTENT


def test_a_missing_file_says_what_to_do(a_server, tmp_path):
    a_server.status = [404]
    with pytest.raises(CheckpointError, match=r"HTTP 404.*give its path, or copy it to .*model\.pth"):
        fetch(an_entry(a_server.url), tmp_path)
    assert len(a_server.requests) == 1


def test_without_a_network_the_remedy_is_a_local_file(tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/model.pth"
    with pytest.raises(CheckpointError, match=r"cannot be reached \(.*refused.*\).*copy it to .*model\.pth"):
        fetch(an_entry(url), tmp_path)


def test_an_unverifiable_model_needs_consent(a_server, tmp_path):
    with pytest.raises(CheckpointError, match="authors publish no SHA-256.*--allow-unverified"):
        fetch(an_entry(a_server.url, None), tmp_path)
    assert a_server.requests == []
    assert fetch(an_entry(a_server.url, None), tmp_path, allow_unverified=True).read_bytes() == CONTENT


def test_a_full_disk_is_seen_before_anything_is_written(a_server, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _folder: usage(2**40, 2**40, 1000))
    with pytest.raises(CheckpointError, match=r"needs 1\.0 MB, but .* has 0\.0 MB left\. Make room.*Slicer's settings"):
        fetch(an_entry(a_server.url), tmp_path)
    assert not (tmp_path / "model.pth.part").exists()


def test_a_disk_that_gets_full_meanwhile_keeps_what_came(a_server, tmp_path, monkeypatch):
    class FullDisk(io.FileIO):
        def write(self, piece):
            if self.tell() >= 4 * PIECE:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return super().write(piece)

    def open_on_a_full_disk(path, mode):
        return FullDisk(path, mode.replace("b", ""))

    monkeypatch.setattr(download, "open", open_on_a_full_disk, raising=False)
    with pytest.raises(CheckpointError, match=r"cannot be written to .*0\.3 MB are kept.*Make room.*Slicer's settings"):
        fetch(an_entry(a_server.url), tmp_path)
    monkeypatch.undo()
    assert fetch(an_entry(a_server.url), tmp_path).read_bytes() == CONTENT
    assert a_server.requests[-1] == (f"bytes={4 * PIECE}-", 206)


def test_a_cache_folder_that_cannot_be_made_names_the_setting_and_the_variable(a_server, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CheckpointError, match="in Slicer's settings, or by MEMORIZING_SAM3D_CACHE"):
        fetch(an_entry(a_server.url), tmp_path / "file" / "cache")


def test_a_shipped_model_is_never_fetched(tmp_path):
    with pytest.raises(CheckpointError, match="weights of a-model are missing"):
        fetch(an_entry(None), tmp_path)


def test_the_list_knows_whole_and_partial_models_and_removal_frees_everything(a_server, tmp_path):
    entry = an_entry(a_server.url)
    registry = Registry((entry,))
    assert cached_models(tmp_path, registry) == []
    (tmp_path / "model.pth.part").write_bytes(CONTENT[:1000])
    assert [(model.size, model.complete) for model in cached_models(tmp_path, registry)] == [(1000, False)]
    path = fetch(entry, tmp_path)
    converted = converted_path(path, hashlib.sha256(CONTENT).hexdigest(), tmp_path)
    converted.write_bytes(b"converted")
    (tmp_path / "model-of-mine.safetensors").write_bytes(b"not ours")
    (model,) = cached_models(tmp_path, registry)
    assert (model.path, model.size, model.complete) == (path, len(CONTENT) + 9, True)
    assert remove(entry, tmp_path) == len(CONTENT) + 9
    assert os.listdir(tmp_path) == ["model-of-mine.safetensors"]
    with pytest.raises(CheckpointError, match="is not in"):
        remove(entry, tmp_path)


def test_a_file_that_a_program_uses_is_named(a_server, tmp_path, monkeypatch):
    path = fetch(an_entry(a_server.url), tmp_path)

    def in_use(file, missing_ok=False):
        raise PermissionError(errno.EACCES, "The process cannot access the file", str(file))

    monkeypatch.setattr(Path, "unlink", in_use)  # Windows, where a file that is open cannot be removed
    with pytest.raises(CheckpointError, match=r"model\.pth cannot be removed .*Close the programs"):
        remove(an_entry(a_server.url), tmp_path)
    assert path.read_bytes() == CONTENT


@pytest.mark.skipif(os.name == "nt", reason="Windows does not remove a file that is written")
def test_a_part_that_is_removed_meanwhile_is_named(a_server, tmp_path):
    part = tmp_path / "model.pth.part"
    with pytest.raises(
        CheckpointError, match=r"model\.pth\.part was removed while A model was downloaded\. Download it"
    ):
        fetch(an_entry(a_server.url), tmp_path, lambda _have, _total: part.unlink(missing_ok=True))
    assert not (tmp_path / "model.pth").exists()
    assert fetch(an_entry(a_server.url), tmp_path).read_bytes() == CONTENT


class Fetching(threading.Thread):
    """A download of the same file by someone else in this process."""

    def __init__(self, server, folder):
        super().__init__(daemon=True)
        self.entry, self.folder = an_entry(server.url), folder
        self.told, self.path = [], None

    def run(self):
        self.path = fetch(self.entry, self.folder, lambda have, _total: self.told.append(have))


def test_a_second_download_of_a_file_waits_for_the_first(a_server, tmp_path):
    a_server.hang_after = 3 * PIECE
    first, told = Fetching(a_server, tmp_path), []

    def tell(have, _total):
        told.append(have)
        a_server.go_on.set()  # the first one goes on only now, when this one has told that it waits

    first.start()
    assert a_server.hangs.wait(20)
    path = fetch(an_entry(a_server.url), tmp_path, tell)
    first.join(20)

    assert path == first.path
    assert path.read_bytes() == CONTENT
    assert len(a_server.requests) == 1
    assert told


def test_waiting_for_another_download_can_be_given_up(a_server, tmp_path):
    class StoppedError(Exception):
        pass

    def stop(_have, _total):
        raise StoppedError

    a_server.hang_after = 3 * PIECE
    first = Fetching(a_server, tmp_path)
    first.start()
    assert a_server.hangs.wait(20)
    with pytest.raises(StoppedError):
        fetch(an_entry(a_server.url), tmp_path, stop)
    a_server.go_on.set()
    first.join(20)

    assert first.path.read_bytes() == CONTENT
    assert len(a_server.requests) == 1


def test_downloads_of_two_files_do_not_wait_for_each_other(a_server, tmp_path):
    a_server.hang_after = 3 * PIECE
    first = Fetching(a_server, tmp_path / "elsewhere")
    first.start()
    assert a_server.hangs.wait(20)
    a_server.hang_after = None
    assert fetch(an_entry(a_server.url), tmp_path).read_bytes() == CONTENT
    assert first.path is None
    a_server.go_on.set()
    first.join(20)

    assert first.path.read_bytes() == CONTENT


def test_a_download_that_ends_while_the_models_are_listed_is_no_error(a_server, tmp_path, monkeypatch):
    entry, part = an_entry(a_server.url), tmp_path / "model.pth.part"
    part.write_bytes(CONTENT[:1000])
    find = download._files_of

    def find_and_rename(entry, cache):
        files = find(entry, cache)
        part.rename(tmp_path / "model.pth.renamed")
        return files

    monkeypatch.setattr(download, "_files_of", find_and_rename)
    assert [model.size for model in cached_models(tmp_path, Registry((entry,)))] == [0]


def test_what_is_removed_by_another_program_at_the_same_time_frees_nothing(a_server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "_files_of", lambda _entry, _cache: [tmp_path / "model.pth"])
    assert remove(an_entry(a_server.url), tmp_path) == 0


def test_the_part_of_a_download_that_broke_off_is_measured(tmp_path):
    entry = an_entry("https://example.org/x")
    assert part_size(entry, tmp_path) == 0
    (tmp_path / "model.pth.part").write_bytes(CONTENT[:1000])
    assert part_size(entry, tmp_path) == 1000
    assert part_size(an_entry(None), tmp_path) == 0
    (tmp_path / "a file").touch()
    assert part_size(entry, tmp_path / "a file") == 0


def test_a_shipped_model_cannot_be_removed(tmp_path):
    with pytest.raises(CheckpointError, match="came with MemorizingSAM3D"):
        remove(an_entry(None), tmp_path)


def test_the_cache_folder_is_the_argument_then_the_variable_then_the_systems(tmp_path, monkeypatch):
    monkeypatch.setenv("MEMORIZING_SAM3D_CACHE", str(tmp_path / "variable"))
    assert cache_folder(tmp_path / "argument") == tmp_path / "argument"
    assert cache_folder() == tmp_path / "variable"
    monkeypatch.delenv("MEMORIZING_SAM3D_CACHE")
    assert cache_folder().name == "memorizing-sam3d"
    assert model_path(an_entry("https://example.org/x"), tmp_path) == tmp_path / "model.pth"
