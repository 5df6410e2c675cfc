"""95 % intervals by a bootstrap over records, all rounds at once.

A figure is a function of weights: how often each question was drawn in each round. With weights of one it is the figure
of the questions as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Weights: TypeAlias = NDArray[np.float64]
"""How often each question was drawn, shape (r, q)."""

Figure: TypeAlias = Callable[[Weights], NDArray[np.float64]]
"""A figure of each round, shape (r,); NaN where a round drew none of its questions."""

Flags: TypeAlias = NDArray[np.bool_]
"""Which questions, shape (q,)."""

_BINS = 15
"""Of the calibration error, as in `scr.scope.measure`."""


def resampled(records: NDArray[np.int64], rounds: int = 200, seed: int = 0) -> Weights:
    """How often each question is drawn if its record is, and as many records are drawn as there are.

    Args:
        records: of each question, shape (q,).
        rounds: of drawing.
        seed: of the generator.
    """
    count = int(records.max()) + 1
    drawn = np.random.default_rng(seed).integers(0, count, (rounds, count))
    times = np.stack([np.bincount(one, minlength=count) for one in drawn])
    return times[:, records].astype(np.float64)


def interval(figure: Figure, weights: Weights) -> dict[str, float]:
    """Where the figure lies in 95 of 100 rounds."""
    with np.errstate(invalid="ignore"):
        low, high = np.nanquantile(figure(weights), [0.025, 0.975])
    return {"low": round(float(low), 4), "high": round(float(high), 4)}


def share(hits: Flags, among: Flags) -> Figure:
    """Share of some questions that are hits."""
    return lambda weights: weights[:, among] @ hits[among] / weights[:, among].sum(1)


def separation(scores: NDArray[np.float32], inside: Flags, outside: Flags) -> Figure:
    """AUROC of some questions against others, ties counted half."""
    order = np.argsort(scores, kind="stable")
    steps = np.unique(scores[order], return_index=True)[1]

    def figure(weights: Weights) -> NDArray[np.float64]:
        high, low = (np.add.reduceat((weights * side)[:, order], steps, axis=1) for side in (inside, outside))
        below: NDArray[np.float64] = (high * (low.cumsum(1) - low / 2)).sum(1)
        return below / (high.sum(1) * low.sum(1))

    return figure


def fires_at_recall(scores: NDArray[np.float32], wanted: Flags, outside: Flags, missed: float = 0.05) -> Figure:
    """Share of the questions out of scope at or above the score that all but `missed` of the wanted ones reach."""
    rows = np.flatnonzero(wanted)
    rows = rows[np.argsort(scores[rows], kind="stable")]

    def figure(weights: Weights) -> NDArray[np.float64]:
        drawn = weights[:, rows].cumsum(1)
        rank = np.floor(missed * (drawn[:, -1:] - 1))
        cut = scores[rows[np.minimum((drawn <= rank).sum(1), len(rows) - 1)]]
        fires: NDArray[np.float64] = (weights[:, outside] * (scores[outside] >= cut[:, None])).sum(1)
        return fires / weights[:, outside].sum(1)

    return figure


def miscalibration(probabilities: NDArray[np.float32], inside: Flags, among: Flags) -> Figure:
    """Expected calibration error of some questions, as `scr.scope.measure.calibration_error`."""
    p = probabilities[among].astype(np.float64)
    bins: NDArray[Any] = np.eye(_BINS)[np.minimum((p * _BINS).astype(int), _BINS - 1)]
    gaps = bins * (inside[among] - p)[:, None]
    return lambda weights: np.abs(weights[:, among] @ gaps).sum(1) / weights[:, among].sum(1)
