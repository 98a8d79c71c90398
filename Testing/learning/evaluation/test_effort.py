from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from MemorizingSAM3DLib.learning.evaluation.effort import monotony, prompts_to, prompts_to_targets
from MemorizingSAM3DLib.learning.evaluation.results import ClickScore, Run
from Testing.learning.small_evaluations import a_run

CURVES = st.lists(st.integers(0, 100).map(lambda n: n / 100), min_size=1, max_size=12)


def model(*dice: float) -> Run:
    return a_run("model", "model", *dice)


def test_prompts_that_lose_are_counted_by_how_much_they_lose():
    found = monotony([[model(0.5, 0.6, 0.58, 0.5, 0.5), model(0.9, 0.895, 0.9)]])
    assert found == {
        "prompts": 6,
        "lost_0.01": pytest.approx(2 / 6, abs=1e-4),
        "lost_0.05": pytest.approx(1 / 6, abs=1e-4),
    }


def test_a_loss_of_just_as_much_is_not_more():
    assert monotony([[model(0.5, 0.49, 0.44)]]) == {"prompts": 2, "lost_0.01": 0.5, "lost_0.05": 0.0}


def test_the_share_of_each_dataset_counts_alike():
    found = monotony([[model(0.5, 0.3)], [model(0.5, 0.6), model(0.5, 0.6), model(0.5, 0.6)], [model(0.5)]])
    assert (found["prompts"], found["lost_0.01"]) == (4, 0.5)


def test_prompts_that_were_not_made_or_failed_are_not_counted():
    scores = (*model(0.5, 0.4).scores, ClickScore(None, None, None, 0.4, None, None))
    failed = ClickScore("point", (0, 0, 0), True, 0.5, None, None)
    assert monotony([[Run("model", "model", scores), Run("model", "model", (*model(0.5).scores, failed))]]) == {
        "prompts": 1, "lost_0.01": 1.0, "lost_0.05": 1.0,
    }  # fmt: skip


def test_without_a_second_prompt_nothing_can_be_lost():
    assert monotony([[model(0.5)]]) == {"prompts": 0, "lost_0.01": None, "lost_0.05": None}


@given(CURVES)
def test_a_curve_that_never_falls_loses_nothing(dice):
    found = monotony([[model(*sorted(dice))]])
    assert not found["lost_0.01"] and not found["lost_0.05"]


@given(CURVES)
def test_every_loss_of_the_larger_kind_is_one_of_the_smaller(dice):
    found = monotony([[model(*dice)]])
    assert len(dice) == 1 or 0 <= found["lost_0.05"] <= found["lost_0.01"] <= 1


def test_the_first_prompt_that_reaches_a_dice_counts_even_if_it_is_lost_again():
    assert prompts_to(0.8, model(0.5, 0.8, 0.7, 0.9)) == 2
    assert prompts_to(0.85, model(0.5, 0.8)) is None


def test_the_mean_is_over_those_that_reach_it_and_the_rest_is_told():
    found = prompts_to_targets([[model(0.8, 0.9), model(0.1, 0.86), model(0.1, 0.2)]])
    assert found["0.80"] == {"mean": 1.5, "median": 2.0, "never": pytest.approx(1 / 3, abs=1e-4)}
    assert found["0.90"] == {"mean": 2.0, "median": None, "never": pytest.approx(2 / 3, abs=1e-4)}


def test_where_none_reaches_it_there_is_no_mean():
    assert prompts_to_targets([[model(0.1)]])["0.80"] == {"mean": None, "median": None, "never": 1.0}


def test_datasets_count_alike_in_means_and_shares_and_structures_in_the_median():
    found = prompts_to_targets([[model(0.9, 0.9)], [model(0.1, 0.9), model(0.1, 0.9), model(0.1, 0.1)]])
    assert found["0.80"] == {"mean": 1.5, "median": 2.0, "never": pytest.approx(1 / 6, abs=1e-4)}


@given(st.lists(CURVES, min_size=1, max_size=5))
def test_a_higher_dice_is_reached_no_more_often(curves):
    found = prompts_to_targets([[model(*dice) for dice in curves]])
    assert found["0.80"]["never"] <= found["0.85"]["never"] <= found["0.90"]["never"]
