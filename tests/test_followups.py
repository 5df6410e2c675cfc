"""Follow-up questions told in full."""

from __future__ import annotations

import time

import pytest

from scr.context import ContextBuilder
from scr.facts import NewFact
from scr.followups import in_full, names_in
from scr.pipeline import Pipeline
from scr.query import queries_of
from scr.scope.opening import open_scope
from scr.store import FactStore


@pytest.mark.parametrize(
    ("question", "before", "reading"),
    [
        ("Where was she born?", "Tell me about Lena Hofstad.", "Where was Lena Hofstad born?"),
        ("And her husband?", "Who is Lena Hofstad?", "Lena Hofstad's husband?"),
        ("Who married her?", "Who is Lena Hofstad?", "Who married Lena Hofstad?"),
        ("who wrote this book", "I like Dune.", "who wrote Dune"),
        ("Is that near Nice?", "Where is St. Mary's?", "Is St. Mary near Nice?"),
        ("What are its colours?", 'Have you seen "The Grey Door"?', "What are Grey Door's colours?"),
        ("where was she born", "tell me about lena hofstad", "where was lena hofstad born"),
        ("And of Spain?", "What is the capital of France?", "What is the capital of Spain?"),
        ("What about the Louvre?", "Is the Pantheon in Rome?", "Is the Louvre in Rome?"),
        ("Spain?", "What is the capital of France?", "What is the capital of Spain?"),
        ("And the UK?", "What is the capital of the US?", "What is the capital of the UK?"),
        ("and spain?", "what is the capital of france?", "what is the capital of spain?"),
        ("And the mayor?", "Tell me about Ulmbach.", "the mayor of Ulmbach?"),
        ("Who is the mayor?", "I live in Ulmbach.", "Who is the mayor of Ulmbach?"),
        ("And who founded Ulmbach?", "Who founded Lyon?", "who founded Ulmbach?"),
    ],
)
def test_what_is_left_out_is_filled_in(question: str, before: str, reading: str) -> None:
    assert reading in in_full(question, [before])


@pytest.mark.parametrize(
    "whole",
    ["Who founded Ulmbach?", "What is the weather like this week?", "ok", "And?", "Thanks!", "The Wall now"],
)
def test_what_stands_alone_has_no_other_reading(whole: str) -> None:
    assert in_full(whole, ["Who is the mayor of Lyon?"]) in ([], [whole])


def test_a_pronoun_reaches_over_questions_without_a_name() -> None:
    assert in_full("And her husband?", ["Where was she born?", "Who is Lena Hofstad?"]) == ["Lena Hofstad's husband?"]
    assert in_full("And Italy?", ["And of Spain?", "What is the capital of France?"]) == [
        "What is the capital of Italy?"
    ]


def test_the_reply_names_too() -> None:
    before = ["Who runs Velmo?"]
    assert in_full("Where was she born?", before, "Sure. It is Lena Hofstad. Nobody else.") == [
        "Where was Velmo born?",
        "Where was Lena Hofstad born?",
    ]
    assert in_full("Where was she born?", before, "Gladly.") == ["Where was Velmo born?"]


def test_hostile_texts_take_no_time() -> None:
    began = time.perf_counter()
    for text in (
        "and " + "a" * 9_000 + "@b",
        "And " * 2_500,
        "'\"" * 5_000,
        "A b " * 2_500,
        "is the " * 1_400,
        "it " * 15,
    ):
        queries_of([{"role": "user", "content": part} for part in (text, text, f"{text[:9_000]} it")])
        in_full(text, [text, text], text)
    assert time.perf_counter() - began < 5  # a pattern that tries every split would take hours


def test_names() -> None:
    assert names_in("Did J. K. Rowling meet Ludwig van Beethoven's aunt in the Bank of Ulm 3?") == [
        "J. K. Rowling",
        "Ludwig van Beethoven",
        "Bank of Ulm 3",
    ]
    assert names_in("He ran at the 1948 Summer Olympics.") == ["1948 Summer Olympics"]
    assert names_in("I'm sure that I can. What's up?") == []
    assert len(names_in("A" + " Word" * 100_000)) == 1


def test_a_text_leans_on_its_own_sentences() -> None:
    assert queries_of("Anton Velde is a painter. He was born in")[1:] == ("Anton Velde was born in",)
    assert queries_of("What is the twin city of Ulmbach? It is")[1:] == ("What is the twin city of Ulmbach?",)


def test_follow_ups_find_their_facts(store: FactStore) -> None:
    for fact in (
        "Lena Hofstad was born in Ulmbach.",
        "The capital of Ardenia is Velmo.",
        "Lena Hofstad drives a taxi.",
    ):
        store.add(NewFact(fact))
    pipeline = Pipeline(store, open_scope(), ContextBuilder())

    def fires(first: str, then: str) -> list[str]:
        turns = [("user", first), ("assistant", "Gladly."), ("user", then)]
        decision = pipeline.decide([{"role": role, "content": text} for role, text in turns])
        return [fact.text for fact in decision.applying]

    assert fires("Tell me about Lena Hofstad.", "Where was she born?") == ["Lena Hofstad was born in Ulmbach."]
    assert fires("What is the capital of Spain?", "And of Ardenia?") == ["The capital of Ardenia is Velmo."]
    assert fires("Tell me about Lena Hofstad.", "Where did she die?") == []
    assert fires("What is the capital of Spain?", "And the population of Ardenia?") == []
