from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

from MemorizingSAM3DLib.learning.processes import Processes, TrainingError, join_processes, stopping_gracefully
from MemorizingSAM3DLib.learning.training.log import read_log
from Testing.learning import two_processes

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")


def train_in_processes(count: int, folder: Path, what: str) -> None:
    """A training by so many processes, started with the environment that torchrun gives."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    folder.mkdir()
    running = []
    for rank in range(count):
        told = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        environment = {**os.environ, **{name: str(value) for name, value in told.items()}, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "Testing.learning.two_processes", str(folder), what]
        running.append(subprocess.Popen(command, env=environment, cwd=ROOT, stderr=subprocess.PIPE, text=True))
    for process in running:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors


@pytest.mark.parametrize(("what", "least"), [("clicks", 100), ("memory", 80), ("prompts", 100)])
def test_two_processes_train_as_one_with_the_joint_batch(tmp_path, monkeypatch, what, least):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    train_in_processes(2, tmp_path / "two", what)
    two_processes.main(tmp_path / "one", what)
    one, two = (torch.load(tmp_path / name / "found.pt", weights_only=True) for name in ("one", "two"))
    assert len(one["gradients"]) > least
    for kind in ("gradients", "weights"):
        for name, value in one[kind].items():
            torch.testing.assert_close(two[kind][name], value, rtol=1e-3, atol=1e-5, msg=f"{kind} of {name}")
    logs = [read_log(tmp_path / name / "log.csv") for name in ("one", "two")]
    assert [line["step"] for line in logs[1]] == [1, 2]  # one of the two writes it
    for name in ("loss", "dice_last", "norm"):
        assert [line[name] for line in logs[1]] == pytest.approx([line[name] for line in logs[0]], rel=1e-3)


def test_processes_share_a_batch_without_a_rest():
    shares = [Processes(rank, 3, CPU).share(12) for rank in range(3)]
    assert [number for share in shares for number in share] == list(range(12))
    with pytest.raises(TrainingError, match="batch of 10 cannot be shared by 3"):
        Processes(0, 3, CPU).share(10)


def test_without_torchrun_a_process_is_alone(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    alone = join_processes(CPU)
    assert (alone.rank, alone.count, alone.first) == (0, 1, True)
    values = torch.tensor([1.0, 2.0])
    assert torch.equal(alone.mean(values), values)
    assert alone.first_before_others(lambda: 5) == alone.told_by_first(lambda: 5) == 5
    module = torch.nn.Linear(2, 2)
    assert alone.parallel(module, True) is module
    alone.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_first_signal_asks_to_stop_and_a_second_one_interrupts(number):
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), stopping_gracefully() as stop:
        assert not stop()
        signal.raise_signal(number)
        assert stop()
        signal.raise_signal(number)
    assert signal.getsignal(number) is before


def test_time_that_is_up_asks_to_stop():
    with stopping_gracefully(minutes=0) as stop:
        assert stop()
    with stopping_gracefully(minutes=10) as stop:
        assert not stop()


def test_outside_of_the_main_thread_signals_are_left_alone():
    found = []

    def work() -> None:
        with stopping_gracefully() as stop:
            found.append(stop())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [False]
