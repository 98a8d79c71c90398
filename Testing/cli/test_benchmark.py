from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from MemorizingSAM3DLib.benchmarks import encoding
from MemorizingSAM3DLib.cli import app

REPORT = {
    "system": {"torch": "2.10", "processor": "x86_64", "threads": 2, "repeats": 3},
    "milliseconds": {"sam_med3d encode": 1000.0, "sam_med3d encode, literal": 3000.0},
    "speed_up": 3.0,
    "largest_difference": 4.5e-6,
    "added_bytes": {"ours": 110_000_000, "literal": None},
    "bars": {"least_speed_up": 2.5, "most_added_bytes": 300_000_000},
}


@pytest.fixture
def measured(monkeypatch):
    calls = []
    monkeypatch.setattr(encoding, "measure_encoding", lambda *given: calls.append(given[:2]) or REPORT)
    return calls


def run(*arguments: object):
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, ["benchmark", *map(str, arguments)])


def test_the_report_is_printed_and_written(measured, tmp_path):
    done = run("encode", "--repeats", 3, "--threads", 2, "--out", tmp_path / "encode.json")
    assert done.exit_code == 0, done.output
    assert measured == [(3, 2)]
    assert "3.00 times as fast as the literal arithmetic (at least 2.5 is wanted)" in done.output
    assert "4.5e-06" in done.output
    assert "adds 110 MB" in done.output and "the literal one an unknown amount" in done.output
    assert json.loads((tmp_path / "encode.json").read_text(encoding="utf-8")) == REPORT


def test_a_report_that_cannot_be_written_is_an_error(measured, tmp_path):
    done = run("encode", "--out", tmp_path / "missing" / "encode.json")
    assert done.exit_code == 1
    assert "cannot be written" in done.output


def test_the_help_has_an_example():
    done = run("encode", "--help")
    assert done.exit_code == 0
    assert "memorizing-sam3d benchmark encode" in done.output
