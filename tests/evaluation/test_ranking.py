"""How scores rank what is governed above what is not, from the records of a run."""

from __future__ import annotations

import numpy as np
import pytest

from scr.editors import Considered
from scr.evaluation.cases import Kind
from scr.evaluation.ranking import _drawn, at_best_threshold, ranked
from scr.evaluation.results import Answered, CaseResult
from scr.evaluation.scores import scope
from scr.scope.measure import auroc, average_precision

OWN = "The harbour master of Tarnow Quay is Ilka Brandt."
OTHER = "The anthem of Ostrel is Grey Water."


def asked(kind: Kind, own: float, other: float, *, threshold: float = 0.5, sub: str = "") -> Answered:
    weighed = sorted(((OWN, own), (OTHER, other)), key=lambda pair: -pair[1])
    considered = tuple(Considered(fact, score, threshold, score >= threshold) for fact, score in weighed)
    shown = tuple(one.fact for one in considered if one.applies)
    return Answered("prompt", kind, sub, ("x",), "answer", "bare", shown, considered)


def case(name: str, *questions: Answered) -> CaseResult:
    return CaseResult(name, (OWN,), questions)


CASES = [
    case("1", asked("reliability", 0.9, 0.1), asked("locality", 0.6, 0.2, sub="same_subject")),
    case("2", asked("reliability", 0.3, 0.4), asked("generalization", 0.8, 0.2)),
    case("3", asked("portability", 0.7, 0.75), asked("locality", 0.1, 0.2, sub="unrelated")),
]


def test_the_figures_are_those_of_the_highest_scores() -> None:
    found = ranked(CASES)
    inside, outside = [0.9, 0.4, 0.8, 0.75], [0.6, 0.2]
    assert found["auroc"].value == pytest.approx(auroc(inside, outside))
    assert found["average_precision"].value == pytest.approx(average_precision(inside + outside, [1] * 4 + [0] * 2))
    assert all(one.low <= one.value <= one.high for one in found.values())
    assert {one.n for one in found.values()} == {3}


def test_a_resample_is_ranked_as_its_questions_are() -> None:
    generator = np.random.default_rng(0)
    scores = generator.integers(0, 20, 200) / 20
    inside = generator.random(200) < scores
    times = generator.integers(0, 3, (4, 200))
    for drawn, count in zip(_drawn(times.astype(float), scores, inside), times, strict=True):
        some, labels = np.repeat(scores, count), np.repeat(inside, count)
        assert drawn == pytest.approx([auroc(some[labels], some[~labels]), average_precision(some, labels)])


def test_the_scope_table_has_all_that_the_design_names() -> None:
    found = {name: one.value for name, one in scope(CASES).items()}
    assert found["recall"] == pytest.approx(3 / 4)
    assert found["precision"] == pytest.approx(3 / 4)
    assert found["false_fire"] == 0.5
    assert (found["false_fire_same_subject"], found["false_fire_unrelated"]) == (1, 0)
    assert found["recall_at_1"] == pytest.approx(2 / 4)
    assert found["recall_at_5"] == found["retrieval_recall"] == 1
    # Just above 0.6 nothing out of scope is shown, and three of four in scope; from 0.4 on it would be all, and one.
    assert (found["at_best_false_fire"], found["at_best_precision"]) == (0, 1)
    assert found["at_best_recall"] == pytest.approx(3 / 4)
    assert found["at_best_wrong_fact"] == 0
    assert found["auroc"] == pytest.approx(7 / 8)


def test_the_best_threshold_changes_what_is_shown_and_nothing_else() -> None:
    best = at_best_threshold(CASES)
    assert [[one.shown for one in each.answered] for each in best] == [
        [(OWN,), ()],
        [(), (OWN,)],
        [(OTHER, OWN), ()],
    ]
    assert [one.considered for one in best[0].answered] == [one.considered for one in CASES[0].answered]


def test_where_a_model_decides_scores_rank_nothing() -> None:
    said = Considered(OWN, 0.9, -1.0, False)  # the cosine was high, and the model did not want it
    cases = [
        case("1", *(Answered("p", kind, "", ("x",), "a", "b", (), (said,)) for kind in ("reliability", "locality")))
    ]
    found = scope(cases)
    assert not {"auroc", "average_precision", "at_best_recall"} & found.keys()
    assert found["retrieval_recall"].value == 1


def test_questions_of_one_side_alone_are_not_ranked() -> None:
    assert ranked([case("1", asked("reliability", 0.9, 0.1))]) == {}
    assert at_best_threshold([case("1", asked("locality", 0.9, 0.1))]) == []
    assert ranked([]) == {}
