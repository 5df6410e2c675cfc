"""How well a method's scores rank what its edits govern above what they do not, from what a run has kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from scr.evaluation.results import Answered, CaseResult, Interval
from scr.evaluation.statistics import RESAMPLES, interval
from scr.scope.measure import auroc, average_precision

_SEED = 20_240_602
_CUTS = 201
_NAMES = ("auroc", "average_precision")
_AT_ONCE = 2**20
# Numbers held together, so that memory stays bounded whatever the number of questions.


def ranked(cases: Sequence[CaseResult]) -> dict[str, Interval]:
    """``auroc`` and ``average_precision`` of the questions by their highest score, with intervals over records.

    Positive is a question in scope. Nothing where the scores do not decide, as where a language model does, or where
    questions of one side alone were weighed.
    """
    weighed = [(place, one) for place, case in enumerate(cases) for one in case.answered if one.considered]
    scores, inside = _weighed([one for _, one in weighed])
    if not _decided_by_score(cases) or inside.all() or not inside.any():
        return {}
    records = np.array([place for place, _ in weighed])
    drawn = np.concatenate([_drawn(times, scores, inside) for times in _resampled(records, len(cases))])
    values = auroc(scores[inside], scores[~inside]), average_precision(scores, inside)
    held = len(np.unique(records))
    return {name: interval(values[place], drawn[:, place], held) for place, name in enumerate(_NAMES)}


def _resampled(of: NDArray[np.int64], records: int) -> Iterator[NDArray[np.float64]]:
    """How often each question is in each resample of the records, some resamples at a time.

    Args:
        of: the record of each question, shape (q,).
        records: how many there are.

    Returns:
        shape (RESAMPLES, q) in all.
    """
    generator = np.random.default_rng(_SEED)
    step = max(_AT_ONCE // max(records, len(of)), 1)
    for start in range(0, RESAMPLES, step):
        drawn = generator.integers(0, records, (min(step, RESAMPLES - start), records))
        yield np.stack([np.bincount(one, minlength=records)[of] for one in drawn]).astype(float)


def _drawn(times: NDArray[np.float64], scores: NDArray[np.float64], inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """AUROC and average precision where each question counts so many times, shape (n, q) → (n, 2).

    What :mod:`scr.scope.measure` tells of one resample, for many at once. NaN where one side is not drawn.
    """
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.nonzero(np.diff(scores[order]))[0], len(scores) - 1)  # of those that score the same
    yes = np.cumsum(times[:, order] * inside[order], axis=1)[:, last]
    no = np.cumsum(times[:, order] * ~inside[order], axis=1)[:, last]
    gained, before = np.diff(yes, prepend=0), no - np.diff(no, prepend=0)
    with np.errstate(invalid="ignore"):
        below = np.sum(gained * (no[:, -1:] - (no + before) / 2), axis=1) / (yes[:, -1] * no[:, -1])
        precision = np.sum(gained * yes / np.maximum(yes + no, 1), axis=1) / yes[:, -1]
    return np.stack([below, precision], axis=1)


def at_best_threshold(cases: Sequence[CaseResult]) -> list[CaseResult]:
    """The cases as they were if facts were shown from the best score on, and only then.

    That is the threshold of the highest balanced accuracy on these very questions, which flatters. Nothing where the
    scores do not decide, or where questions of one side alone were weighed.
    """
    scores, inside = _weighed([one for case in cases for one in case.answered if one.considered])
    if not _decided_by_score(cases) or inside.all() or not inside.any():
        return []
    cuts = np.quantile(scores, np.linspace(0, 1, _CUTS))
    gains = [np.mean(scores[inside] >= cut) + np.mean(scores[~inside] < cut) for cut in cuts]
    return [_cut(case, float(cuts[int(np.argmax(gains))])) for case in cases]


def _cut(case: CaseResult, least: float) -> CaseResult:
    answered = (
        replace(one, shown=tuple(fact.fact for fact in one.considered if fact.score >= least)) for one in case.answered
    )
    return replace(case, answered=tuple(answered))


def _weighed(questions: Sequence[Answered]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The highest score of each question, and whether it is in scope."""
    return np.array([_top(one) for one in questions]), np.array([one.in_scope for one in questions], bool)


def _top(one: Answered) -> float:
    return max(fact.score for fact in one.considered)


def _decided_by_score(cases: Sequence[CaseResult]) -> bool:
    """Whether just those facts apply whose score reaches the threshold."""
    weighed = (fact for case in cases for one in case.answered for fact in one.considered)
    return all(fact.applies == (fact.score >= fact.threshold) for fact in weighed)
