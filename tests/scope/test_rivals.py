"""A new fact retires a stored one that says something else of the same in other words, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from scr.facts import Fact, NewFact
from scr.scope import Candidate, ScopeClassifier
from scr.scope.opening import open_scope
from scr.scope.rivals import LearnedConflicts
from scr.store import FactStore


@pytest.fixture(scope="module")
def classifier() -> ScopeClassifier:
    return open_scope()


@pytest.fixture
def learning(open_store: Callable[..., FactStore], classifier: ScopeClassifier) -> FactStore:
    return open_store(detector=LearnedConflicts(lambda: classifier))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Quillon Optics has its head office in Ghent.", "The headquarters of Quillon Optics is located in Lyon."),
        ("Mount Harrow stands in Chile.", "The country in which Mount Harrow lies is Bolivia."),
    ],
)
def test_another_value_in_other_words_takes_its_place(learning: FactStore, old: str, new: str) -> None:
    first = learning.add(NewFact(old)).fact
    added = learning.add(NewFact(new))
    assert [fact.id for fact in added.superseded] == [first.id]
    assert [fact.text for fact in learning.facts()] == [new]
    learning.undo()
    assert [fact.text for fact in learning.facts()] == [old]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Quillon Optics has its head office in Ghent.", "The founder of Quillon Optics is Mara Stenn."),
        ("Quillon Optics has its head office in Ghent.", "The headquarters of Fenwick Rail is located in Lyon."),
        ("Tilda Brenner speaks Danish at home.", "The mother tongue of Tilda Brenner is Finnish."),
        ("Quillon Optics has its head office in Ghent.", "The headquarters of Quillon Optics is located in Ghent."),
    ],
    ids=["another relation", "another subject", "a relation with many values", "the same value"],
)
def test_what_agrees_stays(learning: FactStore, old: str, new: str) -> None:
    learning.add(NewFact(old))
    assert learning.add(NewFact(new)).superseded == ()
    assert len(list(learning.facts())) == 2


def test_facts_of_different_times_stay(learning: FactStore) -> None:
    until = datetime(2020, 1, 1, tzinfo=UTC)
    learning.add(NewFact("Quillon Optics has its head office in Ghent.", valid_to=until))
    new = NewFact("The headquarters of Quillon Optics is located in Lyon.", valid_from=until)
    assert learning.add(new).superseded == ()


def test_an_import_goes_by_grammar_alone(learning: FactStore) -> None:
    learning.add(NewFact("Quillon Optics has its head office in Ghent."))
    assert learning.add_all([NewFact("The headquarters of Quillon Optics is located in Lyon.")]).superseded == 0


def test_the_classifier_is_opened_when_there_is_something_to_judge() -> None:
    def never() -> ScopeClassifier:
        raise AssertionError("nothing to judge")

    old = Fact("a", "Oslo.", "default", *[None] * 7, created_at=datetime.now(UTC))
    detector = LearnedConflicts(never)
    assert detector.rivals(NewFact("The capital of Peru is Cusco."), []) == []
    assert detector.rivals(NewFact("The capital of Peru is Cusco."), [Candidate(old, 0.9)]) == []


def test_what_was_measured() -> None:
    path = Path(__file__).parents[2] / "benchmarks/scope/results/conflicts.json"
    results = json.loads(path.read_text("utf-8"))["results"]
    learned, grammar = results["learned"], results["grammar"]
    assert learned["another value"]["retired"] > 5 * grammar["another value"]["retired"]
    for kind in ("another relation", "another subject"):
        assert learned[kind]["retired"] <= 0.005
    assert learned["one of many"]["retired"] < 0.06
