from __future__ import annotations

import pytest

from MemorizingSAM3DLib.benchmarks.alternation import Finding
from MemorizingSAM3DLib.benchmarks.contender import Contender, Group, Wanted
from MemorizingSAM3DLib.benchmarks.rows import Ceiling, Spread, rows_of
from Testing.benchmarks.some_contenders import quick


def found(name, times, **about):
    laps = times if isinstance(times, dict) else {"": times}
    return Finding(Contender(name, quick), milliseconds=laps, **about)


def group_of(*findings, **about):
    return Group("g", [finding.contender for finding in findings], **about)


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
    other = Finding(Contender("other", quick), "failed", "it broke")
    group = group_of(ours, other, reference="other", wanted={"other": Wanted(most_ms=1)})
    rows = rows_of(group, [ours, other])
    assert rows[0].ratio is None
    assert (rows[1].time, rows[1].met, rows[1].wanted) == (None, None, "at most 1 ms")
