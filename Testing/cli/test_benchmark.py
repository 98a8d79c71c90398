from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from MemorizingSAM3DLib.benchmarks import run as everything
from MemorizingSAM3DLib.benchmarks.harness import process
from MemorizingSAM3DLib.benchmarks.harness.benchmark_case import Group, Part, Wanted
from MemorizingSAM3DLib.benchmarks.parts import encode
from MemorizingSAM3DLib.cli import app
from Testing.benchmarks import some_benchmark_cases as some
from Testing.benchmarks.some_benchmark_cases import a_contender

COMMANDS = ["encode", "click", "session", "memory", "knn", "writing", "start", "scaling", "all"]


def a_part(*makes, name="made"):
    wanted = {"quick": Wanted(most_ms=1e6)}
    return Part(name, "A part", [Group("A group", [a_contender(make) for make in makes], "quick", wanted)])


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch):
    monkeypatch.setattr(process, "PAUSE_SECONDS", 0.0)


def run(*arguments: object):
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, ["benchmark", *map(str, arguments)])


def test_a_part_is_measured_shown_and_written(monkeypatch, tmp_path):
    settings = []
    part = a_part(some.quick, some.unavailable)
    monkeypatch.setattr(encode, "encode_part", lambda setting: settings.append(setting) or part)

    done = run("encode", "--repeats", 2, "--device", "cpu", "--out", tmp_path / "speed")

    assert done.exit_code == 0, done.output
    assert settings[0].device == "cpu" and settings[0].threads >= 1
    assert "A group" in done.output and "at most 1e+06 ms (met)" in done.output
    assert "not measured" in done.output and "There is no such thing here." in done.output
    (group,) = json.loads((tmp_path / "speed" / "made.json").read_text(encoding="utf-8"))["groups"]
    assert [len(row["milliseconds"]) for row in group["rows"]] == [2, 0]
    assert {path.suffix for path in (tmp_path / "speed").iterdir()} == {".json", ".csv", ".md", ".png"}


def test_all_parts_are_measured_though_one_fails_and_then_it_exits_with_an_error(monkeypatch, tmp_path):
    parts = [(lambda _: a_part(some.failing_to_start, name="first"), 1), (lambda _: a_part(some.quick, name="then"), 1)]
    monkeypatch.setattr(everything, "all_parts", lambda: parts)

    done = run("all", "--device", "cpu", "--out", tmp_path)

    assert done.exit_code == 1
    assert "RuntimeError: no memory, say" in done.output
    text = (tmp_path / "benchmark.md").read_text(encoding="utf-8")
    assert "1 of 1 targets are met." in text and "- failed: A group, failing_to_start" in text
    assert (tmp_path / "then.json").exists()


def test_a_device_that_is_not_there_is_an_error():
    done = run("encode", "--device", "cuda:99")
    assert done.exit_code == 1
    assert "Error:" in done.output and "Choose the CPU" in done.output


def test_a_folder_that_cannot_be_written_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setattr(encode, "encode_part", lambda setting: a_part())
    (tmp_path / "file").touch()
    done = run("encode", "--device", "cpu", "--out", tmp_path / "file" / "folder")
    assert done.exit_code == 1
    assert "cannot be made" in done.output


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_has_an_example(command):
    done = run(command, "--help")
    assert done.exit_code == 0
    assert f"memorizing-sam3d benchmark {command}" in done.output
