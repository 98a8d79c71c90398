from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from MemorizingSAM3DLib.engine import files
from MemorizingSAM3DLib.engine.case_memory.memory import CaseMemory
from MemorizingSAM3DLib.engine.errors import CaseMemoryError, EngineError, OutputError
from Testing.engine.case_phantoms import ENCODER, LAYOUT, a_case, facts


@pytest.fixture
def memory(tmp_path):
    return CaseMemory.create(tmp_path / "memory", LAYOUT, ENCODER)


def filled(memory: CaseMemory, count: int) -> list[str]:
    return [memory.add(a_case(seed), facts()).id for seed in range(count)]


@contextmanager
def as_a_user_who_may_only_read(folder: Path) -> Iterator[None]:
    """No rights withstand root: it gives the folder away and becomes its owner, nobody, for a while."""
    nobody = 65534
    was_root = os.geteuid() == 0
    if was_root:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, nobody, -1)
    folder.chmod(0o500)
    if was_root:
        os.seteuid(nobody)
    try:
        yield
    finally:
        if was_root:
            os.seteuid(0)
        folder.chmod(0o700)


@pytest.mark.skipif(sys.platform == "win32", reason="on Windows a folder's permission bits keep nobody from writing")
def test_a_read_only_folder_is_told_and_can_be_read():
    # Not below tmp_path, whose parents are root's alone.
    with TemporaryDirectory() as folder:
        memory = CaseMemory.create(Path(folder), LAYOUT, ENCODER)
        ids = filled(memory, 2)
        with as_a_user_who_may_only_read(memory.path):
            opened = CaseMemory.open(memory.path)
            opened.touch(ids)
            assert opened.stacked("mask").shape[0] == 2
            for change in (lambda: opened.add(a_case(5), facts()), lambda: opened.remove(ids[0])):
                with pytest.raises(OutputError, match="may not be written"):
                    change()
            assert len(opened) == 2


def test_a_deleted_folder_is_told_and_what_was_read_stays(memory, tmp_path):
    ids = filled(memory, 3)
    stack = memory.stacked("keys.8")
    memory.path.rename(tmp_path / "elsewhere")
    for job in (
        lambda: memory.add(a_case(5), facts()),
        memory.reload,
        memory.verify,
        lambda: memory.stacked("values.8"),
        lambda: memory.stacked("values.8", ids),
        lambda: memory.export(tmp_path / "all.safetensors"),
    ):
        with pytest.raises(EngineError):
            job()
    assert len(memory) == 3
    assert memory.stacked("keys.8") is stack
    assert not (tmp_path / "all.safetensors").exists()
    (tmp_path / "elsewhere").rename(memory.path)
    assert memory.stacked("values.8").shape[0] == 3


def test_half_written_files_are_swept_after_an_hour_and_not_before(memory):
    old, new = (memory.path / f".{'0' * 32}.safetensors.{n * 16}.part" for n in "ab")
    foreign = memory.path / ".mine.part"
    for path in (old, new, foreign):
        path.write_bytes(b"half")
    for path in (old, foreign):
        os.utime(path, (time.time() - 4000,) * 2)
    assert [found.file for found in memory.verify()] == [old.name]
    opened = CaseMemory.open(memory.path)
    assert not old.exists() and new.exists() and foreign.exists()
    assert opened.verify() == [] and opened.warnings == ()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EACCES, "may not be written"),
        (errno.EROFS, "may not be written"),
        (errno.EIO, "cannot be written"),
    ],
)
def test_a_disk_that_fails_is_told_and_leaves_the_memory_as_it_was(memory, monkeypatch, code, words):
    filled(memory, 2)
    before = sorted(path.name for path in memory.path.iterdir())

    def fail(handle: int) -> None:
        raise OSError(code, "in the disk's own words")

    monkeypatch.setattr(files.os, "fsync", fail)
    for job in (lambda: memory.add(a_case(9), facts()), lambda: memory.export(memory.path / "all.safetensors")):
        with pytest.raises(OutputError, match=words):
            job()
    assert sorted(path.name for path in memory.path.iterdir()) == before
    assert len(memory) == 2


def test_foreign_things_in_the_folder_are_told_and_left_alone(memory):
    filled(memory, 1)
    (memory.path / "notes.txt").write_text("mine")
    (memory.path / "folder").mkdir()
    opened = CaseMemory.open(memory.path)
    assert len(opened) == 1
    assert [found.file for found in opened.verify()] == ["notes.txt"]
    opened.clear()
    assert (memory.path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("content", ["no memory.json", "", "{}", "[" * 5000, '{"format": "other"}', "x" * 20000])
def test_what_is_no_memory_is_refused_and_not_changed(tmp_path, content):
    folder = tmp_path / "folder"
    folder.mkdir()
    if content != "no memory.json":
        (folder / "memory.json").write_text(content)
    with pytest.raises(CaseMemoryError, match=r"folder"):
        CaseMemory.open(folder)
    with pytest.raises(CaseMemoryError):
        CaseMemory.open(tmp_path / "nowhere")


def test_a_newer_version_asks_for_an_update(memory):
    manifest = memory.path / "memory.json"
    manifest.write_text(manifest.read_text().replace('"version": 1', '"version": 2'))
    with pytest.raises(CaseMemoryError, match="Update"):
        CaseMemory.open(memory.path)
