from __future__ import annotations

import csv

import pytest

from MemorizingSAM3DLib.learning.case_arms import Ablations, arms_of
from MemorizingSAM3DLib.learning.case_tables import COLUMNS, draw_growth, write_csv
from MemorizingSAM3DLib.learning.mais_tables import compared

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
