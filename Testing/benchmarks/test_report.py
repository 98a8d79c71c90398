from __future__ import annotations

import csv
import json

import pytest

from MemorizingSAM3DLib.benchmarks.alternation import Finding
from MemorizingSAM3DLib.benchmarks.contender import Contender, Group, Part, Setting, Wanted
from MemorizingSAM3DLib.benchmarks.everything import write_table
from MemorizingSAM3DLib.benchmarks.machine import machine_facts
from MemorizingSAM3DLib.benchmarks.report import Report, markdown, number, table_cells, write_report
from MemorizingSAM3DLib.benchmarks.rows import Ceiling, rows_of
from MemorizingSAM3DLib.engine.errors import OutputError
from Testing.benchmarks.some_contenders import quick


@pytest.fixture
def report() -> Report:
    """Bars with a floor and a failure, and a curve."""
    names = ("ours", "literal", "broken")
    bars = Group("bars", [Contender(name, quick) for name in names], "ours", {"literal": Wanted(least_ratio=2)})
    facts = {"operations": 2e9, "bytes": 10, "note": "as it should be"}
    findings = [
        Finding(bars.contenders[0], milliseconds={"": [10, 11, 12]}, facts=facts, memory={"peak_bytes": 5_000_000}),
        Finding(bars.contenders[1], milliseconds={"": [30, 33, 36]}),
        Finding(bars.contenders[2], "failed", "RuntimeError: a | b"),
    ]
    curve = Group("curve", [Contender(f"click, {n}", quick, x=n) for n in (1, 10)], "click, 1", x_title="clicks")
    points = [Finding(contender, milliseconds={"": [5.0]}) for contender in curve.contenders]
    found = Report(Part("made", "A part", [bars, curve]), machine_facts(Setting(threads=2), "CPU (2 threads), float32"))
    found.ceiling = Ceiling({"float32": 1e12}, 1e9)
    found.tables = [(bars, rows_of(bars, findings, found.ceiling)), (curve, rows_of(curve, points))]
    return found


def test_a_report_is_written_as_json_csv_markdown_and_a_picture(report, tmp_path):
    files = write_report(tmp_path / "new", report)

    assert [file.name for file in files] == ["made.json", "made.csv", "made.md", "made.png"]
    document = json.loads(files[0].read_text(encoding="utf-8"))
    assert document["machine"]["threads"] == 2 and document["ceiling"]["operations"] == {"float32": 1e12}
    ours, literal, broken = document["groups"][0]["rows"]
    assert ours["milliseconds"] == [10, 11, 12] and ours["time"]["median"] == 11 and ours["floor_ms"] == 2
    assert literal["ratio"]["median"] == 3 and literal["met"] is True
    assert broken["state"] == "failed" and broken["time"] is None
    lines = list(csv.DictReader(files[1].read_text(encoding="utf-8").splitlines()))
    assert [line["contender"] for line in lines] == ["ours", "literal", "broken", "click, 1", "click, 10"]
    assert (lines[0]["median_ms"], lines[0]["times_floor"], lines[0]["peak_bytes"]) == ("11.0", "5.5", "5000000")
    assert (lines[1]["ratio"], lines[1]["reference"]) == ("3.0", "ours")
    assert (lines[2]["median_ms"], lines[2]["reason"]) == ("", "RuntimeError: a | b")
    assert files[3].read_bytes().startswith(b"\x89PNG")


def test_the_markdown_has_a_line_for_each_contender_and_no_empty_column(report):
    text = markdown(report)
    assert "| ours | 11.0 | 10.5-11.5 | 1.00 | 2.00 | 5.5 | 5 |  | as it should be |" in text
    assert "| broken | failed |" in text and "RuntimeError: a / b |" in text
    assert "at least 2 times ours (met)" in text
    assert "GPU, MB" not in text


def test_the_brief_table_leaves_details_out(report):
    group, rows = report.tables[0]
    assert "floor, ms" in table_cells(group, rows)[0]
    assert "floor, ms" not in table_cells(group, rows, brief=True)[0]


def test_a_busy_computer_is_told_of(report):
    report.machine = {**report.machine, "busy": True, "load_before": 7.5}
    assert "The computer was busy (load 7.5): compare ratios only." in markdown(report)


def test_one_table_holds_all_parts_and_counts_targets(report, tmp_path):
    write_table(tmp_path, [report, report])
    text = (tmp_path / "benchmark.md").read_text(encoding="utf-8")
    assert "2 of 2 targets are met." in text and text.count("## A part") == 2
    assert "- failed: bars, broken: RuntimeError: a | b" in text
    assert len((tmp_path / "benchmark.csv").read_text(encoding="utf-8").splitlines()) == 11


def test_a_report_without_any_time_is_written_too(report, tmp_path):
    report.tables = []
    assert all(file.stat().st_size > 0 for file in write_report(tmp_path, report))


def test_a_folder_that_cannot_be_made_is_an_error(report, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be made"):
        write_report(tmp_path / "file" / "folder", report)


@pytest.mark.parametrize(("value", "text"), [(0.0123, "0.012"), (4.567, "4.57"), (12.34, "12.3"), (1234.5, "1234")])
def test_numbers_have_three_digits_that_count(value, text):
    assert number(value) == text
