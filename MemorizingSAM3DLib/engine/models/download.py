"""Fetching known models into the cache folder: resumable, verified, removable."""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pooch
import requests

from ..errors import CheckpointError
from ..files import resource_path
from .registry import ModelEntry, Registry, known_models

Progress = Callable[[int, "int | None"], None]
"""Called with the bytes so far and the bytes in all (None: not known). What it raises stops the download."""

CACHE_VARIABLE = "MEMORIZING_SAM3D_CACHE"
_ANOTHER_FOLDER = f"choose another folder for models (in Slicer's settings, or by {CACHE_VARIABLE})"
_HEADROOM = 32 * 2**20  # bytes left free on the disk beside the download
_TRIES = 4
_TIMEOUT = (10.0, 60.0)  # seconds to connect, and between two pieces
_PIECE = 1 << 16
_WAIT = 0.1  # seconds between two looks whether another download of the same file has ended
_running: set[Path] = set()
_one_at_a_time = threading.Condition()


class CachedModel(NamedTuple):
    """A known model's place in the cache.

    Attributes:
        path: the finished file. size: bytes on the disk, parts and conversions included.
        complete: False when only a part of it has come so far.
    """

    entry: ModelEntry
    path: Path
    size: int
    complete: bool


def cache_folder(cache: Path | None = None) -> Path:
    """The folder that holds fetched models: the argument, MEMORIZING_SAM3D_CACHE, or the system's cache folder."""
    return Path(cache or os.environ.get(CACHE_VARIABLE) or pooch.os_cache("memorizing-sam3d")).expanduser()


def model_path(entry: ModelEntry, cache: Path | None = None) -> Path:
    """Where the model's file is, or will be once it is fetched.

    Raises:
        CheckpointError: a shipped file is missing from this installation.
    """
    if not entry.shipped:
        return cache_folder(cache) / entry.file
    try:
        return resource_path("Models", entry.file)
    except FileNotFoundError as error:
        raise CheckpointError(f"The weights of {entry.name} are missing.", str(error)) from error


def fetch(
    entry: ModelEntry, cache: Path | None = None, progress: Progress | None = None, allow_unverified: bool = False
) -> Path:
    """The model's file, downloaded if it is not there yet. A download that broke off goes on where it stopped.

    The file gets its name only when it is complete and its SHA-256 is right. A second call for the same file waits for
    the first one.

    Args:
        entry: from the registry.
        cache: the cache folder, if not the usual one (:func:`cache_folder`).
        progress: told about every piece.
        allow_unverified: fetch also a model whose publisher gives no SHA-256.

    Raises:
        CheckpointError: no network, not found, wrong SHA-256 (the file is removed), no room, or not verifiable.
    """
    target = model_path(entry, cache)
    if entry.url is None:
        return target
    if entry.sha256 is None and not allow_unverified:
        raise CheckpointError(
            f"{entry.title} cannot be verified: its authors publish no SHA-256.",
            f"If you trust {entry.url}, allow it (--allow-unverified).",
        )
    part = _part(target)
    download = _ResumableDownload(entry, target, progress)
    pooch.get_logger().setLevel(logging.WARNING)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _alone(target, download):
            pooch.retrieve(entry.url, _pooch_hash(entry), target.name, target.parent, downloader=download)
    except ValueError as error:  # pooch's word for a wrong hash; it has removed the file
        raise CheckpointError(
            f"What {entry.url} sent is not {entry.title}: its SHA-256 is wrong, and it was removed.",
            "Try again; if that fails too, the file was replaced at its source: do not use it.",
        ) from error
    except OSError as error:
        kept = f" {_megabytes(size)} are kept: the next try goes on from there." if (size := _size(part)) else ""
        raise CheckpointError(
            f"The model cannot be written to {target.parent} ({error.strerror or error}).{kept}",
            f"Make room or permit writing there, or {_ANOTHER_FOLDER}.",
        ) from error
    return target


def part_size(entry: ModelEntry, cache: Path | None = None) -> int:
    """Bytes of a download that broke off and can go on; 0 when there is none."""
    return 0 if entry.shipped else _size(_part(model_path(entry, cache)))


def cached_models(cache: Path | None = None, registry: Registry | None = None) -> list[CachedModel]:
    """The models in the cache, complete or in part, in the registry's order. Shipped ones are not in the cache."""
    found = []
    for entry in registry or known_models():
        files = [] if entry.shipped else _files_of(entry, cache)
        if files:
            path = model_path(entry, cache)
            found.append(CachedModel(entry, path, sum(map(_size, files)), path in files))
    return found


def remove(entry: ModelEntry, cache: Path | None = None) -> int:
    """Removes a fetched model, its parts and what was converted from it. Returns the bytes freed.

    Raises:
        CheckpointError: it came with the package, is not there, or cannot be removed.
    """
    if entry.shipped:
        raise CheckpointError(f"{entry.name} came with MemorizingSAM3D.", "It goes when the extension is removed.")
    files = _files_of(entry, cache)
    if not files:
        raise CheckpointError(
            f"{entry.name} is not in {cache_folder(cache)}.", "See what is there: memorizing-sam3d checkpoint list"
        )
    freed = 0
    for file in files:
        size = _size(file)
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            raise CheckpointError(
                f"{file} cannot be removed ({error.strerror}).", "Close the programs that use it."
            ) from error
        freed += size
    return freed


