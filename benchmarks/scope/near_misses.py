"""The near-misses written by hand: pairs of a fact and a query that it governs, or only seems to govern."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from scr.scope.measure import auroc

from .intervals import Flags, interval, resampled, separation, share
from .judge import Scored, rate
from .sets import Asked, ScopeSet

NEAR_MISSES = "near_misses"
_SUITE = Path(__file__).parents[2] / "tests/scope/near_misses.jsonl"


def near_misses(path: Path = _SUITE) -> ScopeSet:
    """The suite as a set; a question's record is its fact, whether that governs it or not."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    facts = tuple(dict.fromkeys(row["fact"] for row in rows))
    place = {fact: number for number, fact in enumerate(facts)}
    asked = (
        Asked(row["query"], row["kind"], (place[row["fact"]],) if row["governs"] else (), place[row["fact"]])
        for row in rows
    )
    return ScopeSet(NEAR_MISSES, facts, tuple(asked))


def pair_figures(scored: Scored, threshold: float) -> dict[str, Any]:
    """What a classifier says of the pairs, each of them one candidate; 95 % intervals of a bootstrap over facts."""
    inside, scores = scored.inside, scored.top
    weights = resampled(np.array([a.record for a in scored.data.asked]))
    right = (scores >= threshold) == inside
    every = np.ones_like(inside)
    kinds = {kind: scored.mask([kind]) for kind in sorted({a.kind for a in scored.data.asked})}
    return {
        "threshold": threshold,
        **_of(scored, threshold, every),
        "intervals": {
            "auroc": interval(separation(scores, inside, ~inside), weights),
            "right": interval(share(right, every), weights),
            "recall": interval(share(right, inside), weights),
            "false_fires": interval(share(~right, ~inside), weights),
        },
        "kinds": {kind: _of(scored, threshold, own) for kind, own in kinds.items()},
    }


def _of(scored: Scored, threshold: float, own: Flags) -> dict[str, Any]:
    inside, scores = scored.inside[own], scored.top[own]
    fires = scores >= threshold
    return {
        "pairs": len(inside),
        "governs": int(inside.sum()),
        "auroc": round(auroc(scores[inside], scores[~inside]), 4),
        "right": rate(fires == inside),
        "recall": rate(fires[inside]),
        "false_fires": rate(fires[~inside]),
    }
