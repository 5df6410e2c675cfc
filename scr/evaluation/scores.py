"""From answers to the figures of a row.

Every figure is a mean over records of what each record scores, with an interval from resampling records. Dimensions
are those of a data set: what no record has is left out.

=============================  =========================================================================
reliability, generalization    right answers to the edit prompt, to its rephrasings
portability                    right answers by finer kind, averaged per record; and ``portability_KIND``
locality_preservation          the answer is the unmodified model's: ``exact`` byte for byte, ``contains`` normalised
locality_correctness           right answers out of scope; and ``locality_KIND``
harmonic_mean                  of the first three and locality_preservation
right_after_DIMENSION          the same right after the record's own edit; the loss since then is forgetting
legacy_rewrite_accuracy        share of the target's tokens that are the greedy choice (teacher-forced)
legacy_efficacy                P(new) > P(old) on the edit prompt (Meng et al. 2022, "ES")
legacy_paraphrase              the same on rephrasings ("PS")
legacy_neighborhood            P(old) > P(new) on neighbours, of which the old answer is true ("NS")
legacy_score                   harmonic mean of these three ("S")
legacy_fluency                 n-gram entropy of free text, in bits ("GE")
legacy_edit_success            right answers to edit prompts and rephrasings (Mitchell et al. 2022, "ES")
legacy_drawdown                answers out of scope that the edit has changed ("DD"; less is better)
=============================  =========================================================================
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from scr.evaluation.metrics import harmonic_mean, normalise
from scr.evaluation.ranking import at_best_threshold, ranked
from scr.evaluation.results import After, Answered, CaseResult, Figures, Forced, Interval, Split
from scr.evaluation.statistics import bootstrap_means, interval, means

Column: TypeAlias = tuple[str, Literal["exact", "contains"]]
"""A dimension under one way of scoring."""

FOUR = ("reliability", "generalization", "portability", "locality_preservation")
"""What the harmonic mean is of."""

_PROBABILITIES = {"reliability": "legacy_efficacy", "generalization": "legacy_paraphrase"}
_LEGACY_SCORE = (*_PROBABILITIES.values(), "legacy_neighborhood")
COMBINED = {"harmonic_mean": (FOUR, 1), "legacy_score": (_LEGACY_SCORE, len(_LEGACY_SCORE))}
"""Harmonic means of several dimensions: of which ones, and of how many of them at least."""

AT_BEST = "at_best_"
"""What the name of a share begins with that is not of the method's own threshold but of the best one."""

_DEPTHS = (1, 5)
_FIRST = (*FOUR, "locality_correctness", "harmonic_mean")


class _Mark(NamedTuple):
    """What one question gives to one dimension; marks of a group are averaged before groups are."""

    dimension: str
    group: str
    exact: float | None
    contains: float | None


def scores(cases: Sequence[CaseResult], split: Split) -> dict[str, Figures]:
    """The figures of a row by dimension.

    Args:
        cases: of one row.
        split: ``clean`` leaves out the questions that have flaws.
    """
    table = by_record(cases, split)
    if not table:
        return {}
    matrix = np.column_stack(list(table.values()))
    values, draws = means(matrix), bootstrap_means(matrix)
    counts = (~np.isnan(matrix)).sum(axis=0)
    figures: dict[str, Figures] = defaultdict(dict)
    for place, (dimension, score) in enumerate(table):
        figures[dimension][score] = interval(float(values[place]), draws[:, place], int(counts[place]))
    for name, (parts, needed) in COMBINED.items():
        for score in ("exact", "contains"):
            places = [place for place, column in enumerate(table) if column[0] in parts and column[1] == score]
            if len(places) >= needed:
                n = int((~np.isnan(matrix[:, places])).any(axis=1).sum())
                figures[name][score] = interval(
                    float(harmonic_mean(values[places])), harmonic_mean(draws[:, places]), n
                )
    order = {name: place for place, name in enumerate(_FIRST)}
    return {name: figures[name] for name in sorted(figures, key=lambda name: (order.get(name, len(order)), name))}


def by_record(cases: Sequence[CaseResult], split: Split) -> dict[Column, NDArray[np.float64]]:
    """What each record scores, for tests between methods: shape (len(cases),), NaN where a record has no such question.

    Means over several dimensions (``harmonic_mean``, ``legacy_score``) belong to no record and are not there.
    """
    table: dict[Column, NDArray[np.float64]] = {}
    for place, case in enumerate(cases):
        for column, value in _of_record(case, split).items():
            if column not in table:
                table[column] = np.full(len(cases), np.nan)
            table[column][place] = value
    return table


