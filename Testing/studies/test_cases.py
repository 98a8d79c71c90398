from __future__ import annotations

import csv

import pytest

from studies.cases import COLUMNS, WITHOUT, Ablations, arms_of, draw_growth, write_csv
from studies.mais import compared

TRIED = Ablations((1, 3, 10), (4, 5), (1, 3), (0.0, 0.3), True)


def test_everything_is_measured_against_the_same_without_memory():
    for table in ("growth", "absent", "attention"):
        first, *others = arms_of(table, TRIED)
        assert (first.title, first.remembered, first.against) == (WITHOUT, 0, None)
        assert {arm.against for arm in others} == {WITHOUT} and all(arm.remembered for arm in others)
        assert len({arm.title for arm in (first, *others)}) == len(others) + 1


def test_growth_asks_all_cases_and_those_of_the_name():
    arms = arms_of("growth", TRIED)[1:]
    assert [(arm.remembered, arm.names) for arm in arms] == [
        (n, names) for names in ("all", "known") for n in (1, 3, 10)
    ]
    assert all(arm.block is None for arm in arms)


def test_an_absent_structure_is_left_out_of_the_largest_memory():
    (arm,) = arms_of("absent", TRIED)[1:]
    assert (arm.remembered, arm.names) == (10, "absent")


def test_equal_arms_of_the_ablations_share_an_evaluation():
    arms = arms_of("attention", TRIED)[1:]
    assert all(arm.block is not None for arm in arms)
    shared = [arm.title for arm in arms if arm.folder == "n-10-block-4-k-3-ratio-0.3"]
    assert shared == ["k = 3", "local ratio 0.3", "block 4", "n = 10"]
    assert len({arm.folder for arm in arms}) == 1 + 1 + 1 + 1 + 2  # that one; k = 1, ratio 0, block 5, n = 1, n = 3


ARMS = arms_of("growth", Ablations((1, 10)))


@pytest.fixture
def found():
    """Two datasets of two cases; each remembered case adds 0.01, nothing is gained on the second dataset."""
    dice = {}
    for arm in ARMS:
        gain = {"one": 0.01 * arm.remembered, "two": 0.0}
        dice[arm.title] = {
            (name, f"{name}/{case}", "1"): [0.5 + gain[name] + 0.1 * case, 0.8] for name in gain for case in (0, 1)
        }
    return compared(ARMS, dice, [1, 2])


def test_the_csv_tells_means_and_gains_with_their_intervals(found, tmp_path):
    write_csv(tmp_path / "t.csv", ARMS, found)
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert tuple(lines[0]) == COLUMNS and len(lines) == 3 * 3 * 2
    (line,) = (x for x in lines if (x["dataset"], x["arm"], x["click"]) == ("one", "n = 10", "1"))
    assert (float(line["dice"]), float(line["gain"])) == (pytest.approx(0.65), pytest.approx(0.1))
    assert float(line["low"]) < 0.65 < float(line["high"])
    assert float(line["gain_low"]) == float(line["gain_high"]) == pytest.approx(0.1)  # paired: the same in both cases
    (line,) = (x for x in lines if (x["dataset"], x["arm"], x["click"]) == ("mean", "n = 10", "1"))
    assert float(line["gain"]) == pytest.approx(0.05)
    assert [x["gain"] for x in lines if x["arm"] == ARMS[0].title] == [""] * 6


def test_growth_is_drawn(found, tmp_path):
    draw_growth(tmp_path / "g.png", "Growth", ARMS, found)
    assert (tmp_path / "g.png").read_bytes().startswith(b"\x89PNG")