def converted_path(source: Path, sha256: str, cache: Path | None = None) -> Path:
    """Where the converted form of a published file is kept; the hash makes a changed source a new file."""
    return cache_folder(cache) / f"{source.stem}.{sha256[:16]}.safetensors"


@dataclass
class _ResumableDownload:
    """A downloader for :func:`pooch.retrieve` that keeps what has come in ``<file>.part`` and goes on from there."""

    entry: ModelEntry
    target: Path
    progress: Progress | None = None

    def __post_init__(self) -> None:
        self.part = _part(self.target)
        self.tag = _tag(self.target)

    def __call__(self, url: str, output_file: str, _pooch: object) -> None:
        failure: requests.RequestException | None = None
        for _ in range(_TRIES):
            before = self._have()
            try:
                self._go_on(url)
                break
            except requests.RequestException as error:
                failure = error
                if self._have() <= before:
                    raise self._broken_off(failure) from error
        else:
            raise self._broken_off(failure) from failure
        try:
            os.replace(self.part, output_file)
        except FileNotFoundError as error:
            raise CheckpointError(
                f"{self.part} was removed while {self.entry.title} was downloaded.", "Download it again."
            ) from error
        self.tag.unlink(missing_ok=True)

    def waiting(self) -> None:
        """Tells how much there is, for whoever wants to stop a download that waits for another one."""
        if self.progress is not None:
            self.progress(self._have(), self.entry.size)

    def _go_on(self, url: str) -> None:
        have = self._have()
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
            if self.tag.exists():  # a file that has changed since then is sent whole
                headers["If-Range"] = self.tag.read_text(encoding="ascii")
        with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as answer:
            if have and answer.status_code == requests.codes.requested_range_not_satisfiable:
                if answer.headers.get("Content-Range") == f"bytes */{have}":
                    return  # it had all come before
                self._forget()
                return self._go_on(url)
            self._refuse_errors(answer)
            if answer.status_code != requests.codes.partial_content:
                self._forget()
                have = 0
            tag = answer.headers.get("ETag", "")
            if tag.startswith('"') and tag.isascii():  # only a strong tag may stand in If-Range
                self.tag.write_text(tag, encoding="ascii")
            length = answer.headers.get("Content-Length")
            total = have + int(length) if length is not None else self.entry.size
            self._check_room((total or 0) - have)
            with open(self.part, "ab") as file:
                for piece in answer.iter_content(_PIECE):
                    file.write(piece)
                    have += len(piece)
                    if self.progress is not None:
                        self.progress(have, total)
            if length is not None and have < (total or 0):
                raise requests.ConnectionError("the connection ended early")

    def _have(self) -> int:
        return _size(self.part)

    def _forget(self) -> None:
        self.part.unlink(missing_ok=True)
        self.tag.unlink(missing_ok=True)

    def _refuse_errors(self, answer: requests.Response) -> None:
        if answer.status_code >= 500 or answer.status_code == requests.codes.too_many_requests:
            raise requests.ConnectionError(f"the server is busy or broken (HTTP {answer.status_code})")
        if not answer.ok:
            raise CheckpointError(
                f"{answer.url} is not to be had (HTTP {answer.status_code}).",
                f"The file may have moved. If you have it, give its path, or copy it to {self.target}.",
            )

    def _check_room(self, needed: int) -> None:
        free = shutil.disk_usage(self.target.parent).free
        if free < needed + _HEADROOM:
            raise CheckpointError(
                f"{self.entry.title} needs {_megabytes(needed)}, but {self.target.parent} has {_megabytes(free)} left.",
                f"Make room, or {_ANOTHER_FOLDER}.",
            )

    def _broken_off(self, reason: Exception | None) -> CheckpointError:
        have = self._have()
        url = self.entry.url
        if not have:
            return CheckpointError(
                f"{url} cannot be reached ({_root_cause(reason)}).",
                f"Check the network and the proxy. Without a network, give the path of a file that you have, "
                f"or copy it to {self.target}.",
            )
        return CheckpointError(
            f"The download of {url} broke off ({_root_cause(reason)}).",
            f"{_megabytes(have)} are kept: try again, and it goes on from there.",
        )


@contextmanager
def _alone(target: Path, download: _ResumableDownload) -> Iterator[None]:
    """One download of a file at a time: a cancelled one may hang on its connection for a while, and both would write
    to the same part."""
    with _one_at_a_time:
        while target in _running:
            _one_at_a_time.wait(_WAIT)
            download.waiting()
        _running.add(target)
    try:
        yield
    finally:
        with _one_at_a_time:
            _running.discard(target)
            _one_at_a_time.notify_all()


def _part(target: Path) -> Path:
    return target.with_name(target.name + ".part")


def _tag(target: Path) -> Path:
    return target.with_name(target.name + ".part.tag")


def _files_of(entry: ModelEntry, cache: Path | None) -> list[Path]:
    target = model_path(entry, cache)
    converted = sorted(target.parent.glob(f"{target.stem}.{'[0-9a-f]' * 16}.safetensors"))
    return [file for file in (target, _part(target), _tag(target), *converted) if file.is_file()]


def _size(file: Path) -> int:
    """Bytes; 0 for a file that is not there, or is just being renamed by a download."""
    try:
        return file.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return 0


def _pooch_hash(entry: ModelEntry) -> str | None:
    return f"sha256:{entry.sha256}" if entry.sha256 else None


def _root_cause(error: BaseException | None) -> str:
    while error is not None and (error.__cause__ or error.__context__) is not None:
        error = error.__cause__ or error.__context__
    return str(error) or type(error).__name__


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