def _of_record(case: CaseResult, split: Split) -> dict[Column, float]:
    groups: dict[Column, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for one in case.answered:
        if split == "clean" and one.flaws:
            continue
        for mark in _marks(one):
            if mark.exact is not None:
                groups[mark.dimension, "exact"][mark.group].append(mark.exact)
            if mark.contains is not None:
                groups[mark.dimension, "contains"][mark.group].append(mark.contains)
    record = {column: fmean(map(fmean, by_group.values())) for column, by_group in groups.items()}
    if case.fluency is not None:
        record["legacy_fluency", "exact"] = case.fluency
    return record


def _marks(one: Answered) -> Iterator[_Mark]:
    yield from _dimensions(one, After(one.answer, one.exact, one.contains, one.preserved), "")
    if one.after:
        yield from _dimensions(one, one.after, "right_after_")
    if one.kind in ("reliability", "generalization"):
        yield _Mark("legacy_edit_success", "", one.exact, None)
    if one.preserved is not None:
        yield _Mark("legacy_drawdown", "", not one.preserved, None)
    if one.forced:
        yield from _legacy(one, one.forced)


def _dimensions(one: Answered, said: After, prefix: str) -> Iterator[_Mark]:
    right = (said.exact, said.contains)
    if one.kind == "locality":
        if said.preserved is not None:
            # What is the same in bytes need not be normalised, which takes most of the time.
            alike = said.preserved or normalise(said.answer) == normalise(one.bare)
            yield _Mark(f"{prefix}locality_preservation", "", said.preserved, alike)
        yield _Mark(f"{prefix}locality_correctness", "", *right)
    else:
        yield _Mark(f"{prefix}{one.kind}", one.sub if one.kind == "portability" else "", *right)
    if one.sub and not prefix and one.kind in ("portability", "locality"):
        yield _Mark(f"{one.kind}_{one.sub}", "", *right)


def _legacy(one: Answered, forced: Forced) -> Iterator[_Mark]:
    if one.kind == "reliability":
        yield _Mark("legacy_rewrite_accuracy", "", forced.accuracy, None)
    if forced.old is None:
        return
    # On a neighbour the right answer is the old one and the rival is the new, so that it is one comparison for all.
    won = forced.target > forced.old
    if one.kind == "locality":
        yield _Mark("legacy_neighborhood", "", won, None)
    elif one.kind in _PROBABILITIES:
        yield _Mark(_PROBABILITIES[one.kind], "", won, None)


def scope(cases: Sequence[CaseResult], split: Split = "raw") -> dict[str, Interval]:
    """Share of questions by outcome of the scope decision, and how its scores rank; with intervals over records.

    ==================================  ====================================================================
    recall                              in scope, one of the record's own facts was shown
    precision                           of the questions to which facts were shown, those to which one of the
                                        record's own was, in scope
    wrong_fact                          in scope, facts were shown and none of them is the record's
    false_fire, false_fire_KIND         out of scope, something was shown
    auroc, average_precision            of the questions by their highest score, see :func:`scr.evaluation.ranking`
    recall_at_1, recall_at_5            in scope, one of the record's own is among the so many that score highest;
                                        where cosine is the score, this is the retrieval's own recall
    retrieval_recall                    in scope, one of the record's own was retrieved, and so weighed
    at_best_NAME                        the first four rows at the threshold that is best on these very questions
    ==================================  ====================================================================

    Returns:
        nothing for a method that neither weighs nor shows facts; no share of no questions.
    """
    if not any(one.shown or one.considered for case in cases for one in case.answered):
        return {}
    cases = [_in_split(case, split) for case in cases]
    best = {f"{AT_BEST}{name}": share for name, share in _shares(map(_outcomes, at_best_threshold(cases))).items()}
    return {**_shares(map(_outcomes, cases)), **ranked(cases), **_shares(map(_depths, cases)), **best}


def _in_split(case: CaseResult, split: Split) -> CaseResult:
    if split == "raw":
        return case
    return replace(case, answered=tuple(one for one in case.answered if not one.flaws))


_Outcomes: TypeAlias = dict[str, list[bool]]
"""What was hit and what was not, of one record, by name."""


def _shares(records: Iterable[_Outcomes]) -> dict[str, Interval]:
    outcomes = list(records)
    names = sorted({name for record in outcomes for name in record})
    order = ["recall", "precision", "wrong_fact", "false_fire"]
    names.sort(key=lambda name: order.index(name) if name in order else len(order))
    found = {}
    for name in names:
        hits = [record.get(name, []) for record in outcomes]
        found[name] = ratio(np.array([(sum(one), len(one)) for one in hits], float))
    return found


def ratio(counts: NDArray[np.float64]) -> Interval:
    """A share of questions with its interval over records.

    Args:
        counts: hits and questions of each record, shape (n, 2).
    """
    hits, questions = means(counts)
    draws = bootstrap_means(counts)
    with np.errstate(invalid="ignore"):  # a resample without such questions has no share
        shares = draws[:, 0] / draws[:, 1]
    return interval(float(hits / questions), shares, int((counts[:, 1] > 0).sum()))


def _outcomes(case: CaseResult) -> _Outcomes:
    seen: _Outcomes = defaultdict(list)
    own = set(case.facts)
    for one in case.answered:
        hit = one.in_scope and not own.isdisjoint(one.shown)
        if one.shown:
            seen["precision"].append(hit)
        if one.in_scope:
            seen["recall"].append(hit)
            seen["wrong_fact"].append(bool(one.shown) and not hit)
        else:
            seen["false_fire"].append(bool(one.shown))
            if one.sub:
                seen[f"false_fire_{one.sub}"].append(bool(one.shown))
    return seen


def _depths(case: CaseResult) -> _Outcomes:
    """Whether one of the record's own facts is among those that score highest, and among all that were weighed."""
    seen: _Outcomes = defaultdict(list)
    own = set(case.facts)
    for one in case.answered:
        if one.in_scope and one.considered:
            facts = [fact.fact for fact in sorted(one.considered, key=lambda fact: -fact.score)]
            for depth in _DEPTHS:
                seen[f"recall_at_{depth}"].append(not own.isdisjoint(facts[:depth]))
            seen["retrieval_recall"].append(not own.isdisjoint(facts))
    return seen
