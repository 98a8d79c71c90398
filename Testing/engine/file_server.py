"""A host of models on the loopback address that can break off, lie, refuse and hang."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

CONTENT = bytes(range(256)) * 4000  # 1 MB
PIECE = 65536  # what a download reads at once: a piece that did not come whole does not count
_PATIENCE = 20.0  # seconds


class FileServer:
    """Serves files over HTTP with ranges and tags, in a thread of its own.

    Attributes:
        files: contents by name. content: of every other name.
        tag: the ETag, None for none. ranges: whether it can start in the middle.
        cut_after: bytes of the body before the connection breaks, one entry an answer.
        hang_after: bytes of the body after which answers wait for `go_on`; None for not at all.
        hangs: set once an answer waits there.
        status: errors to give first.
        requests: (Range header, status sent), in order.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.content = CONTENT
        self.tag: str | None = '"one"'
        self.ranges = True
        self.cut_after: list[int] = []
        self.hang_after: int | None = None
        self.hangs, self.go_on = threading.Event(), threading.Event()
        self.status: list[int] = []
        self.requests: list[tuple[str | None, int]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_arguments: object) -> None:
                pass

            def do_GET(self) -> None:
                server._answer(self)

        class Quiet(ThreadingHTTPServer):
            def handle_error(self, *_arguments: object) -> None:
                pass  # a client that hangs up is part of the tests

        self._http = Quiet(("127.0.0.1", 0), Handler)
        self.url = self.url_of("model.pth")
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def url_of(self, name: str) -> str:
        """Where a file is."""
        return f"http://127.0.0.1:{self._http.server_address[1]}/{name}"

    def close(self) -> None:
        """Ends it; nothing answers at its address any more."""
        self.go_on.set()
        self._http.shutdown()
        self._http.server_close()

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        content = self.files.get(handler.path.lstrip("/"), self.content)
        asked = handler.headers.get("Range")
        condition = handler.headers.get("If-Range")
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.ranges else 0
        if condition is not None and condition != self.tag:
            start = 0
        if self.status:
            status = self.status.pop(0)
        elif start > len(content) or (asked and start == len(content)):
            status = 416
        else:
            status = 206 if start else 200
        self.requests.append((asked, status))
        handler.send_response(status)
        body = content[start:] if status in (200, 206) else b""
        if status == 206:
            handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if status == 416:
            handler.send_header("Content-Range", f"bytes */{len(content)}")
        if self.tag is not None:
            handler.send_header("ETag", self.tag)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        self._send(handler, body)

    def _send(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        if self.cut_after and body:
            handler.wfile.write(body[: self.cut_after.pop(0)])
            handler.wfile.flush()
            handler.connection.shutdown(socket.SHUT_RDWR)
            return
        if (first := self.hang_after) is not None:
            handler.wfile.write(body[:first])
            handler.wfile.flush()
            self.hangs.set()
            self.go_on.wait(_PATIENCE)
            body = body[first:]
        handler.wfile.write(body)


@pytest.fixture
def a_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """A host that answers, whatever proxy this machine has."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = FileServer()
    yield server
    server.close()
