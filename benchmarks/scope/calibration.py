"""Other ways from a query's highest score to a probability, fitted on held-out questions of the training sets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression, minimize
from scipy.special import expit, logit

from scr.scope.measure import calibration_error
from scr.scope.training.data import load_records
from scr.scope.training.pairs import Record, split_of
from scr.scope.training.wording import statement

from .judge import Scored
from .sets import Asked, ScopeSet

HELD_OUT, KNOWEDIT = "held-out", "knowedit"
_KINDS = {"alias": "alias", "reasoning": "reasoning", "logical": "reasoning"}
_SURE = 1e-6  # a candidate that is not read scores 0, of which there is no logit


@dataclass(frozen=True)
class Tops:
    """What a decision looks at, of each question of a set.

    Attributes:
        score: its candidates' highest probability, shape (q,).
        cosine: its nearest fact's, shape (q,).
        inside: whether a fact governs it, shape (q,).
    """

    score: NDArray[np.float64]
    cosine: NDArray[np.float64]
    inside: NDArray[np.bool_]

    @classmethod
    def of(cls, scored: Scored, cosine: Scored) -> Tops:
        """Of a classifier's scores and cosine's of the same questions."""
        score = np.clip(scored.top.astype(np.float64), _SURE, 1 - _SURE)
        return cls(score, cosine.top.astype(np.float64), scored.inside)

    def only(self, keep: NDArray[np.bool_]) -> Tops:
        """Some of the questions."""
        return Tops(self.score[keep], self.cosine[keep], self.inside[keep])


Map: TypeAlias = Callable[[Tops], NDArray[np.float64]]
"""Probabilities, shape (q,)."""

Fit: TypeAlias = Callable[[Tops], Map]
"""Finds a map on questions whose labels are known."""


def held_out(folder: Path, seed: int = 0) -> ScopeSet:
    """The records whose subjects training leaves out, all facts loaded, with every question whose label is known."""
    records = [record for record in load_records(folder) if split_of(record.subject, record.source) == "tune"]
    rng = Random(seed)  # noqa: S311 - seeded on purpose
    facts = tuple(statement(record, rng) for record in records)
    asked = (one for place, record in enumerate(records) for one in _asked(record, place))
    return ScopeSet(HELD_OUT, facts, tuple(dict.fromkeys(asked)))


def _asked(record: Record, place: int) -> list[Asked]:
    found = [Asked(record.prompt, "reliability", (place,), place)]
    found += [Asked(text, "generalization", (place,), place) for text in record.paraphrases]
    for probe in record.probes:
        kind = _KINDS[probe.kind] if probe.positive else probe.kind
        found.append(Asked(probe.query, kind, (place,) if probe.positive else (), place))
    return found


def of_source(folder: Path, data: ScopeSet, source: str) -> NDArray[np.bool_]:
    """Which of the held-out questions are of one training set, shape (q,)."""
    records = [record for record in load_records(folder) if split_of(record.subject, record.source) == "tune"]
    return np.array([records[asked.record].source == source for asked in data.asked])


def as_it_ships(_: Tops) -> Map:
    """Platt's scale and shift, of held-out pairs."""
    return lambda tops: tops.score


def platt(held: Tops) -> Map:
    """Scale and shift of the logit (Platt 1999)."""
    return _logistic(held, lambda tops: [logit(tops.score)])


def beta(held: Tops) -> Map:
    """Beta calibration (Kull et al. 2017): ln p and ln (1 - p) have each a weight."""
    return _logistic(held, lambda tops: [np.log(tops.score), np.log1p(-tops.score)])


def with_cosine(held: Tops) -> Map:
    """Scale, shift, and the nearest fact's cosine: a fact that is near may be missed."""
    return _logistic(held, lambda tops: [logit(tops.score), tops.cosine, logit(tops.score) * tops.cosine])


def isotonic(held: Tops) -> Map:
    """The monotone steps that fit best (Zadrozny and Elkan 2002), with straight lines between."""
    return _steps(held.score, held.inside, np.ones(len(held.score)))


WAYS: dict[str, Fit] = {"platt": platt, "beta": beta, "isotonic": isotonic, "with cosine": with_cosine}


def best_for_all(sets: Sequence[Tops]) -> Map:
    """The monotone steps that fit the tests themselves, each set with the same weight: no way to calibrate, a bound."""
    score = np.concatenate([one.score for one in sets])
    inside = np.concatenate([one.inside for one in sets])
    weight = np.concatenate([np.full(len(one.score), 1 / len(one.score)) for one in sets])
    return _steps(score, inside, weight)


def errors(found: Map, sets: dict[str, Tops]) -> dict[str, float]:
    """The expected calibration error on each set."""
    return {name: round(calibration_error(found(tops), tops.inside), 4) for name, tops in sets.items()}


def _logistic(held: Tops, columns: Callable[[Tops], Sequence[NDArray[np.float64]]]) -> Map:
    """Logistic regression, lightly held to small weights."""

    def design(tops: Tops) -> NDArray[np.float64]:
        return np.stack([*columns(tops), np.ones(len(tops.score))], 1)

    x, sign = design(held), np.where(held.inside, 1.0, -1.0)

    def loss(weights: NDArray[np.float64]) -> Any:
        return np.logaddexp(0, -sign * (x @ weights)).mean() + 1e-6 * (weights**2).sum()

    weights = minimize(loss, np.zeros(x.shape[1])).x
    return lambda tops: expit(design(tops) @ weights)


def _steps(score: NDArray[np.float64], inside: NDArray[np.bool_], weight: NDArray[np.float64]) -> Map:
    places, own = np.unique(score, return_inverse=True)  # equal scores are one step
    total = np.bincount(own, weight)
    levels = isotonic_regression(np.bincount(own, weight * inside) / total, weights=total).x
    return lambda tops: np.interp(tops.score, places, levels)
