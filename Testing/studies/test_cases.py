from __future__ import annotations

import csv

import pytest

from studies.cases import COLUMNS, WITHOUT, Ablations, draw_growth, variants_of, write_csv
from studies.mais import compared

TRIED = Ablations((1, 3, 10), (4, 5), (1, 3), (0.0, 0.3), True)


def test_everything_is_measured_against_the_same_without_memory():
    for table in ("growth", "absent", "attention"):
        first, *others = variants_of(table, TRIED)
        assert (first.title, first.remembered, first.against) == (WITHOUT, 0, None)
        assert {variant.against for variant in others} == {WITHOUT} and all(variant.remembered for variant in others)
        assert len({variant.title for variant in (first, *others)}) == len(others) + 1


def test_growth_asks_all_cases_and_those_of_the_name():
    variants = variants_of("growth", TRIED)[1:]
    assert [(variant.remembered, variant.names) for variant in variants] == [
        (n, names) for names in ("all", "known") for n in (1, 3, 10)
    ]
    assert all(variant.block is None for variant in variants)


def test_an_absent_structure_is_left_out_of_the_largest_memory():
    (variant,) = variants_of("absent", TRIED)[1:]
    assert (variant.remembered, variant.names) == (10, "absent")


def test_equal_arms_of_the_ablations_share_an_evaluation():
    variants = variants_of("attention", TRIED)[1:]
    assert all(variant.block is not None for variant in variants)
    shared = [variant.title for variant in variants if variant.folder == "n-10-block-4-k-3-ratio-0.3"]
    assert shared == ["k = 3", "local ratio 0.3", "block 4", "n = 10"]
    assert (
        len({variant.folder for variant in variants}) == 1 + 1 + 1 + 1 + 2
    )  # that one; k = 1, ratio 0, block 5, n = 1, n = 3


ARMS = variants_of("growth", Ablations((1, 10)))


@pytest.fixture
def found():
    """Two datasets of two cases; each remembered case adds 0.01, nothing is gained on the second dataset."""
    dice = {}
    for variant in ARMS:
        gain = {"one": 0.01 * variant.remembered, "two": 0.0}
        dice[variant.title] = {
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
