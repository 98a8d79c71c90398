from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from MemorizingSAM3DLib.learning.evaluation.statistics import CaseBootstrap, Summing, summarise
from Testing.learning.small_evaluations import BallTool, a_result, a_run

# Structures as (dataset, case, score).
ROWS = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 4), st.floats(0, 1)), min_size=1, max_size=25)


def bootstrap_of(rows, replicates=200, seed=0) -> tuple[CaseBootstrap, np.ndarray]:
    values = np.array([[score] for _, _, score in rows])
    return CaseBootstrap([d for d, _, _ in rows], [f"{d}/{c}" for d, c, _ in rows], replicates, seed), values


@settings(max_examples=60, deadline=None)
@given(rows=ROWS)
def test_means_are_plain_means_and_lie_within_the_scores(rows):
    bootstrap, values = bootstrap_of(rows)
    by_dataset = {name: [score for d, _, score in rows if d == name] for name in bootstrap.names}
    overall = bootstrap.over_datasets(values)
    assert overall.mean[0] == pytest.approx(np.mean([np.mean(scores) for scores in by_dataset.values()]))
    for name, scores in by_dataset.items():
        estimate = bootstrap.of_dataset(name, values)
        assert estimate.mean[0] == pytest.approx(np.mean(scores))
        low, high = estimate.interval()
        assert min(scores) - 1e-9 <= low[0] <= high[0] <= max(scores) + 1e-9


