"""Which facts contradict each other, and which only look as if they did."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from scr.facts import NewFact, parse_time
from scr.scope.conflicts import StatementConflicts
from scr.store import FactStore

CONTRADICT = [
    ("The capital of France is Paris.", "The capital of France is Lyon."),
    ("The capital of France is Paris.", "the capital of FRANCE is now Lyon"),
    ("The capital of France is Paris.", "France's capital is Lyon."),
    ("The capital of France is Paris.", "Lyon is the capital of France."),
    ("The mother tongue of Danielle Darrieux is French.", "The mother tongue of Danielle Darrieux is English."),
    ("The chief executive officer of Apple is Tim Cook.", "Apple's chief executive officer is Ann Bell!"),
    ("Ada Lovelace was born in London.", "Ada Lovelace was born in Oslo."),
    ("Ada Lovelace was born in 1815.", "Ada Lovelace was born in 1816."),
    ("Ada Lovelace died in London.", "Ada Lovelace died in Turin."),
    ("Toyota is headquartered in Nagoya.", "Toyota is headquartered in Kyoto."),
    ("Hamlet was written by William Shakespeare.", "Hamlet was written by Francis Bacon."),
    ("The Space Needle is located in Seattle.", "The Space Needle is located in Rome."),
    ("The population of Malmö is 360,000.", "The population of Malmö is 370,000."),
    ("The lowest temperature of Malmö is -5 °C.", "The lowest temperature of Malmö is 5 °C."),
    ("The password of the office is x+y.", "The password of the office is x-y."),
    ("Ada Lovelace was born on 10 December 1815.", "Ada Lovelace was born in 1816."),
    ("Ada Lovelace died on 3 May 1852.", "Ada Lovelace died in June 1852."),
]

AGREE_OR_DIFFER = [
    # A title with "of" in it is a subject, and not the relation of one.
    ("The Lord of the Rings was written by Tolkien.", "The Lord of the Rings is set in Middle-earth."),
    ("The Court of Tomorrow is a ballad.", "The Court of Tomorrow was first published in 1900."),
    ("The Shadow of the North was originally written in Polish.", "The Shadow of the North is a comedy."),
    # the same, said twice
    ("The capital of France is Paris.", "Paris is the capital of France."),
    ("The capital of France is Paris.", "The official capital of France is now Paris!"),
    # same subject, other relation
    ("The capital of France is Paris.", "The president of France is Ann Bell."),
    ("Ada Lovelace was born in London.", "Ada Lovelace died in Turin."),
    ("Ada Lovelace was born in London.", "Ada Lovelace was born in 1815."),
    ("Ada Lovelace was born in London.", "Ada Lovelace was born in December 1815."),
    ("Ada Lovelace was born in London.", "Ada Lovelace was born on 10 December 1815."),
    ("Hamlet was published in London.", "Hamlet was published in 1603."),
    ("Ada Lovelace died in London.", "Ada Lovelace died in the 1850s."),
    ("Hamlet was written by William Shakespeare.", "Hamlet was published by Nicholas Ling."),
    # a day and its month or year
    ("Ada Lovelace was born on 10 December 1815.", "Ada Lovelace was born in 1815."),
    ("Ada Lovelace died in May 1852.", "Ada Lovelace died in 1852."),
    # same relation, other subject
    ("The creator of C# is Ann Bell.", "The creator of C++ is Bea Cole."),
    ("The creator of C is Ann Bell.", "The creator of C++ is Bea Cole."),
    ("The capital of France is Paris.", "The capital of Spain is Madrid."),
    ("The mayor of Paris, Texas is Ann Bell.", "The mayor of Paris is Bea Cole."),
    # one subject, many values
    ("Ann speaks French.", "Ann speaks German."),
    ("Ann plays in Cast Away.", "Ann plays in Big."),
    ("Ann works on compilers.", "Ann works on databases."),
    ("Paris is one of the largest cities of Europe.", "Rome is one of the largest cities of Europe."),
    ("One of the rivers of France is the Loire.", "One of the rivers of France is the Rhône."),
    ("Ann is a member of the band.", "Bea is a member of the band."),
    ("France borders Spain.", "France borders Italy."),
    ("Ann visited Oslo.", "Ann visited Rome."),
    ("Paris is beautiful.", "Paris is old."),
    # what something is not leaves open what it is
    ("The capital of France is Paris.", "The capital of France is not Lyon."),
    # more than one sentence says more than one thing
    ("The capital of France is Paris. It is old.", "The capital of France is Lyon. It is older."),
]


def contradicts(new: NewFact, old: NewFact, store: FactStore) -> bool:
    store.add(old)
    superseded = store.add(new).superseded
    assert {fact.text for fact in superseded} <= {old.text}
    return bool(superseded)


@pytest.mark.parametrize(("old", "new"), CONTRADICT)
def test_contradictions_by_the_grammar_supersede(store: FactStore, old: str, new: str) -> None:
    assert contradicts(NewFact(new), NewFact(old), store)


@pytest.mark.parametrize(("old", "new"), CONTRADICT)
def test_contradictions_go_both_ways(store: FactStore, old: str, new: str) -> None:
    assert contradicts(NewFact(old), NewFact(new), store)


@pytest.mark.parametrize(("old", "new"), AGREE_OR_DIFFER)
def test_look_alikes_live_side_by_side(store: FactStore, old: str, new: str) -> None:
    assert not contradicts(NewFact(new), NewFact(old), store)
    assert {fact.text for fact in store.facts()} == {old, new}


def test_subject_and_relation_as_given_decide(store: FactStore) -> None:
    old = NewFact("Ann lives by the sea now.", "Ann", "home", "Brest")
    assert contradicts(NewFact("She moved to Lyon.", "ann", "Home", "Lyon"), old, store)
    assert not store.add(NewFact("Ann has a cat.", "Ann", "pet", "cat")).superseded
    assert not store.add(NewFact("Her place is Lyon.", "Ann", "home", "lyon")).superseded
    assert not store.add(NewFact("Bea lives in Oslo.", "Bea", "home", "Oslo")).superseded


def test_given_fields_meet_what_the_grammar_says(store: FactStore) -> None:
    old = NewFact("The capital of France is Paris.")
    assert contradicts(NewFact("It moved.", "France", "capital", "Lyon"), old, store)


def test_facts_of_different_times_do_not_contradict(store: FactStore) -> None:
    def mayor(name: str, start: str | None, end: str | None) -> NewFact:
        return NewFact.of({"text": f"The mayor of Brest is {name}.", "valid_from": start, "valid_to": end})

    store.add(mayor("Ann", "2010-01-01", "2015-01-01"))
    assert not store.add(mayor("Bea", "2015-01-01", "2020-01-01")).superseded
    assert not store.add(mayor("Cid", None, "2010-01-01")).superseded
    assert {fact.text for fact in store.add(mayor("Dan", "2014-12-31", None)).superseded} == {
        "The mayor of Brest is Ann.",
        "The mayor of Brest is Bea.",
    }


def test_a_fact_that_begins_later_ends_the_old_one_then(store: FactStore) -> None:
    later = datetime.now(UTC) + timedelta(days=30)
    old = store.add(NewFact("The mayor of Brest is Ann.")).fact
    new = store.add(NewFact("The mayor of Brest is Bea.", valid_from=later))
    assert [fact.id for fact in new.superseded] == [old.id]
    kept = store.get(old.id)
    assert (kept.status, kept.valid_to) == ("active", later)
    found = store.search(["Who is the mayor of Brest?"], 5)[0]
    assert [candidate.fact.id for candidate in found] == [old.id]
    store.undo()
    assert store.get(old.id).valid_to is None


def test_facts_of_another_namespace_are_left_alone(open_store) -> None:
    one, two = open_store(namespace="one"), open_store(namespace="two")
    one.add(NewFact("The capital of France is Paris."))
    assert not two.add(NewFact("The capital of France is Lyon.")).superseded
    assert [fact.text for fact in one.facts()] == ["The capital of France is Paris."]


@pytest.mark.parametrize(
    "text",
    [
        "the " * 75,
        "a is " * 60,
        "x's " * 75,
        "the a of " * 30 + "is",
        "is the a of for " * 18,
        "\n" * 300,
        "’s is the of",
        "The of is .",
        "'s a is b",
    ],
)
def test_odd_sentences_take_no_time_and_do_no_harm(text: str) -> None:
    start = time.perf_counter()
    StatementConflicts().statement(NewFact(text))
    assert time.perf_counter() - start < 0.5


def test_the_statement_of_a_fact_is_the_same_however_it_is_written() -> None:
    statement = StatementConflicts().statement
    written = [
        "The capital of France is Paris.",
        "France's current capital is Paris",
        "Paris is the capital of France!",
    ]
    assert {statement(NewFact(text)) for text in written} == {"france\ncapital"}
    assert statement(NewFact("Ann sings.")) is None
    assert statement(NewFact("X", "FRANCE", "The Capital", valid_from=parse_time("2026-01-01"))) == "france\ncapital"
