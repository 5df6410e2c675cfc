"""The verdicts on the worst errors of the scope decision are whole, and hold no text of the data sets."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from benchmarks.scope.judge import Scored
from benchmarks.scope.sets import Asked, ScopeSet
from benchmarks.scope.verdicts import (
    FALSE_FIRES,
    MISSES,
    VERDICTS,
    WRONG_LABEL,
    Verdict,
    both,
    counts,
    digest,
    only,
    read_verdicts,
    rightly_labelled,
)

SETS = ("wiki_counterfact", "zsre", "eren", "counterfact", "general")


@pytest.fixture(scope="module")
def verdicts() -> tuple[Verdict, ...]:
    return read_verdicts()


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("which", [FALSE_FIRES, MISSES])
def test_every_list_was_read_to_its_hundredth(verdicts, name, which):
    own = [v for v in verdicts if (v.set, v.list) == (name, which) and v.rank]
    # Nothing is in scope of the general set, so it has no misses.
    assert [v.rank for v in own] == ([] if (name, which) == ("general", MISSES) else list(range(1, 101)))
    scores = [v.score for v in own]
    assert scores == sorted(scores, reverse=which == FALSE_FIRES)
    assert all(0 <= score <= 1 for score in scores)


def test_nothing_else_is_in_the_file(verdicts):
    assert {v.set for v in verdicts} == set(SETS)
    assert {v.verdict for v in verdicts} == set(VERDICTS)


def test_no_text_of_the_data_sets_is_in_the_file(verdicts):
    assert all(re.fullmatch(r"[0-9a-f]{16}", v.question) for v in verdicts)
    # A reason names a kind of error: a few plain words, without names or numbers, that say one verdict.
    assert all(re.fullmatch(r"[a-z][a-z,' -]+", v.reason) and len(v.reason.split()) <= 6 for v in verdicts)
    assert len({v.reason for v in verdicts}) <= 60


def test_a_question_has_one_verdict_on_each_side(verdicts):
    said: dict[tuple[str, str, str], str] = {}
    for v in verdicts:
        assert said.setdefault((v.set, v.list, v.question), v.verdict) == v.verdict


def test_questions_are_left_out_on_the_side_where_the_label_is_wrong():
    facts = ("The capital of Ardenia is Velmora.", "Lena Hofstad plays the cello.")
    asked = (
        Asked("Ardenia capital", "same subject", (), 0),
        Asked("Ardenia anthem", "same subject", (), 0),
        Asked("What does Lena Hofstad play?", "reliability", (1,), 1),
        Asked("Ardenia capital", "alias", (0,), 1),
        Asked("Who is Lena?", "alias", (1,), 1),
    )
    data = ScopeSet("made up", facts, asked)
    scored = Scored(
        data, np.array([[0], [0], [1], [0], [1]]), np.array([[0.9], [0.2], [0.8], [0.9], [0.1]], np.float32)
    )
    said = [
        Verdict("made up", FALSE_FIRES, 1, digest("Ardenia capital"), 0.9, WRONG_LABEL, "asks for the edited relation"),
        Verdict("made up", FALSE_FIRES, 2, digest("Ardenia anthem"), 0.2, "debatable", "the like"),
        Verdict("made up", MISSES, 1, digest("Who is Lena?"), 0.1, WRONG_LABEL, "question does not ask for it"),
        Verdict("another", MISSES, 1, digest("What does Lena Hofstad play?"), 0.1, WRONG_LABEL, "the like"),
    ]
    keep = rightly_labelled(data, said)
    assert keep.tolist() == [False, True, True, True, False]
    left = only(scored, keep)
    assert [a.query for a in left.data.asked] == ["Ardenia anthem", "What does Lena Hofstad play?", "Ardenia capital"]
    assert left.top.tolist() == pytest.approx([0.2, 0.8, 0.9])
    found = both(scored, keep, 0.5)
    assert [found[labels]["auroc"]["all"]["value"] for labels in ("all labels", "without wrong labels")] == [
        0.4167,
        1.0,
    ]
    assert counts(said)["made up"][FALSE_FIRES] == {
        WRONG_LABEL: {"n": 1, "reasons": {"asks for the edited relation": 1}},
        "debatable": {"n": 1, "reasons": {"the like": 1}},
    }


def test_the_results_tell_what_the_verdicts_say(verdicts):
    path = Path(__file__).parents[2] / "benchmarks/scope/results/verdicts.json"
    results = json.loads(path.read_text(encoding="utf-8"))["results"]
    assert results["verdicts"] == counts(verdicts)
    for name, left_out in results["left_out"].items():
        wrong = [v.list for v in verdicts if (v.set, v.verdict) == (name, WRONG_LABEL)]
        assert left_out == {which: wrong.count(which) for which in (FALSE_FIRES, MISSES)}
