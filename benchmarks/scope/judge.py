"""From scores to the figures of the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scr.evaluation.scope_plots import Ranking
from scr.scope.measure import auroc, average_precision, calibration_error

from .intervals import Weights, fires_at_recall, interval, miscalibration, resampled, separation, share
from .sets import IN_SCOPE, ScopeSet


@dataclass(frozen=True)
class Scored:
    """What a classifier said of every question of a set.

    Attributes:
        data: the set.
        found: places of the retrieved facts, nearest first, shape (q, k).
        scores: the classifier's word on each, shape (q, k).
    """

    data: ScopeSet
    found: NDArray[np.int64]
    scores: NDArray[np.float32]

    @property
    def top(self) -> NDArray[np.float32]:
        """Highest score of each question, shape (q,)."""
        return self.scores.max(1)

    @property
    def winner(self) -> NDArray[np.int64]:
        """Place of the fact with the highest score, shape (q,)."""
        return self.found[np.arange(len(self.found)), self.scores.argmax(1)]

    @property
    def inside(self) -> NDArray[np.bool_]:
        """Which questions a fact governs, shape (q,)."""
        return np.array([bool(a.facts) for a in self.data.asked])

    @cached_property
    def governing(self) -> NDArray[np.bool_]:
        """Which of the retrieved facts govern their question, shape (q, k)."""
        return np.array([np.isin(row, a.facts) for row, a in zip(self.found, self.data.asked, strict=True)])

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether the fact with the highest score governs the question, shape (q,)."""
        return self.governing[np.arange(len(self.found)), self.scores.argmax(1)]

    def right_applies(self, threshold: float) -> NDArray[np.bool_]:
        """Whether a fact that governs the question is among those that reach the threshold, shape (q,)."""
        return (self.governing & (self.scores >= threshold)).any(1)

    def ranking(self, name: str) -> Ranking:
        """What is drawn of it."""
        asked = self.data.asked
        return Ranking(name, self.top, self.inside, [a.kind for a in asked])

    def mask(self, kinds: Sequence[str]) -> NDArray[np.bool_]:
        """Which questions are of these kinds."""
        return np.array([a.kind in kinds for a in self.data.asked])


def figures(scored: Scored, threshold: float, *, probabilities: bool, seed: int = 0) -> dict[str, Any]:
    """Every figure of one classifier on one set.

    `intervals` has the same names as the figures beside it: 95 % intervals of a bootstrap over records. The one at 95 %
    recall picks its threshold anew in each round.
    """
    inside, direct, fires = scored.inside, scored.mask(IN_SCOPE[:2]), scored.top >= threshold
    weights = resampled(np.array([a.record for a in scored.data.asked]), seed=seed)
    kinds = sorted({a.kind for a in scored.data.asked})
    intervals: dict[str, Any] = {"false_fires_at_threshold": {"all": interval(share(fires, ~inside), weights)}}
    out: dict[str, Any] = {
        "questions": len(inside),
        "in_scope": int(inside.sum()),
        "dropped": scored.data.dropped,
        "threshold": threshold,
        "false_fires_at_threshold": _false_fires(scored, kinds, threshold),
    }
    if not inside.any():
        return out | {"intervals": intervals}
    groups = {kind: (kind,) for kind in IN_SCOPE if kind in kinds} | {"rel+gen": IN_SCOPE[:2], "all": IN_SCOPE}
    out["auroc"] = {name: with_interval(scored, members, weights) for name, members in groups.items()}
    out["average_precision"] = average_precision(scored.top, inside)
    cut = float(np.quantile(scored.top[direct], 0.05, method="lower"))
    out["at_95_recall"] = {"threshold": cut} | _false_fires(scored, kinds, cut)
    intervals["at_95_recall"] = {"all": interval(fires_at_recall(scored.top, direct, ~inside), weights)}
    hits = {"right_fact": scored.right & fires, "right_fact_applies": scored.right_applies(threshold)}
    for figure, flags in {**hits, "recall_at_threshold": fires}.items():
        own = {name: scored.mask(members) for name, members in groups.items()}
        out[figure] = {name: rate(flags[mask]) for name, mask in own.items()}
        intervals[figure] = {name: interval(share(flags, mask), weights) for name, mask in own.items()}
    out["retrieval"] = {name: _retrieval(scored, scored.mask(members)) for name, members in groups.items()}
    if probabilities:
        either = {"calibration_error": np.ones_like(inside), "calibration_error_direct": direct | ~inside}
        for figure, mask in either.items():
            out[figure] = calibration_error(scored.top[mask], inside[mask])
            intervals[figure] = interval(miscalibration(scored.top, inside, mask), weights)
    return out | {"intervals": intervals}


def _false_fires(scored: Scored, kinds: Sequence[str], cut: float) -> dict[str, float]:
    """Share of the questions out of scope that reach a score, by kind and of all."""
    shares = {kind: rate(scored.top[scored.mask([kind])] >= cut) for kind in kinds if kind not in IN_SCOPE}
    return shares | {"all": rate(scored.top[~scored.inside] >= cut)}


def _retrieval(scored: Scored, own: NDArray[np.bool_]) -> dict[str, float]:
    """Share of some questions that have a right fact among so many nearest."""
    return {str(k): rate(scored.governing[own, :k].any(1)) for k in (1, 5, 10, 20)}


def rate(hits: Any) -> float:
    """Share of true values, rounded."""
    return round(float(np.mean(hits)), 4) if len(hits) else float("nan")


def with_interval(scored: Scored, kinds: Sequence[str], weights: Weights) -> dict[str, float]:
    """AUROC of some kinds against every question out of scope, and its 95 % interval over resampled records."""
    inside, outside = scored.mask(kinds), ~scored.inside
    value = round(auroc(scored.top[inside], scored.top[outside]), 4)
    return {"value": value, **interval(separation(scored.top, inside, outside), weights)}


def extremes(scored: Scored, count: int = 100) -> dict[str, list[dict[str, Any]]]:
    """The highest-scoring questions out of scope and the lowest in scope, to look at."""
    inside = scored.inside
    order = np.argsort(-scored.top, kind="stable")

    def row(place: int) -> dict[str, Any]:
        asked = scored.data.asked[place]
        right = [scored.data.facts[f] for f in asked.facts][:1]
        return {
            "query": asked.query,
            "kind": asked.kind,
            "score": round(float(scored.top[place]), 4),
            "fact": scored.data.facts[scored.winner[place]],
            **({"right": right[0]} if right else {}),
        }

    return {
        "false_fires": [row(p) for p in order if not inside[p]][:count],
        "misses": [row(p) for p in order[::-1] if inside[p]][:count],
    }
