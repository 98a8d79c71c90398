from __future__ import annotations

import json

import pytest

from MemorizingSAM3DLib.learning.summary import Summing, summarise
from Testing.learning.small_evaluations import BallTool, a_result, a_run


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