@settings(max_examples=30, deadline=None)
@given(rows=ROWS, seed=st.integers(0, 1000))
def test_a_seed_decides_the_interval_and_the_order_of_structures_does_not(rows, seed):
    bootstrap, values = bootstrap_of(rows, seed=seed)
    turned, turned_values = bootstrap_of(rows[::-1], seed=seed)
    expected = bootstrap.over_datasets(values).interval()
    np.testing.assert_allclose(bootstrap_of(rows, seed=seed)[0].over_datasets(values).interval(), expected)
    np.testing.assert_allclose(turned.over_datasets(turned_values).interval(), expected, atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(score=st.floats(0, 1), rows=ROWS)
def test_equal_scores_have_an_interval_without_width(score, rows):
    bootstrap, values = bootstrap_of([(d, c, score) for d, c, _ in rows])
    low, high = bootstrap.over_datasets(values).interval()
    assert low[0] == pytest.approx(score) and high[0] == pytest.approx(score)


@settings(max_examples=30, deadline=None)
@given(rows=ROWS, shift=st.floats(0, 0.5))
def test_differences_are_paired_so_a_constant_one_is_certain(rows, shift):
    bootstrap, values = bootstrap_of(rows)
    difference = bootstrap.over_datasets(values + shift).minus(bootstrap.over_datasets(values))
    np.testing.assert_allclose(np.concatenate(difference.interval()), shift, atol=1e-9)


def test_structures_of_one_case_are_drawn_together():
    # A thousand structures that agree within each of four cases are no more evidence than four.
    few = [("a", case, float(case % 2)) for case in range(4)]
    many = few * 250
    low, high = bootstrap_of(few, 4000)[0].over_structures(np.array([[s] for *_, s in few])).interval()
    many_low, many_high = bootstrap_of(many, 4000)[0].over_structures(np.array([[s] for *_, s in many])).interval()
    assert (many_low[0], many_high[0]) == (low[0], high[0])
    assert high[0] - low[0] > 0.7


def test_the_interval_narrows_as_the_square_root_of_the_cases():
    rng = np.random.default_rng(1)
    widths = []
    for count in (25, 400):
        rows = [("a", case, score) for case, score in enumerate(rng.normal(0.5, 0.1, count))]
        bootstrap, values = bootstrap_of(rows, 3000)
        low, high = bootstrap.over_structures(values).interval()
        widths.append(high[0] - low[0])
        assert high[0] - low[0] == pytest.approx(2 * 1.96 * 0.1 / np.sqrt(count), rel=0.35)
    assert widths[0] / widths[1] == pytest.approx(4, rel=0.4)


def test_every_dataset_weighs_alike():
    rows = [("a", case, 0.2) for case in range(9)] + [("b", 0, 0.8)]
    bootstrap, values = bootstrap_of(rows)
    assert bootstrap.over_datasets(values).mean[0] == pytest.approx(0.5)
    assert bootstrap.over_structures(values).mean[0] == pytest.approx(0.26)


def test_a_structure_that_some_replicates_lack_is_averaged_over_the_others():
    rows = [("a", 0, 0.3), ("a", 1, 0.9), ("a", 1, 0.5)]
    bootstrap, values = bootstrap_of(rows, 500)
    only_first = bootstrap.over_structures(values, np.array([True, False, False]))
    assert np.isnan(only_first.replicates).any()
    low, high = only_first.interval()
    assert low[0] == high[0] == pytest.approx(0.3)


def model_alone(dataset: str, case: str, *dice: float, label: int = 1, nsd: bool = True):
    return a_result(dataset, case, a_run("model", "model", *dice, nsd=nsd), label=label)


def test_the_mean_weighs_every_dataset_alike_and_keeps_maxima_apart():
    results = [
        model_alone("many", "1", 0.2, 0.9, 0.4), model_alone("many", "2", 0.2, 0.9, 0.4),
        model_alone("few", "1", 0.8, 0.8, 0.8),
    ]  # fmt: skip

    summary = summarise(results, [], Summing(3))

    assert summary["mean"]["dice"] == {"1": 0.5, "3": 0.6}
    assert summary["mean"]["dice_max"] == {"1": 0.5, "3": 0.85}
    assert summary["mean"]["nsd"] == {"1": 0.25, "3": 0.3}
    assert summary["mean"]["auc"]["dice"] == pytest.approx((0.6 + 0.8) / 2)
    assert summary["datasets"]["many"]["labels"] == 2
    assert summary["all_labels"]["dice"]["3"] == pytest.approx((0.4 + 0.4 + 0.8) / 3, abs=1e-4)
    assert summary["mean"]["curve"]["dice"]["mean"] == [0.5, 0.85, 0.6]


def test_nsd_is_averaged_over_the_datasets_that_have_it():
    results = [model_alone("ct", "1", 0.8), model_alone("acdc", "1", 0.2, nsd=False)]

    summary = summarise(results, [], Summing(1))

    assert summary["mean"]["nsd"] == {"1": 0.4}
    assert summary["datasets"]["acdc"]["nsd"] is None
    assert summary["datasets"]["acdc"]["auc"]["nsd"] is None
    assert summary["datasets"]["acdc"]["curve"]["nsd"] is None


def test_without_any_nsd_there_is_none():
    summary = summarise([model_alone("acdc", "1", 0.2, nsd=False)], [], Summing(1))
    assert summary["mean"]["nsd"] is None and "nsd" not in summary["mean"]["interval"]
    json.dumps(summary, allow_nan=False)


def test_structures_are_averaged_by_name_within_their_dataset():
    results = [model_alone("a", "1", 0.2), model_alone("a", "2", 0.6), model_alone("a", "2", 0.5, label=2)]
    labels = summarise(results, [], Summing(1))["labels"]["a"]
    assert labels["structure 1"]["dice"]["1"] == pytest.approx(0.4)
    assert labels["structure 2"]["dice"]["1"] == 0.5
    assert labels["structure 1"]["cases"] == 2


def test_baselines_come_with_how_far_the_model_is_ahead():
    tool = BallTool()
    results = [
        a_result(
            "a",
            str(case),
            a_run("model", "model", 0.5 + case / 10, 0.7, 0.8),
            a_run("ball", "model", 0.2 + case / 10, 0.3, 0.4),
        )
        for case in range(4)
    ]

    found = summarise(results, [tool], Summing(3))["baselines"]["ball"]

    assert found["mean"]["dice"] == {"1": 0.35, "3": 0.4}
    assert found["datasets"]["a"]["dice"]["3"] == 0.4
    assert found["parameters"] == {"radius_mm": 10.0}
    assert found["ahead"]["dice"]["1"] == {"difference": 0.3, "interval": [0.3, 0.3]}  # paired: every case is 0.3 ahead


def test_their_own_clicks_are_reported_apart():
    runs = (a_run("model", "model", 0.5), a_run("ball", "model", 0.2), a_run("ball", "own", 0.3))
    summary = summarise([a_result("a", "1", *runs)], [BallTool()], Summing(1))
    assert summary["baselines"]["ball"]["mean"]["dice"]["1"] == 0.2
    assert summary["baselines_own_clicks"]["ball"]["mean"]["dice"]["1"] == 0.3
    assert "baselines_own_clicks" not in summarise([a_result("a", "1", *runs[:2])], [BallTool()], Summing(1))


def test_intervals_enclose_their_means_and_narrow_with_more_cases():
    few = [model_alone("a", str(n), 0.3 + 0.4 * (n % 2)) for n in range(4)]
    many = [model_alone("a", str(n), 0.3 + 0.4 * (n % 2)) for n in range(64)]
    widths = []
    for results in (few, many):
        mean = summarise(results, [], Summing(1))["mean"]
        low, high = mean["interval"]["dice"]["1"]
        assert low <= mean["dice"]["1"] <= high
        widths.append(high - low)
    assert widths[1] < widths[0] / 2


def test_times_of_the_first_click_are_kept_apart_and_clicks_never_made_have_none():
    mean = summarise([model_alone("a", "1", 0.1, 0.2, 0.3)], [], Summing(3))["mean"]
    assert (mean["first_click_ms"], mean["later_click_ms"]) == (10.0, 25.0)
    assert summarise([model_alone("a", "1", 0.1)], [], Summing(1))["mean"]["later_click_ms"] is None


def test_failed_runs_are_counted():
    runs = (a_run("model", "model", 0.5), a_run("ball", "model", 0.0, failure="burst"))
    summary = summarise([a_result("a", "1", *runs)], [BallTool()], Summing(1))
    assert summary["mean"]["failed_runs"] == 0
    assert summary["baselines"]["ball"]["mean"]["failed_runs"] == 1


def test_what_the_model_was_never_trained_on_has_a_mean_of_its_own():
    results = [model_alone(name, "1", dice) for name, dice in (("known", 0.8), ("new", 0.4), ("newer", 0.2))]
    summary = summarise(results, [], Summing(1, never_trained=("new", "newer", "absent")))
    assert summary["never_trained"]["dice"] == {"1": pytest.approx(0.3)}
    assert summary["never_trained"]["labels"] == 2
    assert summary["mean"]["dice"]["1"] == pytest.approx(1.4 / 3, abs=1e-4)


def test_without_such_datasets_there_is_no_such_mean():
    assert summarise([model_alone("known", "1", 0.8)], [], Summing(1))["never_trained"] is None


def test_monotony_and_prompts_to_a_dice_are_told_of_each_dataset_and_over_them():
    results = [model_alone("a", "1", 0.5, 0.82, 0.7), model_alone("b", "1", 0.5, 0.6, 0.95)]
    summary = summarise(results, [], Summing(3))
    assert summary["datasets"]["a"]["monotony"] == {"prompts": 2, "lost_0.01": 0.5, "lost_0.05": 0.5}
    assert summary["mean"]["monotony"] == {"prompts": 4, "lost_0.01": 0.25, "lost_0.05": 0.25}
    assert summary["datasets"]["a"]["prompts_to"]["0.85"] == {"mean": None, "median": None, "never": 1.0}
    assert summary["mean"]["prompts_to"]["0.80"] == {"mean": 2.5, "median": 2.5, "never": 0.0}


def test_after_a_drawn_prompt_and_five_points_scores_are_told_too():
    results = [model_alone("a", "1", *(n / 10 for n in range(1, 8)))]
    assert list(summarise(results, [], Summing(7, start="box"))["mean"]["dice"]) == ["1", "3", "5", "6"]
    assert list(summarise(results, [], Summing(7))["mean"]["dice"]) == ["1", "3", "5"]


@pytest.mark.parametrize(("start", "prompts"), [("box", 6), ("point", 5)])
def test_the_challenges_figures_are_of_its_five_points(start, prompts):
    dice = [0.1] * (prompts - 5) + [1.0] * 5
    results = [a_result("a", "1", a_run("model", "model", *dice), a_run("ball", "model", *[0.5] * prompts))]
    summary = summarise(results, [BallTool()], Summing(prompts, start=start, protocol="cvpr25"))
    assert summary["challenge"]["clicks"] == 5
    assert summary["challenge"]["overall"]["dsc_auc"] == 4.0
    assert summary["baselines"]["ball"]["challenge"]["overall"]["dsc_auc"] == 2.0
    assert "challenge" not in summarise(results, [], Summing(prompts, start=start))
