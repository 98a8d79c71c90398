from __future__ import annotations

import hashlib
import os
import socket
import threading
from collections import namedtuple
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from MemorizingSAM3DLib.engine import download
from MemorizingSAM3DLib.engine.download import cache_folder, cached_models, converted_path, fetch, model_path, remove
from MemorizingSAM3DLib.engine.errors import CheckpointError
from MemorizingSAM3DLib.engine.registry import ModelEntry, Registry

CONTENT = bytes(range(256)) * 4000  # 1 MB
PIECE = 65536  # what is read at once: a piece that did not come whole does not count


class Server:
    """A small file server on the loopback address that can break off, lie and refuse."""

    def __init__(self) -> None:
        self.content = CONTENT
        self.tag: str | None = '"one"'
        self.ranges = True
        self.cut_after: list[int] = []  # bytes of the body before the connection breaks, one entry an answer
        self.status: list[int] = []  # errors to give first
        self.requests: list[tuple[str | None, int]] = []  # (Range header, status sent)
        server = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_arguments: object) -> None:
                pass

            def do_GET(self) -> None:
                server.answer(self)

        class Quiet(ThreadingHTTPServer):
            def handle_error(self, *_arguments: object) -> None:
                pass  # a client that hangs up is part of the tests

        self.http = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/model.pth"
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        asked = handler.headers.get("Range")
        condition = handler.headers.get("If-Range")
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.ranges else 0
        if condition is not None and condition != self.tag:
            start = 0
        if self.status:
            status = self.status.pop(0)
        elif start > len(self.content) or (asked and start == len(self.content)):
            status = 416
        else:
            status = 206 if start else 200
        self.requests.append((asked, status))
        handler.send_response(status)
        body = self.content[start:] if status in (200, 206) else b""
        if status == 206:
            handler.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        if status == 416:
            handler.send_header("Content-Range", f"bytes */{len(self.content)}")
        if self.tag is not None:
            handler.send_header("ETag", self.tag)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if self.cut_after and body:
            handler.wfile.write(body[: self.cut_after.pop(0)])
            handler.wfile.flush()
            handler.connection.shutdown(socket.SHUT_RDWR)
        else:
            handler.wfile.write(body)


@pytest.fixture
def a_server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


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
    with pytest.raises(CheckpointError, match=r"needs 1\.0 MB, but .* has 0\.0 MB left\. Make room"):
        fetch(an_entry(a_server.url), tmp_path)
    assert not (tmp_path / "model.pth.part").exists()


def test_a_cache_folder_that_cannot_be_made_names_the_variable(a_server, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CheckpointError, match="MEMORIZING_SAM3D_CACHE"):
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
