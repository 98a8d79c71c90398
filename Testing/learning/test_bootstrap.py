from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from MemorizingSAM3DLib.learning.bootstrap import CaseBootstrap

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
