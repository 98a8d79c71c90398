from __future__ import annotations

import errno

import pytest
import torch

from MemorizingSAM3DLib.engine.errors import OutputError
from MemorizingSAM3DLib.learning.distributed import TrainingError
from MemorizingSAM3DLib.learning.run_state import STATE, averaged_network, read_state, save_state
from Testing.engine.small_networks import SMALL_NATIVE
from Testing.learning.small_trainings import a_trainer


@pytest.fixture
def a_run(tmp_path):
    a_trainer(tmp_path).save()
    return tmp_path


def test_a_disk_that_is_full_leaves_the_previous_state_and_no_rubbish(a_run):
    resource = pytest.importorskip("resource", reason="limits of file sizes are a thing of POSIX")
    content = (a_run / STATE).read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(OutputError, match="cannot be written .*previous state is still there.*Make room"):
            save_state(a_run, {"step": 7, "much": torch.zeros(1_000_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (a_run / STATE).read_bytes() == content
    assert [path.name for path in a_run.iterdir() if path.suffix == ".part"] == []
    assert read_state(a_run)["step"] == 0


def test_a_first_state_that_cannot_be_written_promises_nothing(tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OutputError, match="No space left") as caught:
        save_state(tmp_path, {})
    assert "previous" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"rubbish", None])
def test_a_damaged_state_is_told(a_run, content):
    whole = (a_run / STATE).read_bytes()
    (a_run / STATE).write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(TrainingError, match="cannot be read"):
        read_state(a_run)


def test_what_is_no_state_is_told(tmp_path):
    torch.save({"model": torch.zeros(3)}, tmp_path / STATE)
    with pytest.raises(TrainingError, match="no state of a training"):
        averaged_network(tmp_path / STATE)


def test_a_state_of_another_network_is_told(a_run):
    assert read_state(a_run, SMALL_NATIVE)["step"] == 0
    with pytest.raises(TrainingError, match="of another network"):
        read_state(a_run, SMALL_NATIVE.with_(depth=4))
