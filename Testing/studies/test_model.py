from __future__ import annotations

import math

import pytest

from studies.model import TABLES, TITLES, mean_over_seeds, model_variants, spread_over_seeds

A, B = ("one", "case", "1"), ("one", "case", "2")


@pytest.mark.parametrize("table", TABLES)
def test_an_ablation_changes_one_thing_of_the_plain_network(table):
    plain, other = model_variants(table)
    assert plain.against is None and other.against == plain.title and table in TITLES
    fields = ("changes", "synthetic", "token_loss", "teacher")
    assert sum(getattr(plain.training, name) != getattr(other.training, name) for name in fields) == 1
    assert plain.training == model_variants("stem")[0].training


def test_dice_is_the_mean_over_seeds_of_what_all_of_them_segmented():
    assert mean_over_seeds([{A: [0.2, 0.4], B: [1.0, 1.0]}, {A: [0.4, 0.8]}]) == {A: pytest.approx([0.3, 0.6])}


def test_the_spread_over_seeds_is_that_of_the_mean_over_structures():
    spread = spread_over_seeds({"two": [{A: [0.2], B: [0.4]}, {A: [0.4], B: [0.4]}], "one": [{A: [0.2]}]}, 1)
    assert spread["two"] == pytest.approx(0.1 / math.sqrt(2)) and math.isnan(spread["one"])
