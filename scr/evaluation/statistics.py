"""How sure a figure is: intervals and tests that resample records, never single questions.

Questions of one record share its edit, so they are no independent draws; records are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scr.evaluation.results import Interval

RESAMPLES = 2_000
"""Resamples behind an interval."""

PERMUTATIONS = 10_000
"""Permutations behind a p, the observed one included; so its least value is 1/10,000."""

LEVEL = 0.95
_SEED = 20_240_601
_AT_ONCE = 2**22
# Numbers drawn together: memory stays at some ten MB whatever the number of records.
_DIGITS = 12
# Sums in another order differ beyond the fifteenth; two runs are to give the same file.


@dataclass(frozen=True, slots=True)
class Paired:
    """Two methods on the same records.

    Attributes:
        difference: mean of the first minus mean of the second.
        low: lower end of its 95 % bootstrap interval.
        high: its upper end.
        p: two-sided, of the permutation test: how often a difference as large comes about where the methods' names
            are swapped at random within records.
        n: how many records.
    """

    difference: float
    low: float
    high: float
    p: float
    n: int


def mean_interval(values: ArrayLike) -> Interval:
    """The mean of one value a record, shape (n,), with its percentile bootstrap interval (Efron 1979; 95 %).

    Raises:
        ValueError: there is no value.
    """
    column = np.asarray(values, float).reshape(-1, 1)
    (mean,) = means(column)
    return interval(float(mean), bootstrap_means(column)[:, 0], len(column))


def means(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean of each column, shape (n, d) → (d,), over the records that have a value there (not NaN).

    Raises:
        ValueError: a column has none.
    """
    present = ~np.isnan(columns)
    counts = present.sum(axis=0)
    if not counts.all():
        raise ValueError("a mean of no values is not defined: leave out what no record has")
    return np.asarray(np.where(present, columns, 0).sum(axis=0) / counts)


def bootstrap_means(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means of resampled records, shape (n, d) → (RESAMPLES, d); the columns of one resample are of the same records.

    Records without a value (NaN) are drawn like the others and leave their column's mean to those that have one; a
    resample without any is NaN there.
    """
    present = ~np.isnan(columns)
    filled = np.where(present, columns, 0)
    drawn = [(weights @ filled, weights @ present.astype(float)) for weights in _weights(len(columns))]
    sums, counts = (np.concatenate(parts) for parts in zip(*drawn, strict=True))
    return np.asarray(np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0), float)


def _weights(records: int) -> Iterator[NDArray[np.float64]]:
    """How often each record is in each resample, some resamples at a time: (RESAMPLES, records) in all."""
    generator = np.random.default_rng(_SEED)
    step = max(_AT_ONCE // max(records, 1), 1)
    for start in range(0, RESAMPLES, step):
        rows = min(step, RESAMPLES - start)
        drawn = generator.integers(0, records, (rows, records)) + np.arange(rows)[:, None] * records
        counts = np.bincount(drawn.ravel(), minlength=rows * records)
        yield counts.reshape(rows, records).astype(float)


def interval(value: float, draws: NDArray[np.float64], n: int) -> Interval:
    """A figure with the 95 % percentile interval of its resampled values, shape (RESAMPLES,); NaN are left out."""
    low, high = np.nanpercentile(draws, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return Interval(round(value, _DIGITS), round(float(low), _DIGITS), round(float(high), _DIGITS), n)


def paired_test(first: Sequence[float] | NDArray[np.float64], second: Sequence[float] | NDArray[np.float64]) -> Paired:
    """Whether two methods differ, from one value of each a record, in the same order of records.

    The interval is a percentile bootstrap of the mean difference; p is of a permutation test on the mean difference
    (Fisher 1935; every swap where there are few, else random ones with the observed among them, Phipson and Smyth
    2010). Records without a difference change nothing in it, so they are not swapped.

    Raises:
        ValueError: they are not of the same number of records, or of none, or a value is missing.
    """
    differences = np.asarray(first, float) - np.asarray(second, float)
    if len(first) != len(second) or not len(first) or np.isnan(differences).any():
        raise ValueError("a paired test needs a value of both methods for each record, and at least one record")
    both = mean_interval(differences)
    return Paired(both.value, both.low, both.high, _p(differences[differences != 0]), len(differences))


def _p(differences: NDArray[np.float64]) -> float:
    """Share of swaps that give a mean as far from 0."""
    observed = abs(float(differences.sum()))
    least = observed - 1e-9 * max(observed, 1.0)  # rounding must not hide a tie
    count = len(differences)
    if 2**count <= PERMUTATIONS:
        signs = np.array(list(product((-1, 1), repeat=count)), float).reshape(2**count, count)
        return round(float(np.mean(np.abs(signs @ differences) >= least)), _DIGITS)
    generator = np.random.default_rng(_SEED)
    step = max(_AT_ONCE // count, 1)
    reached = 1
    for start in range(0, PERMUTATIONS - 1, step):
        rows = min(step, PERMUTATIONS - 1 - start)
        signs = generator.integers(0, 2, (rows, count), dtype=np.int8) * 2.0 - 1
        reached += int(np.sum(np.abs(signs @ differences) >= least))
    return reached / PERMUTATIONS
