"""From scores to the figures of the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scr.evaluation.scope_plots import Ranking
from scr.scope.measure import auroc, average_precision, calibration_error

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

    def ranking(self, name: str) -> Ranking:
        """What is drawn of it."""
        asked = self.data.asked
        return Ranking(name, self.top, np.array([bool(a.facts) for a in asked]), [a.kind for a in asked])

    def mask(self, kinds: Sequence[str]) -> NDArray[np.bool_]:
        """Which questions are of these kinds."""
        return np.array([a.kind in kinds for a in self.data.asked])


def figures(scored: Scored, threshold: float, *, probabilities: bool, seed: int = 0) -> dict[str, Any]:
    """Every figure of one classifier on one set, with 95 % intervals of a bootstrap over records where it matters."""
    inside = np.array([bool(a.facts) for a in scored.data.asked])
    out: dict[str, Any] = {
        "questions": len(inside),
        "in_scope": int(inside.sum()),
        "dropped": scored.data.dropped,
        "threshold": threshold,
    }
    kinds = sorted({a.kind for a in scored.data.asked})
    out["false_fires_at_threshold"] = {
        k: rate(scored.top[scored.mask([k])] >= threshold) for k in kinds if k not in IN_SCOPE
    }
    if not inside.any():
        out["false_fires_at_threshold"]["all"] = rate(scored.top >= threshold)
        return out
    groups = {kind: (kind,) for kind in IN_SCOPE if kind in kinds} | {"rel+gen": IN_SCOPE[:2], "all": IN_SCOPE}
    out["auroc"] = {name: with_interval(scored, members, seed) for name, members in groups.items()}
    out["average_precision"] = average_precision(scored.top, inside)
    direct = scored.mask(IN_SCOPE[:2])
    cut = float(np.quantile(scored.top[direct], 0.05, method="lower"))
    out["at_95_recall"] = {"threshold": cut} | {
        k: rate(scored.top[scored.mask([k])] >= cut) for k in kinds if k not in IN_SCOPE
    }
    out["at_95_recall"]["all"] = rate(scored.top[~inside] >= cut)
    right = np.array([w in a.facts for w, a in zip(scored.winner.tolist(), scored.data.asked, strict=True)])
    hit = right & (scored.top >= threshold)
    for name, members in groups.items():
        own = scored.mask(members)
        places = [
            (a.facts, row) for a, row, keep in zip(scored.data.asked, scored.found.tolist(), own, strict=True) if keep
        ]
        out.setdefault("right_fact", {})[name] = rate(hit[own])
        out.setdefault("recall_at_threshold", {})[name] = rate(scored.top[own] >= threshold)
        out.setdefault("retrieval", {})[name] = {
            str(k): rate([bool(set(facts) & set(row[:k])) for facts, row in places]) for k in (1, 5, 10, 20)
        }
    out["false_fires_at_threshold"]["all"] = rate(scored.top[~inside] >= threshold)
    if probabilities:
        out["calibration_error"] = calibration_error(scored.top, inside)
        out["calibration_error_direct"] = calibration_error(scored.top[direct | ~inside], inside[direct | ~inside])
    return out


def rate(hits: Any) -> float:
    """Share of true values, rounded."""
    return round(float(np.mean(hits)), 4) if len(hits) else float("nan")


def with_interval(scored: Scored, kinds: Sequence[str], seed: int, rounds: int = 200) -> dict[str, float]:
    """AUROC of some kinds against every question out of scope, and its 95 % interval over resampled records."""
    inside, outside = scored.mask(kinds), np.array([not a.facts for a in scored.data.asked])
    records = np.array([a.record for a in scored.data.asked])
    rng = np.random.default_rng(seed)
    drawn: list[float] = []
    for _ in range(rounds):
        weight = np.bincount(rng.integers(0, records.max() + 1, records.max() + 1), minlength=records.max() + 1)[
            records
        ]
        drawn.append(
            auroc(np.repeat(scored.top[inside], weight[inside]), np.repeat(scored.top[outside], weight[outside]))
        )
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return {
        "value": round(auroc(scored.top[inside], scored.top[outside]), 4),
        "low": round(float(low), 4),
        "high": round(float(high), 4),
    }


def extremes(scored: Scored, count: int = 100) -> dict[str, list[dict[str, Any]]]:
    """The highest-scoring questions out of scope and the lowest in scope, to look at."""
    inside = np.array([bool(a.facts) for a in scored.data.asked])
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
