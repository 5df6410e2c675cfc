"""Intervals and tests over records."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy import stats

from scr.evaluation.results import Interval
from scr.evaluation.statistics import PERMUTATIONS, RESAMPLES, bootstrap_means, mean_interval, means, paired_test


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(7)


def test_interval_is_scipys(random: np.random.Generator) -> None:
    values = random.beta(2, 5, 200)
    ours = mean_interval(values)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=1).confidence_interval
    assert ours.value == pytest.approx(values.mean())
    assert ours.n == 200
    width = theirs.high - theirs.low
    assert ours.low == pytest.approx(theirs.low, abs=0.05 * width)
    assert ours.high == pytest.approx(theirs.high, abs=0.05 * width)


def test_the_interval_holds_the_truth_about_as_often_as_it_says(random: np.random.Generator) -> None:
    held = 0
    for _ in range(200):
        one = mean_interval(random.random(60) < 0.7)
        held += one.low <= 0.7 <= one.high
    assert 176 <= held <= 199  # 95 % of 200 is 190


def test_next_to_no_records() -> None:
    assert mean_interval([0.25]) == Interval(0.25, 0.25, 0.25, 1)
    assert mean_interval([1, 1, 1, 1]) == Interval(1, 1, 1, 4)
    assert mean_interval([True, False]) == Interval(0.5, 0, 1, 2)
    with pytest.raises(ValueError, match="no values"):
        mean_interval([])


def test_the_same_values_give_the_same_interval(random: np.random.Generator) -> None:
    values = random.random(500)
    assert mean_interval(values) == mean_interval(values.copy())


def test_columns_are_resampled_together(random: np.random.Generator) -> None:
    values = random.random(50)
    draws = bootstrap_means(np.column_stack([values, 1 - values]))
    assert draws.shape == (RESAMPLES, 2)
    assert np.allclose(draws.sum(axis=1), 1)
    assert draws[:, 0].std() > 0.01


def test_records_without_a_value() -> None:
    column = np.full((40, 1), np.nan)
    column[3] = 0.5
    assert means(column) == [0.5]
    draws = bootstrap_means(column)
    assert set(draws[~np.isnan(draws)]) == {0.5}
    assert 0.3 < np.isnan(draws).mean() < 0.42  # (1 - 1/40) ** 40 of the resamples miss the record
    with pytest.raises(ValueError, match="no values"):
        means(np.full((2, 1), np.nan))


def test_many_records_take_little_time(random: np.random.Generator) -> None:
    start = time.perf_counter()
    mean_interval(random.random(20_000))
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize("n", [3, 8, 60, 400])
def test_p_is_scipys(n: int, random: np.random.Generator) -> None:
    first = (random.random(n) < 0.7).astype(float)
    second = random.random(n).round(1)
    ours = paired_test(first, second)
    theirs = stats.permutation_test(
        (first - second,),
        lambda x, axis: x.mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=PERMUTATIONS - 1,
        rng=1,
    )
    assert ours.difference == pytest.approx(theirs.statistic)
    assert ours.p == pytest.approx(theirs.pvalue, abs=1e-9 if n < 10 else 0.02)
    assert ours.n == n
    assert ours.low <= ours.difference <= ours.high


def test_p_of_a_difference_that_is_there_and_of_none(random: np.random.Generator) -> None:
    base = random.random(300)
    better = paired_test(base + 0.1, base)
    assert better.p == 1 / PERMUTATIONS
    assert (better.low, better.high) == pytest.approx((0.1, 0.1))
    same = paired_test(base, base)
    assert (same.difference, same.low, same.high, same.p) == (0, 0, 0, 1)
    assert paired_test([1.0], [0.0]).p == 1  # two swaps, both as far from 0


def test_p_is_right_where_nothing_differs(random: np.random.Generator) -> None:
    ps = [paired_test(random.random(12).round(2), random.random(12).round(2)).p for _ in range(200)]
    assert sum(p <= 0.05 for p in ps) <= 22
    assert sum(p <= 0.5 for p in ps) >= 70


@pytest.mark.parametrize(("first", "second"), [([1.0], [1.0, 0.0]), ([], []), ([1.0, np.nan], [0.0, 1.0])])
def test_what_is_not_paired(first: list[float], second: list[float]) -> None:
    with pytest.raises(ValueError, match="paired test"):
        paired_test(first, second)
