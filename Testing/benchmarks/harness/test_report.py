from __future__ import annotations

import csv
import json

import pytest

from MemorizingSAM3DLib.benchmarks.harness.benchmark_case import BenchmarkCase, Group, Part, Setting, Wanted
from MemorizingSAM3DLib.benchmarks.harness.machine import machine_facts
from MemorizingSAM3DLib.benchmarks.harness.process import Finding
from MemorizingSAM3DLib.benchmarks.harness.report import (
    Ceiling,
    Report,
    Spread,
    markdown,
    number,
    rows_of,
    table_cells,
    write_report,
)
from MemorizingSAM3DLib.benchmarks.run import write_table
from MemorizingSAM3DLib.engine.errors import OutputError
from Testing.benchmarks.some_benchmark_cases import quick


@pytest.fixture
def report() -> Report:
    """Bars with a floor and a failure, and a curve."""
    names = ("ours", "literal", "broken")
    bars = Group("bars", [BenchmarkCase(name, quick) for name in names], "ours", {"literal": Wanted(least_ratio=2)})
    facts = {"operations": 2e9, "bytes": 10, "note": "as it should be"}
    findings = [
        Finding(
            bars.benchmark_cases[0], milliseconds={"": [10, 11, 12]}, facts=facts, memory={"peak_bytes": 5_000_000}
        ),
        Finding(bars.benchmark_cases[1], milliseconds={"": [30, 33, 36]}),
        Finding(bars.benchmark_cases[2], "failed", "RuntimeError: a | b"),
    ]
    curve = Group("curve", [BenchmarkCase(f"click, {n}", quick, x=n) for n in (1, 10)], "click, 1", x_title="clicks")
    points = [Finding(benchmark_case, milliseconds={"": [5.0]}) for benchmark_case in curve.benchmark_cases]
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


def found(name, times, **about):
    laps = times if isinstance(times, dict) else {"": times}
    return Finding(BenchmarkCase(name, quick), milliseconds=laps, **about)


def group_of(*findings, **about):
    return Group("g", [finding.benchmark_case for finding in findings], **about)


def test_a_spread_is_a_median_with_quartiles():
    assert Spread.of([5, 1, 2, 4, 3]) == (3, 2, 4)
    assert Spread.of([7]) == (7, 7, 7)


def test_ratios_are_taken_within_a_round_so_that_a_slow_round_does_not_change_them():
    ours, literal = found("ours", [10, 100, 20]), found("literal", [30, 300, 60])
    first, second = rows_of(group_of(ours, literal, reference="ours"), [ours, literal])
    assert first.ratio == (1, 1, 1)
    assert second.ratio == (3, 3, 3)
    assert second.time.median == 60


def test_each_lap_is_a_line_and_is_compared_with_the_references_same_lap():
    small, large = found("small", {"load": [2], "click": [5]}), found("large", {"load": [20], "click": [5]})
    rows = rows_of(group_of(small, large, reference="small"), [small, large])
    assert [(row.name, row.ratio.median) for row in rows] == [
        ("small: load", 1), ("small: click", 1), ("large: load", 10), ("large: click", 1)
    ]  # fmt: skip


def test_the_floor_is_set_by_operations_or_by_bytes_whichever_take_longer():
    ceiling = Ceiling({"float32": 1e9, "bfloat16": 4e9}, 1e8)
    assert ceiling.floor_ms({"operations": 1e9, "bytes": 1e6}) == 1000
    assert ceiling.floor_ms({"operations": 1e9, "bytes": 1e6, "precision": "bfloat16"}) == 250
    assert ceiling.floor_ms({"operations": 1e6, "bytes": 1e8}) == 1000
    assert ceiling.floor_ms({"bytes": 1e8}) is None
    one = found("a", [3000], facts={"operations": 1e9, "bytes": 1})
    (row,) = rows_of(group_of(one), [one], ceiling)
    assert row.distance == pytest.approx(3)


@pytest.mark.parametrize(
    ("wanted", "met"),
    [
        (Wanted(most_ms=30), True), (Wanted(most_ms=29), False), (Wanted(least_ratio=3), True),
        (Wanted(least_ratio=3.1), False), (Wanted(most_ms=30, least_ratio=4), False),
        (Wanted(most_bytes_beyond_torch=1e6), True), (Wanted(most_bytes_beyond_torch=9e5), False),
        (Wanted(most_gpu_bytes=9e9), None),
    ],
)  # fmt: skip
def test_a_target_is_met_or_missed(wanted, met):
    ours, literal = found("ours", [10]), found("literal", [30], memory={"beyond_torch_bytes": 1_000_000})
    rows = rows_of(group_of(ours, literal, reference="ours", wanted={"literal": wanted}), [ours, literal])
    assert [row.met for row in rows] == [None, met]


def test_what_was_not_measured_has_neither_time_nor_verdict():
    ours = found("ours", [10])
    other = Finding(BenchmarkCase("other", quick), "failed", "it broke")
    group = group_of(ours, other, reference="other", wanted={"other": Wanted(most_ms=1)})
    rows = rows_of(group, [ours, other])
    assert rows[0].ratio is None
    assert (rows[1].time, rows[1].met, rows[1].wanted) == (None, None, "at most 1 ms")
