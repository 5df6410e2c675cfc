"""From answers to the figures of a row."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from scr.editors import Considered
from scr.evaluation.cases import Kind
from scr.evaluation.results import After, Answered, CaseResult, Forced
from scr.evaluation.scores import by_record, scope, scores

FACT = "The harbour master of Tarnow Quay is Ilka Brandt."
OTHER = "The anthem of Ostrel is Grey Water."


def answered(kind: Kind, right: bool | None = None, *, sub: str = "", holds: bool | None = None, **more: object):
    local = kind == "locality"
    given = {"answer": "answer", "bare": "answer" if local else "bare", "preserved": True if local else None}
    verdict = {"exact": right, "contains": right if holds is None else holds}
    return Answered("prompt", kind, sub, ("x",), **{**given, **verdict, **more})


def case(*questions: Answered, name: str = "1", facts: tuple[str, ...] = (FACT,), **more: object) -> CaseResult:
    return CaseResult(name, facts, questions, **more)


def values(cases: list[CaseResult], split: str = "raw", score: str = "exact") -> dict[str, float]:
    return {name: figures[score].value for name, figures in scores(cases, split).items() if score in figures}


def test_a_mean_over_records_and_not_over_questions() -> None:
    many = case(*[answered("reliability", True)] * 4)
    one = case(answered("reliability", False))
    (figure,) = (scores([many, one], "raw")["reliability"]["exact"],)
    assert (figure.value, figure.n) == (0.5, 2)
    assert figure.low == 0
    assert figure.high == 1


def test_portability_is_averaged_by_kind_then_by_record() -> None:
    uneven = case(
        answered("reliability", True),
        *[answered("portability", True, sub="reasoning")] * 3,
        answered("portability", False, sub="subject_aliasing"),
    )
    without = case(answered("reliability", True))
    found = scores([uneven, without], "raw")
    assert found["portability"]["exact"].value == 0.5
    assert found["portability"]["exact"].n == 1
    assert found["portability_reasoning"]["exact"].value == 1
    assert found["portability_subject_aliasing"]["exact"].value == 0
    assert found["reliability"]["exact"].n == 2


def test_both_ways_of_scoring() -> None:
    cases = [case(answered("generalization", False, holds=True), answered("generalization", True))]
    assert values(cases)["generalization"] == 0.5
    assert values(cases, score="contains")["generalization"] == 1


def test_locality_is_two_numbers() -> None:
    cases = [
        case(
            answered("locality", False, sub="forgetfulness"),
            answered("locality", True, sub="relation_specificity", preserved=False, answer="Answer!"),
            answered("locality", None, preserved=False, answer="else"),
        )
    ]
    exact, contains = values(cases), values(cases, score="contains")
    assert exact["locality_preservation"] == pytest.approx(1 / 3)
    assert contains["locality_preservation"] == pytest.approx(2 / 3)
    assert exact["locality_correctness"] == 0.5
    assert (exact["locality_forgetfulness"], exact["locality_relation_specificity"]) == (0, 1)
    assert exact["legacy_drawdown"] == pytest.approx(2 / 3)
    assert "locality_" not in exact


def test_clean_leaves_flawed_questions_out() -> None:
    cases = [
        case(answered("reliability", True), answered("locality", False, preserved=False, flaws=("contradicted",))),
        case(answered("reliability", False), answered("locality", True)),
    ]
    assert values(cases)["locality_correctness"] == 0.5
    assert values(cases, "clean")["locality_correctness"] == 1
    assert values(cases, "clean")["locality_preservation"] == 1
    assert scores(cases, "clean")["locality_correctness"]["exact"].n == 1
    assert values(cases, "clean")["reliability"] == 0.5


def test_the_harmonic_mean_is_of_what_there_is() -> None:
    cases = [
        case(answered("reliability", place < 8), answered("locality", True), name=str(place)) for place in range(10)
    ]
    found = scores(cases, "raw")
    assert found["harmonic_mean"]["exact"].value == pytest.approx(2 / (1 / 0.8 + 1))
    assert found["harmonic_mean"]["exact"].n == 10
    low = found["reliability"]["exact"].low
    # Jointly over records: preservation is 1 in each resample, so that the ends follow from those of reliability.
    assert found["harmonic_mean"]["exact"].low == pytest.approx(2 / (1 / low + 1))
    assert values([case(answered("reliability", False), answered("locality", True))])["harmonic_mean"] == 0


def test_right_after_shows_what_was_forgotten() -> None:
    then = After("answer", True, True, None)
    cases = [
        case(
            answered("reliability", False, after=then),
            answered("portability", False, sub="reasoning", after=then),
            answered("locality", False, after=After("answer", False, True, True), preserved=False, answer="else"),
        )
    ]
    found = values(cases)
    assert (found["reliability"], found["right_after_reliability"]) == (0, 1)
    assert (found["portability"], found["right_after_portability"]) == (0, 1)
    assert (found["locality_preservation"], found["right_after_locality_preservation"]) == (0, 1)
    assert values(cases, score="contains")["right_after_locality_correctness"] == 1


def test_legacy_columns() -> None:
    cases = [
        case(
            answered("reliability", False, forced=Forced(0.5, -1.0, -2.0)),
            answered("generalization", True, forced=Forced(1.0, -3.0, -2.0)),
            answered("generalization", True, forced=Forced(1.0, -1.0, -2.0)),
            answered("locality", True, forced=Forced(1.0, -0.5, -0.7)),  # the true answer is likelier than the new one
            answered("locality", True, forced=Forced(0.0, -9.0)),  # no neighbour
            fluency=6.2,
        )
    ]
    found = scores(cases, "raw")
    legacy = {name.removeprefix("legacy_"): figures for name, figures in found.items() if name.startswith("legacy_")}
    assert {name: figures["exact"].value for name, figures in legacy.items()} == pytest.approx(
        {
            "rewrite_accuracy": 0.5,
            "efficacy": 1,
            "paraphrase": 0.5,
            "neighborhood": 1,
            "score": 0.75,
            "fluency": 6.2,
            "edit_success": 2 / 3,
            "drawdown": 0,
        }
    )
    assert all(set(figures) == {"exact"} for figures in legacy.values())


def test_the_legacy_score_needs_all_three() -> None:
    cases = [case(answered("reliability", True, forced=Forced(1.0, -1.0, -2.0)))]
    assert "legacy_efficacy" in values(cases)
    assert "legacy_score" not in values(cases)


def test_values_by_record_keep_their_places() -> None:
    cases = [
        case(answered("reliability", True)),
        case(answered("locality", True)),
        case(answered("reliability", False)),
    ]
    np.testing.assert_array_equal(by_record(cases, "raw")["reliability", "exact"], [1, np.nan, 0])


def test_nothing_to_score() -> None:
    assert scores([], "raw") == {}
    assert scores([case()], "clean") == {}
    assert scope([], "raw") == {}


def test_scope() -> None:
    cases = [
        case(
            answered("reliability", True, shown=(OTHER, FACT)),
            answered("generalization", True, shown=(OTHER,)),
            answered("portability", True),
            answered("locality", True, sub="forgetfulness", shown=(FACT,)),
            answered("locality", True, sub="relation_specificity"),
        ),
        case(answered("reliability", True, shown=(OTHER,)), facts=(OTHER,)),
    ]
    found = {name: (figure.value, figure.n) for name, figure in scope(cases).items()}
    assert found == {
        "recall": (0.5, 2),
        "precision": (0.5, 2),
        "wrong_fact": (0.25, 2),
        "false_fire": (0.5, 1),
        "false_fire_forgetfulness": (1, 1),
        "false_fire_relation_specificity": (0, 1),
    }
    assert list(found)[:4] == ["recall", "precision", "wrong_fact", "false_fire"]


def test_scope_of_methods_that_show_nothing() -> None:
    cases = [case(answered("reliability", True), answered("locality", True))]
    assert scope(cases) == {}
    weighed = [case(answered("reliability", True, considered=(Considered(FACT, 0.1, 0.5, False),)))]
    assert {name: figure.value for name, figure in scope(weighed).items()} == {
        "recall": 0,
        "wrong_fact": 0,
        "recall_at_1": 1,
        "recall_at_5": 1,
        "retrieval_recall": 1,
    }


def test_scope_without_what_the_data_set_has_wrong() -> None:
    cases = [
        case(answered("reliability", True, shown=(FACT,)), answered("locality", True, shown=(FACT,), flaws=("x",)))
    ]
    assert scope(cases)["false_fire"].value == 1
    assert "false_fire" not in scope(cases, "clean")
    assert scope(cases, "clean")["precision"].value == 1


def test_a_thousand_records_take_little_time() -> None:
    random = np.random.default_rng(3)
    kinds: list[tuple[Kind, str]] = [("reliability", ""), ("generalization", "")]
    kinds += [("portability", f"kind_{place % 3}") for place in range(8)]
    kinds += [("locality", f"near_{place % 4}") for place in range(10)]
    cases = []
    for name in range(1000):
        questions = [
            replace(answered(kind, bool(random.random() < 0.7), sub=sub), preserved=False, bare="What it said before.")
            if kind == "locality"
            else answered(kind, bool(random.random() < 0.7), sub=sub, shown=(FACT,))
            for kind, sub in kinds
        ]
        cases.append(case(*questions, name=str(name)))
    start = time.perf_counter()
    first, around = scores(cases, "raw"), scope(cases)
    assert time.perf_counter() - start < 6  # about one second on an idle core
    assert (first, around) == (scores(cases, "raw"), scope(cases))
    # Binomial: 1.96 standard errors of a share of 0.7 among 1,000 are 0.028.
    reliability = first["reliability"]["exact"]
    assert reliability.high - reliability.low == pytest.approx(2 * 0.028, abs=0.008)
