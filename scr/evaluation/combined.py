"""Whether two methods differ in a harmonic mean of several dimensions, which belongs to no single record."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scr.evaluation.metrics import harmonic_mean
from scr.evaluation.statistics import PERMUTATIONS, Paired, bootstrap_means, interval, means

_SEED = 20_240_603
_AT_ONCE = 2**22
# Numbers drawn together, so that memory stays bounded whatever the number of records.


def paired_harmonic(first: NDArray[np.float64], second: NDArray[np.float64]) -> tuple[float, float, Paired]:
    """Harmonic mean over dimensions of each method's means over records, and the first minus the second.

    The interval is a percentile bootstrap over records, the same ones for both; p is of a permutation test that swaps
    the methods' names at random within records, with the observed names among them.

    Args:
        first: what each record scores, shape (n, d); NaN where it has no such question.
        second: the same of the other method, on the same records.

    Raises:
        ValueError: a dimension has no record with a value of both.
    """
    missing = np.isnan(first) | np.isnan(second)
    first, second = (np.where(missing, np.nan, side) for side in (first, second))
    values = [float(harmonic_mean(means(side))) for side in (first, second)]
    # The records that are drawn depend on their number alone, so that both sides get the same ones.
    draws = [harmonic_mean(bootstrap_means(side)) for side in (first, second)]
    between = interval(values[0] - values[1], draws[0] - draws[1], int((~missing).any(axis=1).sum()))
    p = _p(first, second, abs(values[0] - values[1]))
    return values[0], values[1], Paired(between.value, between.low, between.high, p, between.n)


def _p(first: NDArray[np.float64], second: NDArray[np.float64], observed: float) -> float:
    """Share of swaps that give a difference as large."""
    own, other = means(first), means(second)
    # What a record's swap takes from one mean and gives to the other.
    gains = np.nan_to_num(second - first) / (~np.isnan(first)).sum(axis=0)
    gains = gains[gains.any(axis=1)]
    generator = np.random.default_rng(_SEED)
    step = max(_AT_ONCE // max(len(gains), 1), 1)
    reached = 1
    for start in range(0, PERMUTATIONS - 1, step):
        rows = min(step, PERMUTATIONS - 1 - start)
        moved = generator.integers(0, 2, (rows, len(gains)), dtype=np.int8).astype(float) @ gains
        # Rounding must neither hide a tie nor push a share below nothing.
        difference = harmonic_mean(np.clip(own + moved, 0, None)) - harmonic_mean(np.clip(other - moved, 0, None))
        reached += int(np.sum(np.abs(difference) >= observed - 1e-9))
    return reached / PERMUTATIONS
